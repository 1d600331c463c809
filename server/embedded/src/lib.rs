//! The embedded store: one process, one data directory.
//!
//! ```text
//! LOCK      whose directory it is          journal/   what was appended, all shards in one log
//! FORMAT    how it was created             rows/      what was flushed, in the row engine
//! VALUES    coordination, trim marks
//! ```
//!
//! An append costs one fsync that all shards share; a flush is off that way. What the rows contain
//! is durable before a record may be trimmed. Knows no orders, and never reads a clock itself.

mod flush;
mod lock;
mod log;
mod measure;
mod rows;
mod space;
mod values;
mod warmth;

use std::fmt;
use std::fs::File;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::{clock, limits};
use ordermill_store::{Change, Error, Extent, Fence, Page, Record, ShardId, Store};
use parking_lot::Mutex;

use self::flush::Flushes;
use self::log::{Log, Marks};
use self::measure::Measures;
use self::rows::Rows;
use self::space::Space;
use self::values::Values;
use self::warmth::Warmth;

/// Smallest segment: what is smaller only makes files.
const SEGMENT_BYTES_MIN: u64 = 8 << 10;
/// Largest segment: places in it are kept in 32 bits.
const SEGMENT_BYTES_MAX: u64 = 2 << 30;
/// Most shards: each costs 16 bytes in the header of every segment.
const SHARDS_MAX: u32 = limits::SLOTS;

/// How an embedded store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory that holds everything; made when it is not there.
    pub data_dir: PathBuf,
    /// The cluster that the rows belong to; fixed when the directory is made, below `u32::MAX`.
    pub cluster: u32,
    /// How many shards there are, numbered from 0; fixed when the directory is made.
    pub shards: u32,
    /// Bytes of one file of the journal, 8 KiB to 2 GiB; reserved when it is begun.
    pub segment_bytes: u64,
    /// Free bytes of the file system below which writes are refused, so that merging rows, which
    /// needs room for a while, does not meet a full disk.
    pub free_bytes_min: u64,
    /// Open a damaged journal without the records from the damaged place on. What is dropped is
    /// kept as `<file>.corrupt`. Records that were acknowledged may be among them.
    pub accept_corruption: bool,
    /// Bytes of the row engine's block cache: the largest part of the memory that the store uses.
    pub engine_cache_bytes: u64,
}

impl Config {
    /// The usual settings for a data directory.
    pub fn new(data_dir: impl Into<PathBuf>, cluster: u32, shards: u32) -> Self {
        Self {
            data_dir: data_dir.into(),
            cluster,
            shards,
            segment_bytes: limits::SEGMENT_BYTES,
            free_bytes_min: limits::FREE_BYTES_MIN,
            accept_corruption: false,
            engine_cache_bytes: limits::ENGINE_CACHE_BYTES,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = if self.cluster == u32::MAX {
            "cluster 4294967295 is reserved".to_owned()
        } else if !(1..=SHARDS_MAX).contains(&self.shards) {
            format!("{} shards: 1 to {SHARDS_MAX} are possible", self.shards)
        } else if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            format!("segments of {} bytes: {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} are possible", self.segment_bytes)
        } else {
            return Ok(());
        };
        Err(Error::Invalid(wrong))
    }
}

/// An open embedded store; cheap to clone.
#[derive(Clone)]
pub struct Embedded(Arc<Inner>);

struct Inner {
    config: Config,
    clock: clock::Shared,
    measures: Measures,
    space: Space,
    values: Values,
    rows: Rows,
    log: Log,
    flushes: Flushes,
    warmth: Warmth,
    /// Held as long as anything of the store is in use.
    lock: Mutex<Option<File>>,
}

