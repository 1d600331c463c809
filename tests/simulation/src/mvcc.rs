//! A store of many versions with timestamps, locks and snapshot isolation, as TiKV has them.
//!
//! What a transaction may rely on is kept: a write at `start` fails if the key was changed after
//! `start`; what is committed is visible at every timestamp that is taken afterwards; what was not
//! visible at a timestamp stays invisible there. What it may not rely on is not kept: a commit in one
//! phase gets its time from the last read of its region, so that of two records the later one may have
//! the earlier time. Loses nothing and never fails by itself.

mod service;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ordermill_transactional::{Failure, Mutation, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Tally;
use crate::clock::BEGIN_MS;

/// Bytes of keys and values of a transaction with several keys.
const TRANSACTION_BYTES: usize = 16_384;
/// Bytes of an answer.
const ANSWER_BYTES: usize = 4 << 20;
/// Bits of a timestamp below its milliseconds.
const LOGICAL_BITS: u32 = 18;

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// When the transaction began that wrote it.
    pub start: u64,
    /// From when on it can be seen.
    pub commit: u64,
    /// The value; none: deleted.
    pub value: Option<Bytes>,
}

#[derive(Clone, Debug)]
struct Lock {
    start: u64,
    primary: Bytes,
    value: Option<Bytes>,
}

#[derive(Debug, Default)]
struct Key {
    /// Ascending by `commit`.
    versions: Vec<Version>,
    lock: Option<Lock>,
    /// Transactions that were ended before they committed: they may not come back.
    ended: BTreeSet<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// The last timestamp given out.
    last: u64,
    keys: BTreeMap<Bytes, Key>,
    /// Transactions that have begun and written nothing yet.
    begun: BTreeSet<u64>,
    /// The latest read of each region.
    read: Vec<u64>,
    /// How often boundaries between regions have moved.
    moves: u64,
    /// The latest commit.
    committed: u64,
    tally: Tally,
    safe_point: u64,
    calls: u64,
    digest: u64,
}

/// The store. Its calls answer at once.
#[derive(Debug)]
pub struct Mvcc {
    origin: Instant,
    state: Mutex<State>,
}

impl Mvcc {
    /// An empty store with so many regions. Which region a key is in says nothing about where its
    /// neighbours are. With none, commits take their time from the oracle.
    pub fn new(regions: usize) -> Self {
        let state = State { read: vec![0; regions], ..State::default() };
        Self { origin: Instant::now(), state: Mutex::new(state) }
    }

    /// All versions of `key`, ascending.
    pub fn history(&self, key: &[u8]) -> Vec<Version> {
        self.state.lock().keys.get(key).map(|key| key.versions.clone()).unwrap_or_default()
    }

    /// What stands at `key` now, locks left aside.
    pub fn latest(&self, key: &[u8]) -> Option<Bytes> {
        self.history(key).pop()?.value
    }

    /// How many calls there were.
    pub fn calls(&self) -> u64 {
        self.state.lock().calls
    }

    /// What has gone wrong so far.
    pub fn tally(&self) -> Tally {
        self.state.lock().tally
    }

