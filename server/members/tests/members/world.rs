//! The simulated world: time, the network and its members.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use ordermill_members::{
    Channel, ChannelError, Config, Error, Formats, Handle, Incarnation, Map, Member, ProcessReport, Report, Service,
    ShardReport, ShardState, State,
};
use ordermill_station::clock::Clock;
use ordermill_store::ShardId;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::store::View;

pub(crate) const SHARDS: u32 = 64;
/// Longest time one way between members, milliseconds.
const WAY_MS: u64 = 5;
/// How long taking over a shard takes.
const START: Duration = Duration::from_millis(100);

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Debug)]
pub(crate) struct Shared {
    origin: Instant,
    pub(crate) net: Mutex<Net>,
}

/// What can be cut, and what the store holds.
#[derive(Debug, Default)]
pub(crate) struct Net {
    pub(crate) values: BTreeMap<String, Bytes>,
    /// Every map that was written, and when.
    pub(crate) history: Vec<(Duration, Map)>,
    /// Messages from the first to the second are lost.
    pub(crate) cut: BTreeSet<(u64, u64)>,
    pub(crate) cut_store: BTreeSet<u64>,
    pub(crate) store_away: bool,
    /// Answers of the store that are lost, per thousand.
    pub(crate) lost_permille: u64,
    paused: BTreeSet<u64>,
    sleepers: Vec<Waker>,
    handles: BTreeMap<u64, Handle>,
    random: u64,
}

impl Net {
    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    pub(crate) fn reaches_store(&self, member: u64) -> bool {
        !self.store_away && !self.cut_store.contains(&member)
    }

    fn reaches(&self, from: u64, to: u64) -> bool {
        !self.cut.contains(&(from, to)) && !self.paused.contains(&to)
    }
}

impl Shared {
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) async fn travel(&self, longest_ms: u64) {
        let way = self.net.lock().random(longest_ms) + 1;
        sleep(ms(way)).await;
    }

    pub(crate) fn loses_an_answer(&self) -> bool {
        let mut net = self.net.lock();
        net.lost_permille > 0 && net.random(1_000) < net.lost_permille
    }
}

impl Clock for Shared {
    fn now_ms(&self) -> u64 {
        1_700_000_000_000 + self.now().as_millis() as u64
    }

    fn elapsed(&self) -> Duration {
        self.now()
    }
}

/// One member's way to the others.
#[derive(Debug)]
struct Wire {
    shared: Arc<Shared>,
    member: u64,
}

impl Wire {
    /// Brings a message there; the handle of who gets it.
    async fn there(&self, address: &str) -> Result<(u64, Handle), ChannelError> {
        self.shared.travel(WAY_MS).await;
        let to: u64 = address.trim_start_matches('m').parse().unwrap();
        let handle = {
            let net = self.shared.net.lock();
            if net.reaches(self.member, to) {
                Some(net.handles.get(&to).cloned().ok_or_else(|| ChannelError::Unreachable(address.into()))?)
            } else {
                None
            }
        };
        match handle {
            Some(handle) => Ok((to, handle)),
            None => std::future::pending().await,
        }
    }

    async fn back(&self, from: u64, answer: Bytes) -> Result<Bytes, ChannelError> {
        self.shared.travel(WAY_MS).await;
        if !self.shared.net.lock().reaches(from, self.member) {
            std::future::pending::<()>().await;
        }
        Ok(answer)
    }
}

#[async_trait::async_trait]
impl Channel for Wire {
    async fn beat(&self, address: &str, body: Bytes, _: Duration) -> Result<Bytes, ChannelError> {
        let (other, handle) = self.there(address).await?;
        self.back(other, handle.answer_beat(body)).await
    }

    async fn admin(&self, address: &str, body: Bytes, _: Duration) -> Result<Bytes, ChannelError> {
        let (other, handle) = self.there(address).await?;
        let answer = handle.answer_admin(body).await;
        self.back(other, answer).await
    }
}

