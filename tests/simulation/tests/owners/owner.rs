//! One process that wants to own the shard: what a shard's task does, without orders.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ordermill_simulation::{Client, Lots};
use ordermill_store::keys::{Key, Kind};
use ordermill_store::{Change, Error, Extent, Store};
use ordermill_transactional::Transactional;
use parking_lot::Mutex;
use tokio::time::sleep;

use crate::ledger::{Entry, Image};
use crate::world::{CLUSTER, ROWS, SHARD, World};

/// A row's key: the rows lie in three slots.
pub(crate) fn key(row: u8) -> Bytes {
    let slot = u16::from(row % 3);
    Key { cluster: CLUSTER, slot, kind: Kind::Item, tenant: "", rest: &[row] }.encode().to_bytes()
}

fn stored(image: &Image, row: u8) -> Option<Bytes> {
    image.get(&row).map(|mark| Bytes::copy_from_slice(&mark.to_be_bytes()))
}

/// A process and its store.
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) world: Arc<World>,
    pub(crate) client: Client,
    pub(crate) store: Transactional,
}

/// What the owner knows while it is the owner.
#[derive(Default)]
pub(crate) struct Term {
    name: String,
    number: u64,
    image: Image,
    changed: BTreeSet<u8>,
    checkpoint: u64,
    over: bool,
}

impl Process {
    fn stopped(&self) -> bool {
        self.world.stop.load(Ordering::Relaxed)
    }

    /// Some time passes, and the process is running.
    async fn pause(&self, lots: &mut Lots, most_ms: u64) {
        sleep(Duration::from_millis(lots.skewed(0, most_ms))).await;
        self.client.thaw().await;
    }

    /// Takes over, and reads back what is there. `None` when that did not work out.
    pub(crate) async fn take_over(&self, began: usize) -> Result<Term, Error> {
        let put: Mutex<Bytes> = Mutex::default();
        let fence = |_: Option<&[u8]>| {
            let entry = self.world.ledger.lock().entry(BTreeSet::new());
            *put.lock() = entry.encode();
            Ok(entry.encode())
        };
        let Extent { checkpoint, trimmed, last } = self.store.take_over(SHARD, &fence).await?;
        let name = format!("{} in its term {began} from {last}", self.name);
        self.world.count(|all| all.takeovers += 1);
        self.world.ledger.lock().acknowledge(last, &put.lock(), &name);
        let mut term = Term { name, number: checkpoint, checkpoint, ..Term::default() };
        let mut after = checkpoint.max(trimmed);
        let mut records = Vec::new();
        while after < last {
            let page = self.store.read(SHARD, after, 200).await?;
            let Some(end) = page.last() else {
                return Err(Error::Corrupt(format!("{} reads nothing after {after}", term.name)));
            };
            after = end.number;
            records.extend(page);
        }
        let rows: Vec<Bytes> = (0..ROWS).map(key).collect();
        for (row, found) in (0..ROWS).zip(self.store.get(&rows).await?) {
            if let Some(found) = found {
                term.image.insert(row, u64::from_be_bytes(found[..].try_into().unwrap()));
            }
        }
        for record in records {
            if record.number != term.number + 1 {
                let (number, after) = (record.number, term.number);
                self.world.ledger.lock().wrong(format!("{} replays {number} after {after}", term.name));
            }
            self.world.ledger.lock().see(record.number, &record.bytes, &term.name);
            term.apply(record.number, &Entry::decode(&record.bytes));
        }
        Ok(term)
    }

    /// Wants to own the shard until everybody stops.
    pub(crate) async fn run(self: Arc<Self>, mut lots: Lots) {
        for began in 1.. {
            self.pause(&mut lots, self.world.rhythm.take_over).await;
            if self.stopped() {
                return;
            }
            let term = match self.take_over(began).await {
                Ok(term) => Mutex::new(term),
                Err(error) => {
                    self.world.failed(&self.name, &error);
                    continue;
                }
            };
            let (a, b, c) = (lots.branch(), lots.branch(), lots.branch());
            futures::join!(self.appends(&term, a), self.flushes(&term, b), self.proves(&term, c));
        }
    }

    fn ends(&self, term: &Mutex<Term>, error: &Error) {
        if !matches!(error, Error::Unavailable(_)) {
            term.lock().over = true;
        }
        self.world.failed(&term.lock().name, error);
    }

    fn goes_on(&self, term: &Mutex<Term>) -> bool {
        !self.stopped() && !term.lock().over
    }

