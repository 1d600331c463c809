//! The network between simulated members: streams of bytes that are late, stand still or break.
//!
//! What TCP hides stays hidden: bytes arrive in order or not at all. A cut holds them back until it is
//! healed, one way or both; a member that stands still neither sends nor receives.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ordermill_peer::{Arriving, Listener, Network, Stream};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Lots;

/// Bytes that a connection holds before whoever writes has to wait.
const WINDOW_BYTES: usize = 256 << 10;
/// Bytes that travel together.
const PIECE_BYTES: usize = 64 << 10;

/// A run of a member: its incarnation's place in the order of starts.
pub(super) type Node = u64;

#[derive(Debug)]
struct State {
    lots: Lots,
    /// Longest usual time one way, microseconds.
    way_us: u64,
    /// Ways that take up to fifty times as long, per thousand.
    slow: u64,
    listeners: BTreeMap<Node, mpsc::UnboundedSender<DuplexStream>>,
    /// Nothing gets from the first to the second.
    cut: BTreeSet<(Node, Node)>,
    frozen: BTreeMap<Node, Instant>,
    connections: Vec<(Node, Node, [AbortHandle; 2])>,
    /// Ways that took long.
    late: u64,
}

/// The network that all members share.
#[derive(Debug)]
pub(super) struct Net {
    state: Mutex<State>,
    healed: Notify,
}

impl Net {
    pub(super) fn new(lots: Lots, way_us: u64, slow: u64) -> Arc<Self> {
        let state = State {
            lots,
            way_us,
            slow,
            listeners: BTreeMap::new(),
            cut: BTreeSet::new(),
            frozen: BTreeMap::new(),
            connections: Vec::new(),
            late: 0,
        };
        Arc::new(Self { state: Mutex::new(state), healed: Notify::new() })
    }

    /// The way of `node` into the network.
    pub(super) fn wire(self: &Arc<Self>, node: Node) -> Arc<Wire> {
        Arc::new(Wire { net: Arc::clone(self), node })
    }

    /// Holds back what goes from `from` to `to` until [`Net::heal`].
    pub(super) fn cut(&self, from: Node, to: Node) {
        self.state.lock().cut.insert((from, to));
    }

    /// Lets everything through between all that live.
    pub(super) fn heal(&self) {
        self.state.lock().cut.clear();
        self.healed.notify_waiters();
    }

    /// Everything is prompt from now on.
    pub(super) fn calm(&self) {
        let mut state = self.state.lock();
        (state.way_us, state.slow) = (1_000, 0);
        drop(state);
        self.heal();
    }

    /// Ways that took long so far.
    pub(super) fn late(&self) -> u64 {
        self.state.lock().late
    }

    /// `node` neither sends nor receives for `time`.
    pub(super) fn freeze(&self, node: Node, time: Duration) {
        self.state.lock().frozen.insert(node, Instant::now() + time);
    }

    /// Breaks all connections between the two.
    pub(super) fn reset(&self, one: Node, other: Node) {
        self.break_off(|from, to| (from, to) == (one, other) || (to, from) == (one, other));
    }

    /// `node` is gone. Its peers hear of it, or they do not.
    pub(super) fn kill(&self, node: Node, silently: bool) {
        self.state.lock().listeners.remove(&node);
        if silently {
            self.freeze(node, super::FOR_EVER);
        } else {
            self.break_off(|from, to| from == node || to == node);
            self.freeze(node, super::FOR_EVER);
        }
    }

    fn break_off(&self, which: impl Fn(Node, Node) -> bool) {
        let mut state = self.state.lock();
        state.connections.retain(|(from, to, ways)| {
            let ends = which(*from, *to);
            if ends {
                ways.iter().for_each(AbortHandle::abort);
            }
            !ends && !ways.iter().all(AbortHandle::is_finished)
        });
    }