/// What a member serves: whatever its map says, after a while.
#[derive(Debug, Default)]
pub(crate) struct App {
    shards: Mutex<BTreeMap<ShardId, ShardState>>,
    /// Commands per second, by shard.
    loads: Arc<Mutex<BTreeMap<u32, u64>>>,
    pub(crate) busy_permille: Mutex<u32>,
}

impl Report for App {
    fn shards(&self) -> Vec<ShardReport> {
        let loads = self.loads.lock();
        let report = |(shard, state): (&ShardId, &ShardState)| ShardReport {
            shard: *shard,
            state: *state,
            epoch: 1,
            committed: 1,
            checkpoint_lag: 0,
            queue_delay: Duration::ZERO,
            commands_per_s: loads.get(&shard.0).copied().unwrap_or(0),
            unflushed_bytes: 0,
        };
        self.shards.lock().iter().map(report).collect()
    }

    fn process(&self) -> ProcessReport {
        ProcessReport { busy_permille: *self.busy_permille.lock(), ..ProcessReport::default() }
    }
}

async fn serve(app: Arc<App>, handle: Handle) {
    let mut maps = handle.map();
    loop {
        let map = maps.borrow_and_update().clone();
        let mine: BTreeSet<_> = map.owned_by(handle.me().incarnation).map(|shard| shard.id).collect();
        app.shards.lock().retain(|shard, _| mine.contains(shard));
        let new: Vec<_> = mine.into_iter().filter(|shard| !app.shards.lock().contains_key(shard)).collect();
        if !new.is_empty() {
            app.shards.lock().extend(new.iter().map(|shard| (*shard, ShardState::Starting)));
            handle.changed();
            sleep(START).await;
            app.shards.lock().extend(new.iter().map(|shard| (*shard, ShardState::Serving)));
            handle.changed();
        }
        if maps.changed().await.is_err() {
            return;
        }
    }
}

/// A process: stands still while it is paused.
struct Process<F> {
    shared: Arc<Shared>,
    member: u64,
    inside: Pin<Box<F>>,
}

impl<F: Future> Future for Process<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        {
            let mut net = self.shared.net.lock();
            if net.paused.contains(&self.member) {
                net.sleepers.push(context.waker().clone());
                return Poll::Pending;
            }
        }
        self.inside.as_mut().poll(context)
    }
}

pub(crate) struct Node {
    pub(crate) handle: Handle,
    pub(crate) app: Arc<App>,
    pub(crate) run: JoinHandle<Result<(), Error>>,
    serving: JoinHandle<()>,
}

