//! The rows: a sorted table that changes in whole flushes. The only file that names the engine.
//!
//! The engine is fjall. A flush arrives sorted and complete, so it becomes a table of its own
//! (*ingestion*) instead of going through the engine's log and memory tables: it is written once,
//! it is there as a whole or not at all, a full disk leaves no half of it, and the engine keeps no
//! unwritten rows in memory. What `flush` has answered is durable.
//!
//! Marks are rows too, behind all others: keys that begin with four bytes of 0xff, a cluster that
//! no store may have. So one table carries the rows and the mark that they belong to.

use std::fmt;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use fjall::compaction::Leveled;
use fjall::config::{BloomConstructionPolicy, FilterPolicy, FilterPolicyEntry};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use ordermill_station::aside::give_way;
use ordermill_store::{Change, Error, Page};
use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::log::is_no_room;

/// What the keys of marks begin with; no row's key may.
pub(crate) const RESERVED: [u8; 4] = [0xff; 4];
/// One thread merges tables. With more, one of them waits for work that never comes, busily.
const WORKERS: usize = 1;
/// Tables that wait to be merged above which a flush waits: a look-up asks each of them.
const UNMERGED_TABLES: usize = 24;
/// Bits of the filter per row: a look-up of a key that is not there reads a table in one of a hundred.
const FILTER_BITS_PER_KEY: f32 = 10.0;
/// Where merging begins a new table. The fsync of a table holds up that of the journal: 64 MiB, the engine's own choice, did so
/// for 20 ms (docs/decisions/0017-flushes-give-way.md).
const TABLE_BYTES: u64 = 16 << 20;
/// How many tables flushes may have written before they are merged; the first level of merged ones has room for as many.
const FLUSHES_MERGED: u8 = 8;
/// Open files of the engine.
const OPEN_FILES: usize = 256;

/// The open rows.
pub(crate) struct Rows {
    dir: PathBuf,
    cache_bytes: u64,
    /// Held for reading while the engine is used, so that it can be replaced.
    engine: RwLock<State>,
}

enum State {
    Open(Engine),
    /// The engine stopped and did not open again yet.
    Stopped,
    Closed,
}

struct Engine {
    database: Database,
    rows: Keyspace,
}

impl Rows {
    /// Opens the rows in `dir`, or makes an empty table.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let engine = Engine::open(dir, cache_bytes)?;
        Ok(Self { dir: dir.to_owned(), cache_bytes, engine: RwLock::new(State::Open(engine)) })
    }

    /// The checkpoint of `shard`: what all flushed rows of it contain.
    pub(crate) fn mark(&self, shard: u32) -> Result<u64, Error> {
        let engine = self.engine()?;
        let found = engine.database.snapshot().get(&engine.rows, mark_key(shard));
        let found = found.map_err(|error| failed_in(&self.dir, &error))?;
        let Some(found) = found else { return Ok(0) };
        let bytes = <[u8; 8]>::try_from(&found[..]);
        bytes.map(u64::from_be_bytes).map_err(|_| Error::Corrupt(format!("the mark of shard {shard} is no number")))
    }

    /// Reads rows, all as of the same flush. Blocks while tables are read from disk.
    pub(crate) fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        let engine = self.engine()?;
        let snapshot = engine.database.snapshot();
        let get = |key: &Bytes| {
            if key.is_empty() || key.starts_with(&RESERVED) {
                return Ok(None);
            }
            let found = snapshot.get(&engine.rows, key).map_err(|error| failed_in(&self.dir, &error))?;
            // A copy: a slice would keep the whole block that it lies in alive.
            Ok(found.map(|value| Bytes::copy_from_slice(&value)))
        };
        keys.iter().map(get).collect()
    }

    /// Reads rows in order. Blocks while tables are read from disk.
    pub(crate) fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        let end = match to {
            Bound::Included(key) if key[..] < RESERVED[..] => Bound::Included(key),
            Bound::Excluded(key) if key[..] < RESERVED[..] => Bound::Excluded(key),
            _ => Bound::Excluded(Bytes::from_static(&RESERVED)),
        };
        if is_empty(&from, &end) {
            return Ok(Page::default());
        }
        let engine = self.engine()?;
        let mut page = Page::default();
        for entry in engine.database.snapshot().range::<Bytes, _>(&engine.rows, (from, end)) {
            if page.rows.len() == limit {
                page.more = true;
                break;
            }
            let (key, value) = entry.into_inner().map_err(|error| failed_in(&self.dir, &error))?;
            page.rows.push((Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value)));
        }
        Ok(page)
    }

    /// Writes rows, ascending by key, and marks of shards, ascending too; blocks until all are
    /// durable.
    pub(crate) fn flush(&self, rows: &[Change], marks: &[(u32, u64)]) -> Result<(), Error> {
        check(rows)?;
        let engine = self.working_engine()?;
        engine.ingest(rows, marks).map_err(|error| failed_in(&self.dir, &error))
    }

    /// Whether more tables wait to be merged than reading copes with well.
    pub(crate) fn is_behind(&self) -> bool {
        self.engine().is_ok_and(|engine| !engine.has_stopped() && engine.rows.l0_table_count() > UNMERGED_TABLES)
    }

    /// Closes the engine; waits for the merge that is under way.
    pub(crate) fn close(&self) {
        *self.engine.write() = State::Closed;
    }

    fn engine(&self) -> Result<MappedRwLockReadGuard<'_, Engine>, Error> {
        let state = self.engine.read();
        if matches!(*state, State::Stopped) {
            drop(state);
            return self.working_engine();
        }
        usable(state)
    }

    /// The engine; a new one when the old one stopped merging, as it does when it meets a full disk.
    fn working_engine(&self) -> Result<MappedRwLockReadGuard<'_, Engine>, Error> {
        let state = self.engine.read();
        match &*state {
            State::Open(engine) if !engine.has_stopped() => return usable(state),
            State::Closed => return usable(state),
            State::Open(_) | State::Stopped => drop(state),
        }
        let mut state = self.engine.write();
        let stopped = match &*state {
            State::Open(engine) => engine.has_stopped(),
            State::Stopped => true,
            State::Closed => false,
        };
        if stopped {
            tracing::warn!("the row engine has stopped merging and is opened again");
            // First the old one goes. Every row in it is durable, so nothing is lost.
            *state = State::Stopped;
            *state = State::Open(Engine::open(&self.dir, self.cache_bytes)?);
        }
        usable(RwLockWriteGuard::downgrade(state))
    }
}

