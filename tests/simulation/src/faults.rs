//! Clients of the store in memory whose calls go wrong in the ways in which real ones do.
//!
//! Every write ends in one of a few ways, whatever its caller is told. Reads are late or fail; they
//! never lie, because the real ones do not. What goes wrong is drawn from a seed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_transactional::{Failure, Mutation, Service, Timestamp};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Lots, Mvcc};

/// What goes wrong how often: times in a thousand, and milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How long each way takes at most; mostly less. 0: no time at all.
    pub latency_ms: u64,
    /// A call that takes up to a hundred times as long.
    pub slow: u64,
    /// A call of any kind that fails and has done nothing.
    pub fails: u64,
    /// A write that has happened and is said to have failed.
    pub lost_reply: u64,
    /// A write that is said to have failed, and happens later.
    pub late: u64,
    /// How much later at most; mostly less.
    pub late_ms: u64,
    /// A write that is said to have happened, and has not.
    pub silent: u64,
    /// A write that has happened and meets itself as a conflict.
    pub own_conflict: u64,
    /// A write that needs two phases.
    pub two_phases: u64,
    /// A write in two phases that ends between or before them, and leaves its locks.
    pub orphan: u64,
    /// A call without an answer. A write may happen all the same.
    pub hang: u64,
    /// A call with which a time begins in which all calls of this client fail.
    pub outage: u64,
    /// How long that is at most; mostly less.
    pub outage_ms: u64,
}

impl Plan {
    /// Nothing goes wrong, and nothing takes any time.
    pub const fn calm() -> Self {
        Self {
            latency_ms: 0,
            slow: 0,
            fails: 0,
            lost_reply: 0,
            late: 0,
            late_ms: 0,
            silent: 0,
            own_conflict: 0,
            two_phases: 0,
            orphan: 0,
            hang: 0,
            outage: 0,
            outage_ms: 0,
        }
    }

    /// What a store has to hide from whoever calls it.
    pub const fn mild() -> Self {
        Self {
            fails: 10,
            lost_reply: 10,
            silent: 10,
            own_conflict: 10,
            two_phases: 10,
            orphan: 10,
            outage: 1,
            outage_ms: 100,
            ..Self::calm()
        }
    }

    /// Everything, often.
    pub const fn rough() -> Self {
        Self {
            latency_ms: 8,
            slow: 20,
            fails: 20,
            lost_reply: 30,
            late: 20,
            late_ms: 60_000,
            silent: 20,
            own_conflict: 30,
            two_phases: 40,
            orphan: 20,
            hang: 4,
            outage: 2,
            outage_ms: 60_000,
        }
    }

    /// The same with other likelihoods, and another latency: what `times` makes of each, one after the other.
    #[must_use]
    pub fn scaled(self, mut times: impl FnMut(u64) -> u64) -> Self {
        Self {
            latency_ms: 1 + times(self.latency_ms),
            slow: times(self.slow),
            fails: times(self.fails),
            lost_reply: times(self.lost_reply),
            late: times(self.late),
            silent: times(self.silent),
            own_conflict: times(self.own_conflict),
            two_phases: times(self.two_phases),
            orphan: times(self.orphan),
            hang: times(self.hang),
            outage: times(self.outage),
            ..self
        }
    }
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    LostReply,
    Late(Duration),
    Silent,
    OwnConflict,
    /// With so many keys committed; all: it goes well. None: not even the first phase ends.
    TwoPhases(Option<usize>),
    Hang,
}

#[derive(Debug)]
struct Luck {
    lots: Lots,
    plan: Plan,
    /// Everything stands still until then: the process was stopped.
    frozen: Instant,
    /// No call succeeds until then.
    outage: Instant,
}

/// One process's way to the store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    store: Arc<Mvcc>,
    luck: Arc<Mutex<Luck>>,
}

impl Client {
    /// A client of `store` that suffers from `plan`, drawn from `seed`.
    pub fn new(store: Arc<Mvcc>, plan: Plan, seed: u64) -> Self {
        let now = Instant::now();
        let luck = Luck { lots: Lots::of(seed), plan, frozen: now, outage: now };
        Self { store, luck: Arc::new(Mutex::new(luck)) }
    }

    /// From now on other things go wrong.
    pub fn change(&self, plan: Plan) {
        let mut luck = self.luck.lock();
        luck.plan = plan;
        (luck.frozen, luck.outage) = (Instant::now(), Instant::now());
    }

    /// The process is stopped for `time`: what it has sent goes on, and it hears of nothing. Its clock
    /// goes on too.
    pub fn freeze(&self, time: Duration) {
        self.luck.lock().frozen = Instant::now() + time;
    }

    /// For `time` nothing that the process asks reaches the store.
    pub fn cut_off(&self, time: Duration) {
        let mut luck = self.luck.lock();
        luck.outage = luck.outage.max(Instant::now() + time);
    }

    /// Returns when the process runs.
    pub async fn thaw(&self) {
        loop {
            let frozen = self.luck.lock().frozen;
            if frozen <= Instant::now() {
                return;
            }
            sleep_until(frozen).await;
        }
    }

    /// One way between the process and the store.
    async fn way(&self) {
        let time = self.luck.lock().way();
        if !time.is_zero() {
            sleep(time).await;
        }
    }