    async fn appends(&self, term: &Mutex<Term>, mut lots: Lots) {
        loop {
            let long = if lots.in_thousand(30) { 5_000 } else { self.world.rhythm.append };
            self.pause(&mut lots, long).await;
            if !self.goes_on(term) {
                return;
            }
            let rows = (0..=lots.below(3)).map(|_| (lots.below(u64::from(ROWS)) as u8, !lots.in_thousand(200)));
            let entry = self.world.ledger.lock().entry(rows.collect());
            let number = term.lock().number + 1;
            let name = term.lock().name.clone();
            let bytes = entry.encode();
            match self.store.append(SHARD, number, bytes.clone()).await {
                Ok(()) => {
                    self.world.count(|all| all.acknowledged += 1);
                    self.world.ledger.lock().acknowledge(number, &bytes, &name);
                    term.lock().apply(number, &entry);
                }
                Err(error) => {
                    if !matches!(error, Error::Unknown(_)) {
                        self.world.ledger.lock().refuse(&bytes, error.to_string());
                    }
                    self.ends(term, &error);
                }
            }
        }
    }

    async fn flushes(&self, term: &Mutex<Term>, mut lots: Lots) {
        loop {
            let long = if lots.in_thousand(100) { 60_000 } else { self.world.rhythm.flush };
            self.pause(&mut lots, long).await;
            if !self.goes_on(term) {
                return;
            }
            let (rows, checkpoint, sent) = {
                let mut term = term.lock();
                let mut rows: Vec<Change> =
                    term.changed.iter().map(|row| (key(*row), stored(&term.image, *row))).collect();
                rows.sort();
                (rows, term.number, std::mem::take(&mut term.changed))
            };
            let done = self.store.flush(SHARD, rows, checkpoint).await;
            match done {
                Ok(()) => {
                    self.world.count(|all| all.flushes += 1);
                    term.lock().checkpoint = checkpoint;
                }
                Err(error) => {
                    term.lock().changed.extend(sent);
                    self.ends(term, &error);
                    continue;
                }
            }
            if lots.below(2) == 0 {
                let through = lots.skewed(0, checkpoint / 4);
                match self.store.trim(SHARD, checkpoint - through).await {
                    Ok(()) => self.world.count(|all| all.trimmed += 1),
                    Err(error) => self.ends(term, &error),
                }
            }
        }
    }

    async fn proves(&self, term: &Mutex<Term>, mut lots: Lots) {
        loop {
            let long = if lots.in_thousand(50) { 20_000 } else { self.world.rhythm.prove };
            self.pause(&mut lots, long).await;
            if !self.goes_on(term) {
                return;
            }
            let before = self.world.ledger.lock().last();
            match self.store.prove(SHARD).await {
                Ok(()) => {
                    self.world.count(|all| all.proofs += 1);
                    let term = term.lock();
                    let mut ledger = self.world.ledger.lock();
                    if before > term.number {
                        let (who, number) = (&term.name, term.number);
                        ledger.wrong(format!("{who} proves that {number} is all, after {before} was acknowledged"));
                    } else if ledger.image(term.number) != term.image {
                        let (who, number) = (&term.name, term.number);
                        ledger.wrong(format!("{who} reads other rows than records up to {number} have made"));
                    }
                }
                Err(error) => self.ends(term, &error),
            }
        }
    }

    /// Stops the process now and then, and lets it go on.
    pub(crate) async fn freezes(self: Arc<Self>, mut lots: Lots) {
        while !self.stopped() {
            self.pause(&mut lots, 40_000).await;
            let long = if lots.in_thousand(300) { 90_000 } else { 3_000 };
            self.client.freeze(Duration::from_millis(lots.skewed(1, long)));
        }
    }

    /// Reads the journal as the event feed does, and never owns anything.
    pub(crate) async fn follows(self: Arc<Self>, mut lots: Lots) {
        let (mut after, mut before) = (0, Extent::default());
        while !self.stopped() {
            self.pause(&mut lots, 400).await;
            match self.store.read(SHARD, after, 1_000).await {
                Ok(records) => {
                    for record in records {
                        let mut ledger = self.world.ledger.lock();
                        if record.number != after + 1 {
                            ledger.wrong(format!("the feed shows {} after {after}", record.number));
                        }
                        ledger.see(record.number, &record.bytes, "the feed");
                        after = record.number;
                    }
                }
                Err(Error::Invalid(_)) => match self.store.extent(SHARD).await {
                    Ok(extent) => {
                        let went_back = extent.checkpoint < before.checkpoint
                            || extent.trimmed < before.trimmed
                            || extent.last < before.last;
                        if went_back {
                            self.world.ledger.lock().wrong(format!("{extent:?} after {before:?}"));
                        }
                        (before, after) = (extent, extent.trimmed.max(after));
                    }
                    Err(error) => self.world.failed("the feed", &error),
                },
                Err(error) => self.world.failed("the feed", &error),
            }
        }
    }
}

impl Term {
    fn apply(&mut self, number: u64, entry: &Entry) {
        entry.apply(&mut self.image);
        self.changed.extend(entry.rows.iter().map(|(row, _)| *row));
        self.number = number;
    }

    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// All rows that differ from what was flushed, sorted.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let mut rows: Vec<Change> = self.changed.iter().map(|row| (key(*row), stored(&self.image, *row))).collect();
        rows.sort();
        rows
    }
}
