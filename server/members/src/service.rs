//! The service: one member's part in the cluster, from joining it to leaving it.
//!
//! Three loops: who coordinates, beats, new maps. They end with the future of [`Service::run`]; nothing is
//! left behind when that is dropped.

use std::sync::Arc;
use std::time::Duration;

use ordermill_station::{clock, limits};
use ordermill_store::Store;
use tokio::time::sleep;

use crate::channel::Channel;
use crate::inner::{Inner, Links, Stop};
use crate::map::{Map, Member};
use crate::report::Report;
use crate::stored::{COORDINATOR, MAP};
use crate::{Error, Handle};

/// What a member needs to know to join.
#[derive(Clone, Debug)]
pub struct Config {
    /// This member. Its incarnation is not 0, and no other process has or had it.
    pub me: Member,
    /// How many shards there shall be, if this is the store's first start.
    pub shards: u32,
    /// All chance in this service comes from here.
    pub seed: u64,
}

/// One member's part in the cluster.
#[derive(Debug)]
pub struct Service {
    pub(crate) inner: Arc<Inner>,
    pub(crate) links: Links,
    seed: u64,
}

impl Service {
    /// Reads the map, or makes the first one. `Format` when the store is in a format that this build does
    /// not know. The member takes part once the service runs.
    pub async fn join(
        config: Config,
        store: Arc<dyn Store>,
        channel: Arc<dyn Channel>,
        report: Arc<dyn Report>,
        clock: clock::Shared,
    ) -> Result<(Handle, Self), Error> {
        let Config { me, shards, seed } = config;
        assert!(me.incarnation.0 != 0, "0 stands for nobody");
        let links = Links { store, channel, report };
        let first = Map::first(shards, me.formats.max);
        let inner = Arc::new(Inner::new(me, first, Some(links.clone()), clock));
        read_or_make(&inner).await?;
        if let Stop::Failed(error) = &*inner.stop.borrow() {
            return Err(error.clone());
        }
        Ok((Handle::of(inner.clone()), Self { inner, links, seed }))
    }

    /// Takes part until [`Handle::close`]; an error when this build does not know the store's format any
    /// longer, and the process has to end.
    pub async fn run(self) -> Result<(), Error> {
        let mut stop = self.inner.stop.subscribe();
        let stopped = tokio::select! {
            biased;
            stopped = stop.wait_for(|stop| *stop != Stop::Running) => stopped.map(|stop| stop.clone()),
            never = self.watch() => match never {},
            never = self.beat() => match never {},
            never = self.coordinate() => match never {},
        };
        if let Ok(Stop::Failed(error)) = stopped {
            return Err(error);
        }
        self.leave().await;
        Ok(())
    }

    /// Leaves the cluster so that nobody has to wait for its silence.
    async fn leave(&self) {
        {
            let mut state = self.inner.state.lock();
            let me = self.inner.me.incarnation;
            if let Some(roster) = state.roster() {
                roster.forget(me);
            }
        }
        if self.inner.state.lock().election.term().is_none() {
            if let Err(error) = self.say_goodbye().await {
                tracing::debug!(%error, "the coordinator will notice by itself that this member has left");
            }
            return;
        }
        self.coordinate_last().await;
        if !self.inner.state.lock().election.is_certain() {
            // A renewal was under way: what became of it decides what can be replaced.
            self.look().await;
        }
        let resignation = self.inner.state.lock().election.resign();
        if let Some((expected, left)) = resignation
            && let Err(error) = self.inner.replace(COORDINATOR, Some(expected), left).await
        {
            tracing::debug!(%error, "others will notice by themselves that nobody coordinates");
        }
    }

    /// How long to wait before the first look.
    pub(crate) fn first_pause(&self) -> Duration {
        // SplitMix64's finish: neighbouring seeds end far from each other.
        let mut mixed = self.seed ^ self.inner.me.incarnation.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        limits::LOOK.mul_f64((mixed >> 32) as f64 / f64::from(u32::MAX))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.inner.stop.send_if_modified(|stop| {
            let ends = !matches!(stop, Stop::Failed(_));
            if ends {
                *stop = Stop::Ended;
            }
            ends
        });
    }
}

/// Reads the map; makes it if there is none. Whoever makes it first has made it for all.
async fn read_or_make(inner: &Inner) -> Result<(), Error> {
    let first = inner.current();
    let mut last = Error::Unavailable("the store was not asked".into());
    for _ in 0..limits::JOIN_TRIES {
        let tried = match inner.load(MAP).await {
            Ok(Some(bytes)) => {
                let map = Arc::new(Map::decode(&bytes)?);
                if inner.me.formats.contains(map.format) {
                    inner.map.send_replace(map);
                } else {
                    inner.unfit(map.format);
                }
                return Ok(());
            }
            Ok(None) => inner.replace(MAP, None, first.encode()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = tried {
            last = error;
            sleep(limits::COORDINATION_RETRY).await;
        }
    }
    Err(last)
}