    /// Before a call: whether it gets through.
    async fn pass(&self) -> Result<(), Failure> {
        self.thaw().await;
        let trouble = self.luck.lock().trouble();
        match trouble {
            None => Ok(()),
            Some(after) => {
                sleep(after).await;
                self.thaw().await;
                Err(Failure::Unavailable("no connection".to_owned()))
            }
        }
    }

    /// A call that only reads.
    async fn read<T>(&self, call: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
        self.pass().await?;
        self.way().await;
        let done = call.await;
        self.way().await;
        self.thaw().await;
        done
    }

    /// A call that writes. It goes on when the caller does not wait for it any more.
    async fn send(&self, start: Timestamp, mutations: Vec<Mutation>, new: bool) -> Result<(), Failure> {
        self.store.take(start)?;
        self.pass().await?;
        let fate = self.luck.lock().fate(mutations.len());
        let this = self.clone();
        let sent = tokio::spawn(async move { this.carry_out(fate, start, &mutations, new).await });
        let done = sent.await.unwrap_or_else(|error| Err(Failure::Unavailable(error.to_string())));
        self.thaw().await;
        done
    }

    async fn carry_out(&self, fate: Fate, start: Timestamp, mutations: &[Mutation], new: bool) -> Result<(), Failure> {
        self.way().await;
        let lost = || Err(Failure::Unavailable("the answer was lost".to_owned()));
        match fate {
            Fate::Well => {
                let done = self.store.one_phase(start, mutations, new);
                self.way().await;
                done
            }
            Fate::LostReply => {
                let _ = self.store.one_phase(start, mutations, new);
                self.way().await;
                lost()
            }
            Fate::Late(after) => {
                let (store, mutations) = (Arc::clone(&self.store), mutations.to_vec());
                tokio::spawn(async move {
                    sleep(after).await;
                    store.one_phase(start, &mutations, new)
                });
                lost()
            }
            Fate::Silent => Ok(()),
            Fate::OwnConflict => {
                self.store.one_phase(start, mutations, new)?;
                self.way().await;
                Err(Failure::Conflict("its own first try".to_owned()))
            }
            Fate::TwoPhases(committed) => {
                self.store.prewrite(start, mutations, new)?;
                self.way().await;
                let Some(committed) = committed else { return lost() };
                self.store.commit(start, mutations, committed)?;
                self.way().await;
                Ok(())
            }
            Fate::Hang => {
                let _ = self.store.one_phase(start, mutations, new);
                std::future::pending().await
            }
        }
    }
}

impl Luck {
    fn way(&mut self) -> Duration {
        let most = self.plan.latency_ms * 1_000;
        if most == 0 {
            return Duration::ZERO;
        }
        let slow = if self.lots.in_thousand(self.plan.slow) { 100 } else { 1 };
        Duration::from_micros(self.lots.skewed(0, most * slow))
    }

    /// Whether a call fails without reaching anything, and after how long.
    fn trouble(&mut self) -> Option<Duration> {
        let plan = self.plan;
        if plan == Plan::calm() {
            return None;
        }
        let now = Instant::now();
        if self.lots.in_thousand(plan.outage) {
            self.outage = self.outage.max(now + Duration::from_millis(self.lots.skewed(1, plan.outage_ms)));
        }
        if self.outage > now {
            // Some calls fail at once, others when somebody stops waiting for them.
            let long = if plan.latency_ms > 0 && self.lots.in_thousand(100) { 3_000 } else { 1 };
            return Some(Duration::from_millis(self.lots.below(20 * long / 10 + 1)));
        }
        if self.lots.in_thousand(plan.hang) {
            return Some(Duration::from_mins(1));
        }
        self.lots.in_thousand(plan.fails).then(|| self.way())
    }

    fn fate(&mut self, keys: usize) -> Fate {
        let plan = self.plan;
        let mut lot = self.lots.below(1_000);
        let mut is = |times: u64| {
            let hit = lot < times;
            lot = lot.wrapping_sub(times);
            hit
        };
        if is(plan.lost_reply) {
            Fate::LostReply
        } else if is(plan.late) {
            Fate::Late(Duration::from_millis(self.lots.skewed(1, plan.late_ms)))
        } else if is(plan.silent) {
            Fate::Silent
        } else if is(plan.own_conflict) {
            Fate::OwnConflict
        } else if is(plan.two_phases) {
            Fate::TwoPhases(Some(keys))
        } else if is(plan.orphan) {
            Fate::TwoPhases((self.lots.below(2) == 0).then_some(1))
        } else if is(plan.hang) {
            Fate::Hang
        } else {
            Fate::Well
        }
    }
}

#[async_trait::async_trait]
impl Service for Client {
    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        self.read(self.store.timestamp()).await
    }

    async fn begin(&self) -> Result<Timestamp, Failure> {
        self.read(self.store.begin()).await
    }

    async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure> {
        self.send(start, vec![(key, Some(value))], true).await
    }

    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        self.send(start, mutations, false).await
    }

    async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure> {
        self.read(self.store.get(at, key)).await
    }

    async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        self.read(self.store.get_many(at, keys)).await
    }

    async fn scan(&self, at: Timestamp, from: Bytes, to: Bytes, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        self.read(self.store.scan(at, from, to, limit)).await
    }

    async fn clean_up(&self, before: Timestamp, from: Bytes, to: Bytes) -> Result<(), Failure> {
        self.read(self.store.clean_up(before, from, to)).await
    }

    async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure> {
        self.read(self.store.collect_garbage(at)).await
    }

    async fn reconnect(&self) -> Result<(), Failure> {
        Ok(())
    }
}