fn usable(state: RwLockReadGuard<'_, State>) -> Result<MappedRwLockReadGuard<'_, Engine>, Error> {
    RwLockReadGuard::try_map(state, |state| match state {
        State::Open(engine) => Some(engine),
        State::Stopped | State::Closed => None,
    })
    .map_err(|state| {
        let why = if matches!(*state, State::Closed) { "the store is closed" } else { "the row engine has stopped" };
        Error::Unavailable(why.to_owned())
    })
}

impl Engine {
    fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let builder = Database::builder(dir)
            .cache_size(cache_bytes)
            .max_cached_files(Some(OPEN_FILES))
            .worker_threads(WORKERS)
            .manual_journal_persist(true);
        // The threads that merge are begun here.
        let database = give_way(|| builder.open()).map_err(|error| failed_in(dir, &error))?;
        let rows = database.keyspace("rows", options).map_err(|error| failed_in(dir, &error))?;
        Ok(Self { database, rows })
    }

    fn has_stopped(&self) -> bool {
        self.database.persist(PersistMode::Buffer).is_err()
    }

    fn ingest(&self, rows: &[Change], marks: &[(u32, u64)]) -> fjall::Result<()> {
        let mut ingestion = self.rows.start_ingestion()?;
        for (key, value) in rows {
            match value {
                Some(value) => ingestion.write(&key[..], &value[..])?,
                None => ingestion.write_tombstone(&key[..])?,
            }
        }
        for (shard, mark) in marks {
            ingestion.write(mark_key(*shard), mark.to_be_bytes())?;
        }
        ingestion.finish()
    }
}

fn options() -> KeyspaceCreateOptions {
    let filter = FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(FILTER_BITS_PER_KEY));
    let merging = Leveled::default().with_table_target_size(TABLE_BYTES).with_l0_threshold(FLUSHES_MERGED);
    KeyspaceCreateOptions::default()
        .filter_policy(FilterPolicy::all(filter))
        .compaction_strategy(Arc::new(merging))
        .manual_journal_persist(true)
}

fn mark_key(shard: u32) -> Vec<u8> {
    [&RESERVED[..], b"mark", &shard.to_be_bytes()].concat()
}

/// Whether rows may be written: keys that are allowed, in ascending order.
pub(crate) fn check(rows: &[Change]) -> Result<(), Error> {
    let allowed = |key: &Bytes| !key.is_empty() && u16::try_from(key.len()).is_ok() && !key.starts_with(&RESERVED);
    if !rows.iter().all(|(key, _)| allowed(key)) {
        return Err(Error::Invalid("a key is empty, longer than 65535 bytes or reserved".to_owned()));
    }
    if !rows.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(Error::Invalid("rows are not in ascending order of their keys".to_owned()));
    }
    Ok(())
}

fn is_empty(from: &Bound<Bytes>, to: &Bound<Bytes>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
        _ => false,
    }
}

fn failed(error: &fjall::Error) -> Error {
    let what = format!("row engine: {error}");
    match io_error(error) {
        Some(io) if is_no_room(io) => Error::Full(what),
        Some(_) => Error::Unknown(what),
        None if matches!(error, fjall::Error::Poisoned | fjall::Error::Locked) => Error::Unavailable(what),
        None => Error::Corrupt(what),
    }
}

/// The same, told where.
fn failed_in(dir: &Path, error: &fjall::Error) -> Error {
    match failed(error) {
        Error::Corrupt(what) => {
            // Whoever is answered may not be who can restore it.
            tracing::error!(dir = %dir.display(), what, "rows are damaged");
            Error::Corrupt(format!("{}: {what}. Restore a backup", dir.display()))
        }
        other => other,
    }
}

fn io_error(error: &fjall::Error) -> Option<&std::io::Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        source = error.source();
    }
    None
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("dir", &self.dir).finish_non_exhaustive()
    }
}
