//! The shards that this process serves: begun, watched over, begun again, ended.
//!
//! Whether a shard shall be served here is decided elsewhere and may change at any time. What the
//! store says of the owner is always right: a shard that was taken from us has stopped by itself.

use std::sync::Arc;
use std::time::Duration;

use ordermill_delivery::Peers;
use ordermill_members::Handle;
use ordermill_shard::Service;
use ordermill_station::{clock, limits};
use ordermill_store::{Error as StoreError, Store};
use tokio::sync::{Notify, oneshot, watch};

/// What can be said of a shard in this process.
#[derive(Clone, Debug)]
pub(crate) enum State {
    /// It is not served here.
    Away,
    /// It is being taken over and read back.
    Starting,
    /// It is served here.
    Serving(ordermill_shard::Handle),
    /// It finishes what it has, to be served elsewhere.
    Ending,
    /// Its journal has ended with this record: others are to take its place.
    Sealed(u64),
    /// It cannot be served: somebody has to decide something.
    Failed(StoreError),
}

/// What is to become of a shard in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It is served here.
    Served,
    /// Its journal ends here: it is split.
    Sealed,
    /// It is not served here.
    Away,
}

/// What all shards of a process have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: clock::Shared,
    pub(crate) peers: Arc<dyn Peers>,
    /// Who is told when a shard is served, or no longer; none when nobody asks.
    pub(crate) members: Option<Handle>,
}

/// One shard, as far as this process serves it. Ends with the last handle.
#[derive(Debug)]
pub(crate) struct Served {
    /// Nothing until it is decided for the first time.
    wanted: watch::Sender<Option<Wanted>>,
    state: watch::Receiver<State>,
    turned: Arc<Notify>,
}

/// Wakes who waits for a state, in the order in which they came: a `watch` wakes them in any order.
#[derive(Debug)]
struct Turned(Arc<Notify>);

impl Drop for Turned {
    fn drop(&mut self) {
        self.0.notify_waiters();
    }
}

impl Served {
    /// A shard that is about to start: it does nothing before the first [`Served::want`], so that it can be
    /// shown to others before it speaks to them.
    pub(crate) fn new(common: Arc<Common>, config: ordermill_shard::Config) -> Self {
        let (state_sender, state) = watch::channel(State::Starting);
        let (wanted, wants) = watch::channel(None);
        let turned = Arc::<Notify>::default();
        tokio::spawn(Keeper { common, config, wants, state: state_sender, turned: Turned(turned.clone()) }.run());
        Self { wanted, state, turned }
    }

    /// What the shard shall be here from now on.
    pub(crate) fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|now| now.replace(wanted) != Some(wanted));
    }

    /// What can be said of it now.
    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The way in, if it is served.
    pub(crate) fn handle(&self) -> Option<ordermill_shard::Handle> {
        match &*self.state.borrow() {
            State::Serving(handle) => Some(handle.clone()),
            _ => None,
        }
    }

    /// How long commands have waited lately before the shard took them.
    pub(crate) fn queue_delay(&self) -> Duration {
        match &*self.state.borrow() {
            State::Serving(handle) => handle.queue_delay(),
            _ => Duration::ZERO,
        }
    }

    /// Waits until `enough` of what can be said.
    pub(crate) async fn wait_for(&self, mut enough: impl FnMut(&State) -> bool) -> State {
        loop {
            let turned = self.turned.notified();
            let state = self.state();
            if enough(&state) {
                return state;
            }
            // The task that tells it has ended.
            if self.state.has_changed().is_err() {
                return State::Away;
            }
            turned.await;
        }
    }
}

/// The task that keeps one shard as it is wanted.
struct Keeper {
    common: Arc<Common>,
    config: ordermill_shard::Config,
    wants: watch::Receiver<Option<Wanted>>,
    /// Goes before `turned`: who is woken by the end of this task finds it ended.
    state: watch::Sender<State>,
    turned: Turned,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            let Ok(wanted) = self.wants.wait_for(Option::is_some).await.map(|wanted| *wanted) else { return };
            if wanted == Some(Wanted::Away) {
                self.tell(State::Away);
                if self.wants.wait_for(|wanted| *wanted != Some(Wanted::Away)).await.is_err() {
                    return;
                }
            }
            match self.serve().await {
                Ok(()) => self.tell(State::Away),
                Err(StoreError::Sealed(last)) => {
                    self.tell(State::Sealed(last));
                    // For good; but the map may take a while to say so.
                    if self.wants.wait_for(|wanted| *wanted == Some(Wanted::Away)).await.is_err() {
                        return;
                    }
                }
                Err(error) if self.is_final(&error) => {
                    tracing::error!(shard = %self.config.id, %error, "a shard has stopped");
                    self.tell(State::Failed(error));
                    return;
                }
                Err(error) => {
                    tracing::warn!(shard = %self.config.id, %error, "a shard is not served; it is taken over again if it stays ours");
                    self.tell(State::Away);
                    self.pause(limits::TAKE_OVER_AGAIN).await;
                }
            }
        }
    }

    fn tell(&self, state: State) {
        self.state.send_replace(state);
        self.turned.0.notify_waiters();
        self.common.members.iter().for_each(Handle::changed);
    }

    /// Whether taking over again would end the same way, or could do harm.
    fn is_final(&self, error: &StoreError) -> bool {
        !self.common.store.is_shared() || matches!(error, StoreError::Corrupt(_))
    }

    /// Waits, or until the shard is wanted no more.
    async fn pause(&mut self, time: Duration) {
        let _ = tokio::time::timeout(time, self.wants.wait_for(|wanted| *wanted == Some(Wanted::Away))).await;
    }

    /// Lets the shard serve on until most of what has changed is flushed, so that its last flush is short. Says
    /// whether the journal shall end now.
    async fn prepare_to_seal(&mut self, handle: &ordermill_shard::Handle) -> bool {
        while *self.wants.borrow() == Some(Wanted::Sealed) {
            match handle.flush().await {
                Ok(true) => return *self.wants.borrow() == Some(Wanted::Sealed),
                Ok(false) => self.pause(limits::TICK).await,
                // It has stopped.
                Err(_) => return false,
            }
        }
        false
    }

    /// Serves the shard until it stops or is wanted no more; `Sealed` once its journal has ended.
    async fn serve(&mut self) -> Result<(), StoreError> {
        self.tell(State::Starting);
        let common = &self.common;
        let (handle, service) =
            Service::new(self.config.clone(), common.store.clone(), common.clock.clone(), common.peers.clone());
        let (recovered, ready) = oneshot::channel();
        let mut running = tokio::spawn(service.run(recovered));
        let failed = || StoreError::Unknown("the shard's task has failed".into());
        tokio::select! {
            biased;
            recovered = ready => recovered.unwrap_or_else(|_| Err(failed()))?,
            // Half a takeover harms nobody: the next owner takes over from it.
            _ = self.wants.wait_for(|wanted| *wanted == Some(Wanted::Away)) => {
                running.abort();
                return Ok(());
            }
        }
        self.tell(State::Serving(handle.clone()));
        tokio::select! {
            biased;
            ended = &mut running => return ended.unwrap_or_else(|_| Err(failed())),
            _ = self.wants.wait_for(|wanted| *wanted != Some(Wanted::Served)) => {}
        }
        let seal = self.prepare_to_seal(&handle).await;
        self.tell(State::Ending);
        if seal {
            handle.seal().await;
        } else {
            // What it answers has no use here: the journal has all that was answered.
            let _ = handle.close().await;
        }
        running.await.unwrap_or_else(|_| Err(failed()))
    }
}
