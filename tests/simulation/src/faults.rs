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

use crate::{Lots, Mvcc, Plan};

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
    /// Nothing was sent.
    Fails,
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
        let time = self.luck.lock().way(&self.store);
        if !time.is_zero() {
            sleep(time).await;
        }
    }

    /// Before a call: whether it gets through.
    async fn pass(&self) -> Result<(), Failure> {
        self.thaw().await;
        let trouble = self.luck.lock().trouble(&self.store);
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
        let fate = self.luck.lock().fate(mutations.len(), &self.store);
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
                let done = self.store.one_phase(start, mutations, new);
                self.store.count(|tally| tally.lost_replies += u64::from(done.is_ok()));
                self.way().await;
                lost()
            }
            Fate::Late(after) => {
                let (store, mutations) = (Arc::clone(&self.store), mutations.to_vec());
                tokio::spawn(async move {
                    sleep(after).await;
                    let done = store.one_phase(start, &mutations, new);
                    store.count(|tally| match done {
                        Ok(()) => tally.late += 1,
                        Err(Failure::Conflict(_)) => tally.late_behind_another += 1,
                        Err(_) => {}
                    });
                });
                lost()
            }
            Fate::Silent => {
                self.store.count(|tally| tally.silent += 1);
                Ok(())
            }
            Fate::Fails => {
                self.store.count(|tally| tally.failed += 1);
                Err(Failure::Unavailable("the region is elsewhere".to_owned()))
            }
            Fate::OwnConflict => {
                self.store.one_phase(start, mutations, new)?;
                self.store.count(|tally| tally.own_conflicts += 1);
                self.way().await;
                Err(Failure::Conflict("its own first try".to_owned()))
            }
            Fate::TwoPhases(committed) => {
                self.store.prewrite(start, mutations, new)?;
                let ends = committed.is_some_and(|committed| committed >= mutations.len());
                self.store.count(|tally| if ends { tally.two_phases += 1 } else { tally.orphans += 1 });
                self.way().await;
                let Some(committed) = committed else { return lost() };
                self.store.commit(start, mutations, committed)?;
                self.way().await;
                Ok(())
            }
            Fate::Hang => {
                self.store.count(|tally| tally.hung += 1);
                let _ = self.store.one_phase(start, mutations, new);
                std::future::pending().await
            }
        }
    }
}

impl Luck {
    fn way(&mut self, store: &Mvcc) -> Duration {
        let most = self.plan.latency_ms * 1_000;
        if most == 0 {
            return Duration::ZERO;
        }
        let slow = if self.lots.in_thousand(self.plan.slow) { 100 } else { 1 };
        store.count(|tally| tally.slow += u64::from(slow > 1));
        Duration::from_micros(self.lots.skewed(0, most * slow))
    }

    /// Whether a call fails without reaching anything, and after how long.
    fn trouble(&mut self, store: &Mvcc) -> Option<Duration> {
        let plan = self.plan;
        if plan == Plan::calm() {
            return None;
        }
        let now = Instant::now();
        if self.lots.in_thousand(plan.outage) {
            store.count(|tally| tally.outages += 1);
            self.outage = self.outage.max(now + Duration::from_millis(self.lots.skewed(1, plan.outage_ms)));
        }
        if self.outage > now {
            // Some calls fail at once, others when somebody stops waiting for them.
            let long = if plan.latency_ms > 0 && self.lots.in_thousand(100) { 3_000 } else { 1 };
            return Some(Duration::from_millis(self.lots.below(20 * long / 10 + 1)));
        }
        if self.lots.in_thousand(plan.hang) {
            store.count(|tally| tally.hung += 1);
            return Some(Duration::from_mins(1));
        }
        if !self.lots.in_thousand(plan.fails) {
            return None;
        }
        store.count(|tally| tally.failed += 1);
        Some(self.way(store))
    }

    fn fate(&mut self, keys: usize, store: &Mvcc) -> Fate {
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
        } else if is(plan.moved) {
            store.move_regions();
            // Who looks for its region in vain may send nothing and call it done; keys that were together
            // may lie apart; or the client finds its way by itself.
            match self.lots.below(4) {
                0 => Fate::Silent,
                1 => Fate::Fails,
                2 => Fate::TwoPhases(Some(keys)),
                _ => Fate::Well,
            }
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
