//! One history: a store, three processes that want to own its shard, a reader, and the end of it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use ordermill_simulation::{Client, Lots, Mvcc, Plan, Version, Virtual};
use ordermill_store::{Error, ShardId, Store};
use ordermill_transactional::keys::Keys;
use ordermill_transactional::stored::{Guard, Mark, Record};
use ordermill_transactional::{Config, Transactional};
use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::owner::{Process, key};

pub(crate) const CLUSTER: u32 = 7;
pub(crate) const SHARD: ShardId = ShardId(3);
/// Rows that records change.
pub(crate) const ROWS: u8 = 12;
/// Processes that want to own the shard.
const PROCESSES: u64 = 3;
/// How long they try.
const LONG: Duration = Duration::from_mins(3);
/// Until everything that is late has arrived.
const LATE: Duration = Duration::from_mins(3);

/// What happened, and what should not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) wrong: Vec<String>,
    pub(crate) takeovers: u64,
    pub(crate) acknowledged: u64,
    pub(crate) flushes: u64,
    pub(crate) trimmed: u64,
    pub(crate) proofs: u64,
    pub(crate) fenced: u64,
    pub(crate) unknown: u64,
    pub(crate) unavailable: u64,
    pub(crate) invalid: u64,
    pub(crate) calls: u64,
    pub(crate) digest: u64,
}

impl Outcome {
    pub(crate) fn add(&mut self, other: &Self) {
        self.takeovers += other.takeovers;
        self.acknowledged += other.acknowledged;
        self.flushes += other.flushes;
        self.trimmed += other.trimmed;
        self.proofs += other.proofs;
        self.fenced += other.fenced;
        self.unknown += other.unknown;
        self.unavailable += other.unavailable;
        self.invalid += other.invalid;
        self.calls += other.calls;
    }
}

/// How often an owner does what, in milliseconds at most; mostly less.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rhythm {
    pub(crate) take_over: u64,
    pub(crate) append: u64,
    pub(crate) flush: u64,
    pub(crate) prove: u64,
}

impl Rhythm {
    fn of(lots: &mut Lots) -> Self {
        let mut one_of = |these: [u64; 4]| these[lots.below(4) as usize];
        Self {
            take_over: one_of([2_000, 15_000, 15_000, 60_000]),
            append: one_of([50, 150, 150, 10_000]),
            flush: one_of([300, 3_000, 3_000, 20_000]),
            prove: one_of([50, 500, 500, 10_000]),
        }
    }
}

/// What everybody shares.
pub(crate) struct World {
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) stop: AtomicBool,
    pub(crate) rhythm: Rhythm,
    outcome: Mutex<Outcome>,
}

impl World {
    pub(crate) fn count(&self, count: impl FnOnce(&mut Outcome)) {
        count(&mut self.outcome.lock());
    }

    pub(crate) fn failed(&self, who: &str, error: &Error) {
        match error {
            Error::Fenced(_) => self.count(|all| all.fenced += 1),
            Error::Unknown(_) => self.count(|all| all.unknown += 1),
            Error::Unavailable(_) => self.count(|all| all.unavailable += 1),
            Error::Invalid(_) => self.count(|all| all.invalid += 1),
            Error::Full(_) | Error::Sealed(_) | Error::Corrupt(_) => {
                self.ledger.lock().wrong(format!("{who} is told: {error}"));
            }
        }
    }
}

/// What goes wrong in the history of `seed`: some of everything, more or less often.
pub(crate) fn plan(seed: u64) -> Plan {
    let mut lots = Lots::of(seed ^ 0x706C_616E);
    Plan::rough().scaled(|usual| usual * [0, 1, 1, 3][lots.below(4) as usize])
}

/// The history of `seed`, of stores that are opened as `configure` says.
pub(crate) fn run(seed: u64, configure: fn(&mut Config)) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(history(seed, configure))
}