impl Embedded {
    /// Opens a data directory, or makes one. Reads what the rows do not contain yet, so it may
    /// take a moment: not for an async worker.
    ///
    /// `Unavailable` when another process has it open, `Invalid` when it was made otherwise,
    /// `Corrupt` with file and offset when it is damaged.
    pub fn open(config: Config, clock: clock::Shared) -> Result<Self, Error> {
        config.check()?;
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|error| lock::unavailable(dir, &error))?;
        let held = lock::lock(dir)?;
        lock::check_format(dir, config.cluster, config.shards)?;
        let journal_dir = dir.join("journal");
        std::fs::create_dir_all(&journal_dir)
            .and_then(|()| log::sync_dir(dir))
            .map_err(|error| lock::unavailable(&journal_dir, &error))?;
        let measures = Measures::new();
        let values = Values::open(dir)?;
        let rows = Rows::open(&dir.join("rows"), config.engine_cache_bytes)?;
        let mark = |shard| Ok(Marks { checkpoint: rows.mark(shard)?, trimmed: values.trimmed(shard) });
        let marks = (0..config.shards).map(mark).collect::<Result<Vec<Marks>, Error>>()?;
        let log_config = log::Config {
            dir: journal_dir,
            shards: config.shards,
            segment_bytes: config.segment_bytes,
            accept_corruption: config.accept_corruption,
        };
        let mut raise = |shard, through| values.raise_trimmed(shard, through);
        let log = Log::open(log_config, &marks, &mut raise, Arc::clone(&clock), measures.clone())?;
        let space = Space::new(dir.clone(), config.free_bytes_min, Arc::clone(&clock), measures.free.clone());
        Ok(Self(Arc::new(Inner {
            config,
            clock,
            measures,
            space,
            values,
            rows,
            log,
            flushes: Flushes::default(),
            warmth: Warmth::default(),
            lock: Mutex::new(Some(held)),
        })))
    }

    /// The cluster and the number of shards that a directory was created for; `None` when it holds no data.
    /// Opens nothing.
    pub fn made_for(data_dir: &Path) -> Result<Option<(u32, u32)>, Error> {
        lock::made_for(data_dir)
    }

    /// Whether writes are refused for want of room.
    pub fn is_full(&self) -> bool {
        self.0.log.is_full() || self.0.space.is_full()
    }

    /// Runs what may wait for a disk where waiting harms nobody.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&inner)).await;
        done.unwrap_or_else(|error| Err(Error::Unknown(format!("the store's work was not finished: {error}"))))
    }

    fn shard(&self, shard: ShardId) -> Result<u32, Error> {
        if shard.0 < self.0.config.shards {
            return Ok(shard.0);
        }
        Err(Error::Invalid(format!("shard {shard} of {}", self.0.config.shards)))
    }
}

impl Inner {
    fn trim(&self, shard: u32, through: u64) -> Result<(), Error> {
        let extent = self.log.extent(shard);
        if through > extent.checkpoint {
            let checkpoint = extent.checkpoint;
            return Err(Error::Invalid(format!(
                "trimming shard {shard} to {through}: its rows contain records up to {checkpoint} only"
            )));
        }
        if through <= extent.trimmed {
            return Ok(());
        }
        self.values.raise_trimmed(shard, through)?;
        self.log.trim(shard, through)
    }

    fn measured<T>(&self, begun: Duration, done: Result<T, Error>) -> Result<T, Error> {
        self.measures.store.called(1);
        self.measures.store.took(self.clock.elapsed().saturating_sub(begun));
        done.inspect_err(|error| self.measures.store.failed(error.kind()))
    }
}

#[async_trait::async_trait]
impl Store for Embedded {
    /// The lock of the directory has ended every earlier owner.
    async fn take_over(&self, shard: ShardId, _fence: &Fence<'_>) -> Result<Extent, Error> {
        self.extent(shard).await
    }

    async fn prove(&self, shard: ShardId) -> Result<(), Error> {
        self.shard(shard).map(drop)
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        self.0.space.check(0)?;
        self.0.log.append(shard, number, record).await
    }

    async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        self.0.log.read(self.shard(shard)?, after, max_bytes).await
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent, Error> {
        Ok(self.0.log.extent(self.shard(shard)?))
    }

    async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        self.blocking(move |inner| inner.trim(shard, through)).await
    }

    /// Off the runtime's threads where reads wait for the disk, or are many: one cold read holds up everything else on
    /// its thread.
    async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let begun = self.0.clock.elapsed();
        if self.0.warmth.is_warm(keys.len(), begun) {
            let read = self.0.rows.get(keys);
            self.0.warmth.took(begun, self.0.clock.elapsed());
            return self.0.measured(begun, read);
        }
        let keys = keys.to_vec();
        self.blocking(move |inner| inner.measured(begun, inner.rows.get(&keys))).await
    }

    async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        let begun = self.0.clock.elapsed();
        self.blocking(move |inner| inner.measured(begun, inner.rows.scan(from, to, limit))).await
    }

    async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let begun = self.0.clock.elapsed();
        let done = self.flush_in_turn(shard, rows, checkpoint).await;
        self.0.measured(begun, done)
    }

    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.0.values.load(name))
    }

    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.values.compare_and_set(&name, expected.as_ref(), new)).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.blocking(|inner| {
            inner.log.close();
            inner.rows.close();
            *inner.lock.lock() = None;
            Ok(())
        })
        .await
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("data_dir", &self.0.config.data_dir).finish_non_exhaustive()
    }
}