    fn way(&self) -> Duration {
        let mut state = self.state.lock();
        let slow = state.slow;
        let late = slow > 0 && state.lots.in_thousand(slow);
        state.late += u64::from(late);
        let most = state.way_us * if late { 50 } else { 1 };
        Duration::from_micros(state.lots.skewed(50, most))
    }

    /// Returns when something can get from `from` to `to`.
    async fn pass(&self, from: Node, to: Node) {
        loop {
            let healed = self.healed.notified();
            let (cut, frozen) = {
                let state = self.state.lock();
                let frozen = [from, to].into_iter().filter_map(|node| state.frozen.get(&node)).max().copied();
                (state.cut.contains(&(from, to)), frozen.filter(|until| *until > Instant::now()))
            };
            match (cut, frozen) {
                (true, _) => healed.await,
                (false, Some(until)) => sleep_until(until).await,
                (false, None) => return,
            }
        }
    }

    /// Carries what `from` writes to `to`, until one of the two ends it.
    async fn carry(
        self: Arc<Self>,
        ends: (Node, Node),
        mut out: ReadHalf<DuplexStream>,
        mut into: WriteHalf<DuplexStream>,
    ) {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let Ok(length) = out.read(&mut piece).await else { return };
            sleep(self.way()).await;
            self.pass(ends.0, ends.1).await;
            if length == 0 || into.write_all(&piece[..length]).await.is_err() {
                let _ = into.shutdown().await;
                return;
            }
        }
    }

    /// Makes a connection from `from` to `to`: the two ends of it.
    fn connect(self: &Arc<Self>, from: Node, to: Node) -> (DuplexStream, DuplexStream) {
        let (near, near_wire) = duplex(WINDOW_BYTES);
        let (far, far_wire) = duplex(WINDOW_BYTES);
        let (near_out, near_in) = split(near_wire);
        let (far_out, far_in) = split(far_wire);
        let ways = [
            tokio::spawn(Arc::clone(self).carry((from, to), near_out, far_in)).abort_handle(),
            tokio::spawn(Arc::clone(self).carry((to, from), far_out, near_in)).abort_handle(),
        ];
        self.state.lock().connections.push((from, to, ways));
        (near, far)
    }
}

/// Where a run of a member listens.
pub(super) fn address(node: Node) -> String {
    format!("member-{node}")
}

fn node_of(address: &str) -> io::Result<Node> {
    let node = address.strip_prefix("member-").and_then(|node| node.parse().ok());
    node.ok_or_else(|| io::Error::other("not an address of this network"))
}

/// One member's way into the network.
#[derive(Debug)]
pub(super) struct Wire {
    net: Arc<Net>,
    node: Node,
}

#[async_trait::async_trait]
impl Network for Wire {
    async fn dial(&self, address: &str) -> io::Result<Box<dyn Stream>> {
        let to = node_of(address)?;
        for (from, to) in [(self.node, to), (to, self.node)] {
            sleep(self.net.way()).await;
            self.net.pass(from, to).await;
        }
        let listener = self.net.state.lock().listeners.get(&to).cloned();
        let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = self.net.connect(self.node, to);
        listener.send(far).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(Box::new(near))
    }

    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>> {
        let (arrived, arriving) = mpsc::unbounded_channel();
        self.net.state.lock().listeners.insert(node_of(address)?, arrived);
        Ok(Box::new(Ear { address: address.to_owned(), arriving }))
    }
}

struct Ear {
    address: String,
    arriving: mpsc::UnboundedReceiver<DuplexStream>,
}

#[async_trait::async_trait]
impl Listener for Ear {
    fn address(&self) -> io::Result<String> {
        Ok(self.address.clone())
    }

    async fn accept(&mut self) -> io::Result<Arriving> {
        match self.arriving.recv().await {
            Some(stream) => Ok(Box::pin(async move { Ok(Box::new(stream) as Box<dyn Stream>) })),
            // Nobody can reach this member any more.
            None => std::future::pending().await,
        }
    }
}
