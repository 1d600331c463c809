//! Where orders are kept: the trait that every store implements, its errors and its keys.
//!
//! The only crate that says what durability is. Knows bytes, numbers and keys; knows no order.

pub mod keys;

use std::fmt;
use std::ops::Bound;

use bytes::Bytes;

/// A shard's identity; a shard is a contiguous range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One journal record as the store keeps it. Numbers of a shard begin at 1 and have no gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Position in the shard's journal.
    pub number: u64,
    /// The encoded record, at most 1 MiB.
    pub bytes: Bytes,
}

/// A changed row on its way to the store: `None` deletes.
pub type Change = (Bytes, Option<Bytes>);

/// A page of rows in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Keys and values, ascending.
    pub rows: Vec<(Bytes, Bytes)>,
    /// True when the range held more rows than the page.
    pub more: bool,
}

/// How far a shard's journal is, as the store knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// All records up to here are contained in the flushed rows (0: none).
    pub checkpoint: u64,
    /// Records up to here may be gone (0: none).
    pub trimmed: u64,
    /// The last record (0: none).
    pub last: u64,
}

/// A row as it stood in a shared store at one moment, read without its owner, and what it may lack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// The row.
    pub row: Option<Bytes>,
    /// The moment, by the store's time: milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The row contained all records up to here, at least.
    pub checkpoint: u64,
    /// The record that was looked for behind them; none: there was none at the moment, or the caller knows
    /// it.
    pub behind: Option<Record>,
}

/// What a caller knows of the records of a shard behind its checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Records up to here change no row, as far as the checkpoint does not contain them.
    pub quiet: u64,
    /// The first record that may change one; 0: not known.
    pub first: u64,
}

/// What a caller can do about a store's refusal.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another owner wrote here: stop at once, this shard is no longer ours.
    #[error("fenced: another owner has written record {0}")]
    Fenced(u64),
    /// The journal of this shard has ended with this record: it was split, and its slots belong to others.
    #[error("sealed: the shard was split, its journal ends with record {0}")]
    Sealed(u64),
    /// The write may or may not have happened: stop, reopen, and read what is there.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// Nothing was written; the same call may succeed later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Nothing was written: there is no room for it.
    #[error("no room left: {0}")]
    Full(String),
    /// The call itself is wrong and will never succeed.
    #[error("invalid: {0}")]
    Invalid(String),
    /// What was read is not what was written: a human has to decide.
    #[error("corrupt: {0}")]
    Corrupt(String),
}

impl Error {
    /// A fixed word per kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Fenced(_) => "fenced",
            Self::Sealed(_) => "sealed",
            Self::Unknown(_) => "unknown",
            Self::Unavailable(_) => "unavailable",
            Self::Full(_) => "full",
            Self::Invalid(_) => "invalid",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

/// Makes the record with which an owner begins, from the last record of the journal (none: `None`).
///
/// It carries on what the last record says of the shard, so that whoever reads the journal next finds
/// that in its last record whoever wrote it.
pub type Fence<'a> = dyn Fn(Option<&[u8]>) -> Result<Bytes, Error> + Send + Sync + 'a;

/// A store of journals and rows.
///
/// One caller per shard: `append` and `flush` of one shard are never called side by side with
/// themselves. Everything else may be called from anywhere.
#[async_trait::async_trait]
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Makes this process the owner of `shard` and ends every earlier one: what those append or flush
    /// from now on is refused. Answers how far the journal is then. Before it, `append`, `flush` and
    /// `trim` of the shard are `Invalid` where a store is shared.
    ///
    /// A store that other processes may write appends what `fence` makes: `last` is then its number, and
    /// the epoch of this owner. One that only this process has open appends nothing. `Sealed` once the
    /// journal has ended.
    async fn take_over(&self, shard: ShardId, fence: &Fence<'_>) -> Result<Extent, Error>;

    /// Returns when it is certain that, after this call began, no other owner had written to `shard`:
    /// what this owner had committed by then was all there was. `Fenced` otherwise.
    async fn prove(&self, shard: ShardId) -> Result<(), Error>;

    /// Whether other processes may write here. If not, nothing needs to be proven.
    fn is_shared(&self) -> bool;

    /// Makes record `number` of `shard` durable. Returns only when it survives a crash.
    ///
    /// `number` is the last one plus one: anything else is `Invalid`, or `Fenced` when another
    /// owner was there first. After `Unavailable` or `Full` nothing was written.
    async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error>;

    /// Reads records of `shard` after number `after`, in order and without gaps, about
    /// `max_bytes` of them but at least one where there is one. Below the trim mark: `Invalid`.
    async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error>;

    /// How far the journal of `shard` is.
    async fn extent(&self, shard: ShardId) -> Result<Extent, Error>;

    /// Ends the journal of `shard`, which is owned here, with its last record, which is `last`: all rows of
    /// all its records have been flushed. From then on nobody takes it over, appends to it or flushes for
    /// it, and whoever tries to take it over is told `Sealed`. Whatever the answer, this process owns the
    /// shard no more; after `Unavailable` it may have ended, and taking it over tells. `Invalid` where the
    /// shards of a store are fixed.
    async fn seal(&self, shard: ShardId, _last: u64) -> Result<(), Error> {
        Err(Error::Invalid(format!("shard {shard} cannot be sealed: the shards of this store are fixed")))
    }

    /// Allows the store to forget records of `shard` up to and including `through`, which must
    /// not lie past the checkpoint. The store may keep them longer. A sealed journal has no owner: anybody
    /// may do that.
    async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error>;

    /// Reads rows as of the last flush, in the order of `keys`.
    async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error>;

    /// Reads rows as of the last flush in key order, at most `limit`.
    async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error>;

    /// Reads a row as of the last flush without asking the owner of `shard`, its mark, and the record behind
    /// that, all at one moment that lies after the call. `Invalid` where a store is not shared: its owner is
    /// here. `Sealed` once the journal has ended: what it says of the row may be old.
    async fn peek(&self, shard: ShardId, _key: &[u8], _known: Known) -> Result<Peek, Error> {
        Err(Error::Invalid(format!("shard {shard} is read through its owner")))
    }

    /// The store's own time, milliseconds since the Unix epoch, later than the call began: what all who
    /// share it set their clocks by. None where it has none.
    async fn time_ms(&self) -> Result<Option<u64>, Error> {
        Ok(None)
    }

    /// Writes changed rows of `shard` (sorted by key) and, in the same step, the mark that all
    /// records up to `checkpoint` are contained in them.
    async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error>;

    /// Reads a small coordination value.
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error>;

    /// Durably replaces a small coordination value if it is still `expected`; says whether it was.
    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error>;

    /// Makes all flushed rows durable and releases what the store holds. The last call.
    async fn close(&self) -> Result<(), Error>;
}