pub(crate) struct World {
    pub(crate) shared: Arc<Shared>,
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) loads: Arc<Mutex<BTreeMap<u32, u64>>>,
    seed: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let net = Net { random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, ..Net::default() };
        let shared = Arc::new(Shared { origin: Instant::now(), net: Mutex::new(net) });
        Self { shared, nodes: BTreeMap::new(), loads: Arc::default(), seed }
    }

    /// A cluster of members 1 to `members` that share all shards and are at rest.
    pub(crate) async fn at_rest(seed: u64, members: u64) -> Self {
        let mut world = Self::new(seed);
        for member in 1..=members {
            world.start(member).await;
        }
        world.rest().await;
        world
    }

    /// Tries to join as `member`.
    pub(crate) async fn join(&self, member: u64, formats: Formats) -> Result<(Handle, Service, Arc<App>), Error> {
        let name = format!("pod-{member}");
        let me = Member { incarnation: Incarnation(member), name, address: format!("m{member}"), formats };
        let shared = self.shared.clone();
        let (store, channel) = (View { shared: shared.clone(), member }, Wire { shared: shared.clone(), member });
        let app = Arc::new(App { loads: self.loads.clone(), ..App::default() });
        let config = Config { me, shards: SHARDS, seed: self.seed };
        let joined = Service::join(config, Arc::new(store), Arc::new(channel), app.clone(), shared).await;
        joined.map(|(handle, service)| (handle, service, app))
    }

    pub(crate) async fn start(&mut self, member: u64) {
        self.start_with(member, Formats { min: 1, max: 1 }).await;
    }

    pub(crate) async fn start_with(&mut self, member: u64, formats: Formats) {
        let (handle, service, app) = self.join(member, formats).await.unwrap();
        self.run(member, handle, service, app);
    }

    pub(crate) fn run(&mut self, member: u64, handle: Handle, service: Service, app: Arc<App>) {
        let shared = &self.shared;
        shared.net.lock().handles.insert(member, handle.clone());
        let run = Process { shared: shared.clone(), member, inside: Box::pin(service.run()) };
        let serving = serve(app.clone(), handle.clone());
        let serving = Process { shared: shared.clone(), member, inside: Box::pin(serving) };
        let (run, serving) = (tokio::spawn(run), tokio::spawn(serving));
        self.nodes.insert(member, Node { handle, app, run, serving });
    }

    /// Ends a process as kill -9 does.
    pub(crate) fn kill(&mut self, member: u64) {
        let node = self.nodes.remove(&member).unwrap();
        node.run.abort();
        node.serving.abort();
        self.shared.net.lock().handles.remove(&member);
    }

    pub(crate) fn pause(&self, member: u64) {
        self.shared.net.lock().paused.insert(member);
    }

    pub(crate) fn resume(&self, member: u64) {
        let mut net = self.shared.net.lock();
        net.paused.remove(&member);
        net.sleepers.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn random(&self, below: u64) -> u64 {
        self.shared.net.lock().random(below)
    }

    pub(crate) fn now(&self) -> Duration {
        self.shared.now()
    }

    pub(crate) fn since(&self, began: Duration) -> Duration {
        self.now().saturating_sub(began)
    }

    pub(crate) fn handle(&self, member: u64) -> &Handle {
        &self.nodes[&member].handle
    }

    /// The newest map that was written.
    pub(crate) fn map(&self) -> Map {
        self.shared.net.lock().history.last().unwrap().1.clone()
    }

    pub(crate) fn history(&self) -> Vec<(Duration, Map)> {
        self.shared.net.lock().history.clone()
    }

    /// Who believes to coordinate.
    pub(crate) fn coordinators(&self) -> Vec<u64> {
        let coordinating = self.nodes.iter().filter(|(_, node)| node.handle.status().coordinating);
        coordinating.map(|(member, _)| *member).collect()
    }

    /// Shards of every member, in order.
    pub(crate) fn counts(&self) -> Vec<usize> {
        let map = self.map();
        self.nodes.keys().map(|member| map.owned_by(Incarnation(*member)).count()).collect()
    }

    /// Waits until something is so, and says how long that took.
    pub(crate) async fn until(&self, what: &str, longest: Duration, is_so: impl Fn(&Self) -> bool) -> Duration {
        let began = self.now();
        while !is_so(self) {
            let map = self.map();
            let (seed, passed) = (self.seed, self.since(began));
            assert!(passed < longest, "not {what} after {passed:?}, seed {seed}: {map:#?}");
            sleep(ms(1)).await;
        }
        self.since(began)
    }

    /// Whether all shards are settled with living members, evenly, and everybody knows the map.
    pub(crate) fn is_at_rest(&self) -> bool {
        let map = self.map();
        let counts = self.counts();
        counts.iter().sum::<usize>() == SHARDS as usize
            && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
            && map.shards.iter().all(|shard| shard.state == State::Settled)
            && map.members.len() == self.nodes.len()
            && self.all_know(map.version)
    }

    pub(crate) fn all_know(&self, version: u64) -> bool {
        self.nodes.values().all(|node| node.handle.current().version >= version)
    }

    /// Waits until [`World::is_at_rest`].
    pub(crate) async fn rest(&self) -> Duration {
        self.until("at rest", Duration::from_secs(40), Self::is_at_rest).await
    }

    /// Whether every living member has a map in which nobody but living members own all shards.
    pub(crate) fn is_taken_over(&self) -> bool {
        let lives = |member: Incarnation| self.nodes.contains_key(&member.0);
        let taken = |map: &Map| map.shards.iter().all(|shard| shard.owner.is_some_and(lives));
        self.nodes.values().all(|node| taken(&node.handle.current()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for node in self.nodes.values() {
            node.run.abort();
            node.serving.abort();
        }
        self.shared.net.lock().handles.clear();
    }
}
