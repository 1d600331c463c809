//! What happened, line by line: the same lines for the same seed.

use std::collections::BTreeMap;
use std::fmt;

use ordermill_history::{Call, Event, History};
use parking_lot::Mutex;
use tokio::time::Instant;

/// How much of it there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answers that told of a change.
    pub changes: u64,
    /// Orders that were placed and acknowledged.
    pub orders: u64,
    /// Answers to reads.
    pub reads: u64,
    /// Requests without an answer that could be believed.
    pub unknown: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Things that were made to go wrong.
    pub faults: u64,
    /// Events that were read from the feed.
    pub events: u64,
    /// Splits of shards that were taken on.
    pub splits: u64,
}

impl Counts {
    /// Adds those of another history.
    pub fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.orders += other.orders;
        self.reads += other.reads;
        self.unknown += other.unknown;
        self.refused += other.refused;
        self.faults += other.faults;
        self.events += other.events;
        self.splits += other.splits;
    }
}

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    history: History,
    ticks: u64,
    wrong: Vec<String>,
    counts: Counts,
    happened: BTreeMap<&'static str, u64>,
}

/// The log of one simulation.
pub(super) struct Log {
    origin: Instant,
    inner: Mutex<Inner>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), inner: Mutex::default() }
    }

    /// Adds a line.
    pub(super) fn tell(&self, line: fmt::Arguments<'_>) {
        let passed = self.origin.elapsed();
        let line = format!("{:>4}.{:06} {line}", passed.as_secs(), passed.subsec_micros());
        self.inner.lock().lines.push(line);
    }

    /// Something that a simulation is there for has happened.
    pub(super) fn happened(&self, what: &'static str) {
        *self.inner.lock().happened.entry(what).or_default() += 1;
    }

    /// Something of the kind `what` was made to go wrong.
    pub(super) fn fault(&self, what: &'static str, line: fmt::Arguments<'_>) {
        self.count(|counts| counts.faults += 1);
        self.happened(what);
        self.tell(format_args!("-- {line}"));
    }

    /// Something is wrong.
    pub(super) fn wrong(&self, what: String) {
        self.tell(format_args!("!! {what}"));
        self.inner.lock().wrong.push(what);
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.inner.lock().counts);
    }

    /// The next instant: no two are the same.
    pub(super) fn instant(&self) -> u64 {
        let mut inner = self.inner.lock();
        inner.ticks += 1;
        inner.ticks
    }

    pub(super) fn called(&self, call: Call) {
        self.inner.lock().history.calls.push(call);
    }

    pub(super) fn event(&self, event: Event) {
        self.count(|counts| counts.events += 1);
        self.inner.lock().history.events.push(event);
    }

    pub(super) fn set(&self, sku: &str, units: i64) {
        self.inner.lock().history.set.push((sku.to_owned(), units));
    }

    /// All of it; nothing is left.
    pub(super) fn end(&self) -> Ended {
        let Inner { lines, history, wrong, counts, happened, .. } = std::mem::take(&mut *self.inner.lock());
        Ended { wrong, history, lines, counts, happened }
    }
}

/// A log at the end of its simulation.
pub(super) struct Ended {
    /// What is wrong beside the history.
    pub(super) wrong: Vec<String>,
    pub(super) history: History,
    pub(super) lines: Vec<String>,
    pub(super) counts: Counts,
    pub(super) happened: BTreeMap<&'static str, u64>,
}