async fn history(seed: u64, configure: fn(&mut Config)) -> Outcome {
    let mut lots = Lots::of(seed);
    let service = Arc::new(Mvcc::new(lots.below(5) as usize));
    let plan = plan(seed);
    let mut config = Config::new(CLUSTER, 0);
    configure(&mut config);
    let world = Arc::new(World {
        ledger: Mutex::default(),
        stop: AtomicBool::new(false),
        rhythm: Rhythm::of(&mut lots),
        outcome: Mutex::default(),
    });
    let mut incarnation = 0;
    let mut process = |name: &str, plan: Plan, lots: &mut Lots| {
        incarnation += 1;
        let client = Client::new(Arc::clone(&service), plan, lots.next());
        let config = Config { incarnation, ..config.clone() };
        let store = Transactional::new(config, Arc::new(client.clone()), Virtual::shared());
        Arc::new(Process { name: name.to_owned(), world: Arc::clone(&world), client, store })
    };
    let mut all = JoinSet::new();
    for at in 1..=PROCESSES {
        let process = process(&format!("process {at}"), plan, &mut lots);
        all.spawn(Arc::clone(&process).run(lots.branch()));
        all.spawn(process.freezes(lots.branch()));
    }
    all.spawn(process("the feed", Plan { outage: 0, ..plan }, &mut lots).follows(lots.branch()));
    sleep(LONG).await;
    world.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    sleep(LATE).await;
    let last = process("the last owner", Plan::calm(), &mut lots);
    end(&last, &service).await;
    let mut outcome = world.outcome.lock().clone();
    outcome.wrong = std::mem::take(&mut world.ledger.lock().wrong);
    (outcome.calls, outcome.digest) = (service.calls(), service.digest());
    outcome
}

/// Looks at what is there when everybody has gone.
async fn end(last: &Process, service: &Mvcc) {
    let wrong = |what: String| last.world.ledger.lock().wrong(what);
    let term = match last.take_over(1).await {
        Ok(term) => term,
        Err(error) => return wrong(format!("the last owner is told: {error}")),
    };
    let extent = last.store.extent(SHARD).await.unwrap();
    let records = match last.store.read(SHARD, extent.trimmed, usize::MAX).await {
        Ok(records) => records,
        Err(error) => return wrong(format!("the last owner is told: {error}")),
    };
    {
        let mut ledger = last.world.ledger.lock();
        for record in &records {
            ledger.see(record.number, &record.bytes, "the last owner");
        }
        let there = |number| extent.trimmed < number && records.iter().all(|record| record.number != number);
        let lost: Vec<u64> = ledger.acknowledged.keys().copied().filter(|number| there(*number)).collect();
        if !lost.is_empty() {
            ledger.wrong(format!("records {lost:?} were acknowledged, and are not there"));
        }
        if ledger.image(term.number()) != *term.image() {
            ledger.wrong(format!("the rows are not what records up to {} have made", term.number()));
        }
    }
    if let Err(error) = last.store.flush(SHARD, term.changes(), term.number()).await {
        return wrong(format!("the last owner is told: {error}"));
    }
    let rows: Vec<Bytes> = (0..ROWS).map(key).collect();
    let found = last.store.get(&rows).await.unwrap();
    let wanted = (0..ROWS).map(|row| term.image().get(&row).map(|mark| Bytes::copy_from_slice(&mark.to_be_bytes())));
    if found != wanted.collect::<Vec<_>>() {
        wrong("the rows that the last owner has flushed are not there".to_owned());
    }
    marks(last, service, term.number());
}

/// Marks never go back, and of two records the later one has the later time.
fn marks(last: &Process, service: &Mvcc, number: u64) {
    let mut ledger = last.world.ledger.lock();
    let keys = Keys { cluster: CLUSTER };
    let pairs = |history: Vec<Version>, pair: fn(Option<&Bytes>) -> [u64; 2]| -> Vec<[u64; 2]> {
        history.iter().map(|version| pair(version.value.as_ref())).collect()
    };
    let guards = pairs(service.history(&keys.guard(SHARD)), |bytes| {
        let guard = Guard::decode(bytes).unwrap();
        [guard.epoch, guard.checkpoint]
    });
    let marks = pairs(service.history(&keys.trim(SHARD)), |bytes| {
        let mark = Mark::decode(bytes).unwrap();
        [mark.through, mark.gone]
    });
    for (name, history) in [("guard", guards), ("trim mark", marks)] {
        if !history.windows(2).all(|two| two[0][0] <= two[1][0] && two[0][1] <= two[1][1]) {
            ledger.wrong(format!("the {name} went back: {history:?}"));
        }
    }
    let mut before = 0;
    for at in 1..=number {
        let history = service.history(&keys.record(SHARD, at));
        let Some(first) = history.first() else { continue };
        if first.commit <= before {
            ledger.wrong(format!("record {at} has an earlier time than the one before it"));
        }
        before = first.commit;
        let whole = first.value.clone().is_some_and(|value| Record::decode(value).is_ok());
        if !whole {
            ledger.wrong(format!("record {at} was deleted before it was written"));
        }
    }
}
