//! One run of a member: a store's client, a clock, a place in the network, and a router over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ordermill_members::{Incarnation, Member};
use ordermill_peer::{Hello, Network as _, Peers};
use ordermill_routing::Router;
use ordermill_transactional::Transactional;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::build::{Build, Built, Written, formats};
use super::network::{Net, Node, address};
use super::{CLUSTER, FOR_EVER, Settings};
use crate::clock::Skewed;
use crate::{Client, Mvcc, Plan};

/// What machines are made of.
pub(super) struct Parts {
    pub(super) service: Arc<Mvcc>,
    pub(super) net: Arc<Net>,
    pub(super) origin: Instant,
    pub(super) settings: Settings,
    /// How long records stay behind the checkpoint.
    pub(super) retention: Duration,
    pub(super) written: Arc<Written>,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The machine is gone.
    Dead,
    /// It took too long.
    Late,
}

/// A running member.
pub(super) struct Machine {
    pub(super) node: Node,
    pub(super) build: Build,
    pub(super) router: Router,
    pub(super) clock: Arc<Skewed>,
    client: Client,
    net: Arc<Net>,
    running: JoinHandle<Result<(), ordermill_members::Error>>,
    answering: JoinHandle<()>,
    stop: parking_lot::Mutex<Option<oneshot::Sender<()>>>,
    dead: AtomicBool,
    leaving: AtomicBool,
    died: Notify,
}

impl Machine {
    /// Starts a member as `node` that runs `build`; all its faults follow from `seed`. `skew_ms`: how far its
    /// clock is off.
    pub(super) async fn start(
        parts: &Parts,
        node: Node,
        (plan, seed): (Plan, u64),
        skew_ms: i64,
        build: Build,
    ) -> Result<Arc<Self>, String> {
        let clock = Skewed::shared(parts.origin, skew_ms);
        let client = Client::new(Arc::clone(&parts.service), plan, seed);
        let store = Transactional::new(parts.settings.store(node), Arc::new(client.clone()), clock.clone());
        let store = Arc::new(Built::new(store, build, parts.written.clone()));
        let name = format!("run-{node}");
        let hello = Hello { cluster: CLUSTER, incarnation: node, name: name.clone() };
        let peer = ordermill_peer::Config::new(hello, clock.clone());
        let wire = parts.net.wire(node);
        let listener = wire.listen(&address(node)).await.map_err(|error| error.to_string())?;
        let peers = Peers::new(peer.clone(), wire);
        let me = Member { incarnation: Incarnation(node), name, address: address(node), formats: formats(build) };
        let routing = parts.settings.routing(parts.retention);
        let joined = Router::join(routing, store, clock.clone(), me, peers, Arc::new(|| 100)).await;
        let (router, service) = joined.map_err(|error| error.to_string())?;
        let (stop, stopped) = oneshot::channel();
        let answering = ordermill_peer::serve(peer, listener, router.service(), async { drop(stopped.await) });
        Ok(Arc::new(Self {
            node,
            build,
            router,
            clock,
            client,
            net: parts.net.clone(),
            running: tokio::spawn(service.run()),
            answering: tokio::spawn(answering),
            stop: parking_lot::Mutex::new(Some(stop)),
            dead: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            died: Notify::new(),
        }))
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether the process has ended, and nobody has told it to.
    pub(super) fn has_ended(&self) -> bool {
        self.running.is_finished() && !self.is_dead() && !self.leaving.load(Ordering::Relaxed)
    }

    /// Ends the process as kill -9 or a lost machine does: nothing gets in or out any more.
    pub(super) fn kill(&self, silently: bool) {
        self.dead.store(true, Ordering::Relaxed);
        self.net.kill(self.node, silently);
        self.client.freeze(FOR_EVER);
        self.running.abort();
        self.answering.abort();
        self.died.notify_waiters();
    }

    /// Stops the process for `time`, and lets it go on.
    pub(super) fn freeze(&self, time: Duration) {
        self.net.freeze(self.node, time);
        self.client.freeze(time);
    }

    /// The process does not reach the store for `time`.
    pub(super) fn cut_off(&self, time: Duration) {
        self.client.cut_off(time);
    }

    /// Hands the shards over and ends in order; says how that went. It ends in any case.
    pub(super) async fn leave(&self) -> Result<(), String> {
        self.leaving.store(true, Ordering::Relaxed);
        let closed = self.router.close().await.map_err(|error| error.to_string());
        drop(self.stop.lock().take());
        self.died.notify_waiters();
        self.dead.store(true, Ordering::Relaxed);
        closed
    }

    /// Nothing goes wrong with its store any more.
    pub(super) fn calm(&self) {
        self.client.change(Plan::calm());
        self.net.freeze(self.node, Duration::ZERO);
        self.clock.jump(0);
    }

    /// Asks this machine as a client over the network does: what is lost when it dies, and late when it
    /// stands still.
    pub(super) async fn ask<T>(&self, longest: Duration, request: impl Future<Output = T>) -> Result<T, Lost> {
        if self.is_dead() {
            return Err(Lost::Dead);
        }
        let asked = async {
            self.client.thaw().await;
            let answer = request.await;
            self.client.thaw().await;
            answer
        };
        tokio::select! {
            biased;
            () = self.died.notified() => Err(Lost::Dead),
            answer = tokio::time::timeout(longest, asked) => answer.map_err(|_| Lost::Late),
        }
    }
}
