//! The store on a transactional key-value service that several processes share.
//!
//! ```text
//! append      one insert of the next number, read back before it counts
//! take over   one insert too; its number is the epoch, which the guard then carries
//! flush       rows at timestamps at which the guard names this owner, read back, then the mark
//! prove       a look that finds nothing behind the last record
//! trim        the mark, then the records
//! seal        the guard raised to an epoch that nobody can have
//! ```
//!
//! What makes an append happen exactly once, whoever else writes and whatever the service leaves
//! unsaid, stands here; how the service is called stands behind [`Service`]. Knows no orders, and
//! compares no clocks.

mod append;
mod call;
mod flush;
mod found;
mod garbage;
mod journal;
pub mod keys;
mod measure;
mod owner;
mod peek;
mod place;
mod planted;
mod rows;
mod seal;
mod service;
mod settle;
mod shards;
pub mod stored;
mod trim;
mod values;

use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use ordermill_station::clock;
use ordermill_store::{Change, Error, Extent, Fence, Known, Page, Peek, Record, ShardId, Store};

use self::call::Calls;
use self::keys::Keys;
use self::shards::{Shard, Shards};
use self::stored::Nonce;

#[cfg(feature = "planted-faults")]
pub use self::planted::Planted;
pub use self::service::{Failure, Mutation, Service, Timestamp};

/// How a shared store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster that everything belongs to: several may share one service.
    pub cluster: u32,
    /// Names this run of this process among all that ever were: drawn at random.
    pub incarnation: u64,
    /// Whether [`Transactional::collect_garbage`] may be called: not where others share the service and
    /// somebody else does it.
    pub drive_gc: bool,
    /// The step of the protocol that a test leaves out.
    #[cfg(feature = "planted-faults")]
    pub planted: Option<Planted>,
}

impl Config {
    /// The usual settings. `incarnation` is drawn at random by the caller, for each run anew.
    pub fn new(cluster: u32, incarnation: u64) -> Self {
        Self {
            cluster,
            incarnation,
            drive_gc: false,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }
}

/// An open shared store; cheap to clone.
///
/// A shard is owned here from [`Store::take_over`] until a call answers `Fenced` or `Unknown`. After
/// `Fenced` further calls that write it answer `Fenced` too, after `Unknown` they answer `Invalid`,
/// until it is taken over again.
#[derive(Clone)]
pub struct Transactional(Arc<Inner>);

pub(crate) struct Inner {
    config: Config,
    clock: clock::Shared,
    keys: Keys,
    calls: Calls,
    shards: Shards,
    /// Counts what this run writes.
    batch: AtomicU64,
    closed: AtomicBool,
}

impl Inner {
    pub(crate) fn shard(&self, shard: ShardId) -> Result<Arc<Shard>, Error> {
        self.shards.get(shard)
    }

    /// What no other write has.
    pub(crate) fn nonce(&self) -> Nonce {
        let batch = self.batch.fetch_add(1, Ordering::Relaxed) + 1;
        Nonce { incarnation: self.config.incarnation, batch }
    }
}

impl Transactional {
    /// The store of `config.cluster` in `service`. Calls nothing yet.
    pub fn new(config: Config, service: Arc<dyn Service>, clock: clock::Shared) -> Self {
        Self(Arc::new(Inner {
            keys: Keys { cluster: config.cluster },
            calls: Calls::new(service, clock.clone(), config.incarnation),
            shards: Shards::default(),
            batch: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            config,
            clock,
        }))
    }

    fn open(&self) -> Result<&Inner, Error> {
        if self.0.closed.load(Ordering::Relaxed) {
            return Err(Error::Unavailable("the store is closed".to_owned()));
        }
        Ok(&self.0)
    }
}

#[async_trait::async_trait]
impl Store for Transactional {
    /// Takes the number behind the last record, raises the guard, and reads how far things are.
    ///
    /// `Fenced` when yet another owner was faster, `Sealed` when the journal has ended, `Unavailable` when nothing was written, `Unknown`
    /// when the record with which the owner begins may be there: taking over again does no harm.
    /// `Corrupt` when a record is missing.
    async fn take_over(&self, shard: ShardId, fence: &Fence<'_>) -> Result<Extent, Error> {
        let inner = self.open()?;
        inner.take_over(&*inner.shard(shard)?, fence).await
    }

    /// `Unavailable` when the service does not answer: the shard is still owned then.
    async fn prove(&self, shard: ShardId) -> Result<(), Error> {
        self.open()?.prove(shard).await
    }

    fn is_shared(&self) -> bool {
        true
    }

    /// `Unavailable` when nothing was ever sent; `Fenced` when another owner's record stands at `number`,
    /// so that this one never will; `Unknown` when it was sent and there was no evidence within
    /// [`STORE_EVIDENCE`](ordermill_station::limits::STORE_EVIDENCE), or the evidence has been trimmed by
    /// another owner. Dropped before its end it counts as `Unknown`.
    async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error> {
        self.open()?.append(shard, number, record).await
    }

    /// Every read is as of a timestamp that is taken after the call. Of a shard that is owned elsewhere
    /// it answers what is there, which may be less than its owner knows of.
    async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        self.open()?.read(shard, after, max_bytes).await
    }

    /// From memory where the shard is owned here, else from the service.
    async fn extent(&self, shard: ShardId) -> Result<Extent, Error> {
        self.open()?.extent(shard).await
    }

    /// `Unavailable` when the service does not answer: the journal may have ended, or still may, unless it is
    /// taken over first.
    async fn seal(&self, shard: ShardId, last: u64) -> Result<(), Error> {
        self.open()?.seal(shard, last).await
    }

    /// Records are deleted only some time after the shard was taken over; the mark moves at once.
    async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        self.open()?.trim(shard, through).await
    }

    async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        self.open()?.get(keys).await
    }

    /// Rows of this cluster only, whatever the bounds.
    async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        self.open()?.scan(from, to, limit).await
    }

    async fn peek(&self, shard: ShardId, key: &[u8], known: Known) -> Result<Peek, Error> {
        self.open()?.peek(shard, key, known).await
    }

    async fn time_ms(&self) -> Result<Option<u64>, Error> {
        self.open()?.time_ms().await.map(Some)
    }

    /// After `Unavailable` some rows may have been written, and others not, and the mark may have moved:
    /// the same rows, or later ones, have to be flushed again. The shard is still owned then.
    async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        self.open()?.flush(shard, rows, checkpoint).await
    }

    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.open()?.load(name).await
    }

    /// `Unknown` when the service did not say, and others have replaced the value since, more than once.
    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        self.open()?.compare_and_set(name, expected.as_ref(), new).await
    }

    /// Every later call is `Unavailable`. What was acknowledged is durable already.
    async fn close(&self) -> Result<(), Error> {
        self.0.closed.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl fmt::Debug for Transactional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transactional").field("config", &self.0.config).finish_non_exhaustive()
    }
}