    /// Counts what goes wrong.
    pub(crate) fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.state.lock().tally);
    }

    /// All keys that begin with `prefix` and were ever written, in order.
    pub fn keys(&self, prefix: &[u8]) -> Vec<Bytes> {
        let state = self.state.lock();
        let from = state.keys.range(Bytes::copy_from_slice(prefix)..);
        from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Moves the boundaries between regions. Whoever serves a region from then on takes a timestamp first,
    /// so that it gives no time before a read that it does not know of.
    pub fn move_regions(&self) {
        let now_ms = self.now_ms();
        let mut state = self.state.lock();
        let now = state.oracle(now_ms);
        state.read.iter_mut().for_each(|read| *read = now);
        state.moves += 1;
        state.tally.moves += 1;
    }

    /// A number that depends on every call so far, its time, its arguments and its outcome.
    pub fn digest(&self) -> u64 {
        self.state.lock().digest
    }

    fn now_ms(&self) -> u64 {
        BEGIN_MS + self.origin.elapsed().as_millis() as u64
    }

    /// Carries out one call and makes it part of the digest.
    fn step<T>(
        &self,
        what: (&str, u64, &[u8]),
        call: impl FnOnce(&mut State) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let now_ms = self.now_ms();
        let mut state = self.state.lock();
        let done = call(&mut state);
        state.tally.locked += u64::from(matches!(done, Err(Failure::Locked(_))));
        state.calls += 1;
        let mut digest = state.digest ^ 0xCBF2_9CE4_8422_2325;
        let parts =
            [&now_ms.to_le_bytes()[..], what.0.as_bytes(), &what.1.to_le_bytes(), what.2, &[u8::from(done.is_ok())]];
        for byte in parts.concat() {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        state.digest = digest;
        done
    }

    /// A timestamp later than all others.
    pub fn now(&self) -> Timestamp {
        let now_ms = self.now_ms();
        let taken = self.step(("timestamp", 0, &[]), |state| Ok(state.oracle(now_ms)));
        Timestamp(taken.unwrap_or_default())
    }

    /// Uses up a transaction that has begun. `Unavailable` when there is none.
    pub fn take(&self, start: Timestamp) -> Result<(), Failure> {
        if self.state.lock().begun.remove(&start.0) {
            return Ok(());
        }
        Err(Failure::Unavailable(format!("no transaction has begun at {}, or it has written already", start.0)))
    }

    /// Writes all of `mutations` in one phase, or none; `new`: no value may be there.
    pub fn one_phase(&self, start: Timestamp, mutations: &[Mutation], new: bool) -> Result<(), Failure> {
        let now_ms = self.now_ms();
        let first = mutations.first().map(|(key, _)| key.clone()).unwrap_or_default();
        self.step(("one phase", start.0, &first), |state| {
            check_size(mutations)?;
            for (key, _) in mutations {
                state.may_write(start.0, key, new)?;
            }
            let commit = state.commit_time(start.0, mutations.iter().map(|(key, _)| key), now_ms);
            for (key, value) in mutations {
                let versions = &mut state.keys.entry(key.clone()).or_default().versions;
                versions.push(Version { start: start.0, commit, value: value.clone() });
            }
            Ok(())
        })
    }

    /// The first phase of two: leaves locks on all keys. The first key is the primary one.
    pub fn prewrite(&self, start: Timestamp, mutations: &[Mutation], new: bool) -> Result<(), Failure> {
        let primary = mutations.first().map(|(key, _)| key.clone()).unwrap_or_default();
        self.step(("prewrite", start.0, &primary.clone()), |state| {
            check_size(mutations)?;
            for (key, _) in mutations {
                state.may_write(start.0, key, new)?;
            }
            for (key, value) in mutations {
                let lock = Lock { start: start.0, primary: primary.clone(), value: value.clone() };
                state.keys.entry(key.clone()).or_default().lock = Some(lock);
            }
            Ok(())
        })
    }

    /// The second phase for the first `count` of `mutations`; the first of all decides.
    pub fn commit(&self, start: Timestamp, mutations: &[Mutation], count: usize) -> Result<(), Failure> {
        let now_ms = self.now_ms();
        let Some((primary, _)) = mutations.first() else { return Ok(()) };
        self.step(("commit", start.0, primary), |state| {
            let committed = state.committed(primary, start.0);
            let locked =
                state.keys.get(primary).and_then(|key| key.lock.as_ref()).is_some_and(|lock| lock.start == start.0);
            if committed.is_none() && !locked {
                return Err(Failure::Conflict("the transaction was ended".to_owned()));
            }
            let commit = committed.unwrap_or_else(|| state.oracle(now_ms));
            for (key, _) in &mutations[..count.min(mutations.len())] {
                state.unlock(key, start.0, Some(commit));
            }
            Ok(())
        })
    }
}

impl State {
    fn oracle(&mut self, now_ms: u64) -> u64 {
        self.last = (self.last + 1).max(now_ms << LOGICAL_BITS);
        self.last
    }

    fn region(&self, key: &[u8]) -> usize {
        let hash = key.iter().fold(0xCBF2_9CE4_8422_2325_u64 ^ self.moves, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        });
        (hash >> 7) as usize % self.read.len()
    }

    fn may_write(&self, start: u64, name: &Bytes, new: bool) -> Result<(), Failure> {
        let Some(key) = self.keys.get(name) else { return Ok(()) };
        if let Some(lock) = &key.lock {
            return Err(Failure::Locked(format!("{name:?} by {}", lock.start)));
        }
        let last = key.versions.last();
        if new && last.is_some_and(|last| last.value.is_some()) {
            return Err(Failure::Conflict(format!("{name:?} exists")));
        }
        if last.is_some_and(|last| last.commit > start) || key.ended.contains(&start) {
            return Err(Failure::Conflict(format!("{name:?} was changed after {start}")));
        }
        Ok(())
    }

    /// In one phase a region gives the time after its latest read, which may lie long before now.
    fn commit_time<'a>(&mut self, start: u64, keys: impl Iterator<Item = &'a Bytes>, now_ms: u64) -> u64 {
        if self.read.is_empty() {
            return self.oracle(now_ms);
        }
        let commit = keys.map(|key| self.read[self.region(key)]).fold(start, u64::max) + 1;
        self.tally.early_commits += u64::from(commit < self.last);
        self.tally.inverted_commits += u64::from(commit < self.committed);
        self.committed = self.committed.max(commit);
        commit
    }

    fn reads(&mut self, at: u64, key: &[u8]) {
        if !self.read.is_empty() {
            let region = self.region(key);
            self.read[region] = self.read[region].max(at);
        }
    }

    fn see(&self, at: u64, name: &Bytes) -> Result<Option<Bytes>, Failure> {
        if at < self.safe_point {
            return Err(Failure::Refused("older than the safe point".to_owned()));
        }
        let Some(key) = self.keys.get(name) else { return Ok(None) };
        if let Some(lock) = &key.lock
            && lock.start <= at
        {
            return Err(Failure::Locked(format!("{name:?} by {}", lock.start)));
        }
        let visible = key.versions.iter().rev().find(|version| version.commit <= at);
        Ok(visible.and_then(|version| version.value.clone()))
    }

    /// When the transaction that began at `start` committed `key`.
    fn committed(&self, key: &Bytes, start: u64) -> Option<u64> {
        let versions = &self.keys.get(key)?.versions;
        versions.iter().find(|version| version.start == start).map(|version| version.commit)
    }

    /// Commits, or ends, what holds a lock on `name`.
    fn unlock(&mut self, name: &Bytes, start: u64, commit: Option<u64>) {
        let Some(key) = self.keys.get_mut(name) else { return };
        let Some(lock) = key.lock.take_if(|lock| lock.start == start) else { return };
        match commit {
            Some(commit) => key.versions.push(Version { start, commit, value: lock.value }),
            None => drop(key.ended.insert(start)),
        }
    }

    fn clean_up(&mut self, before: u64, from: &Bytes, to: &Bytes) {
        if from >= to {
            return;
        }
        let locks: Vec<(Bytes, Lock)> = self
            .keys
            .range(from.clone()..to.clone())
            .filter_map(|(name, key)| Some((name.clone(), key.lock.clone().filter(|lock| lock.start < before)?)))
            .collect();
        for (name, lock) in locks {
            let commit = self.committed(&lock.primary, lock.start);
            if commit.is_none() {
                self.unlock(&lock.primary, lock.start, None);
                self.keys.entry(lock.primary).or_default().ended.insert(lock.start);
            }
            self.unlock(&name, lock.start, commit);
        }
    }

    fn collect_garbage(&mut self, at: u64) {
        self.safe_point = self.safe_point.max(at);
        self.keys.retain(|_, key| {
            let visible = key.versions.iter().rposition(|version| version.commit <= at);
            if let Some(visible) = visible {
                let gone = visible + usize::from(key.versions[visible].value.is_none());
                key.versions.drain(..gone);
            }
            key.ended = key.ended.split_off(&at);
            !key.versions.is_empty() || key.lock.is_some() || !key.ended.is_empty()
        });
    }
}

fn check_size(mutations: &[Mutation]) -> Result<(), Failure> {
    if let Some((key, _)) = mutations.iter().find(|(_, value)| value.as_ref().is_some_and(Bytes::is_empty)) {
        return Err(Failure::Refused(format!("an empty value for {key:?}")));
    }
    let bytes: usize = mutations.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len)).sum();
    if bytes <= TRANSACTION_BYTES || (mutations.len() == 1 && bytes <= 2 * ANSWER_BYTES) {
        return Ok(());
    }
    Err(Failure::Refused(format!("{} mutations of {bytes} bytes", mutations.len())))
}

fn check_answer(bytes: usize) -> Result<(), Failure> {
    if bytes <= ANSWER_BYTES {
        return Ok(());
    }
    Err(Failure::Unavailable(format!("an answer of {bytes} bytes")))
}
