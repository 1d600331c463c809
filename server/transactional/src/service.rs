//! What is asked of the service under the store: a handful of calls with snapshot isolation.
//!
//! The calls promise little, because the real ones do. Nothing here retries, waits or measures:
//! whoever calls does.

use std::fmt;

use bytes::Bytes;

/// A point in the service's own time, later than every one that it has given out before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds since the Unix epoch by the service's clock: the bits above the lowest 18.
    pub fn physical_ms(self) -> u64 {
        self.0 >> 18
    }
}

/// A key and what it is to hold; `None` deletes it.
pub type Mutation = (Bytes, Option<Bytes>);

/// What a call ended with instead of an answer.
///
/// After a write none of them says whether it has happened, or still will: a lost answer, a retry that
/// met its own first attempt, and a time that ran out look alike from here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The key exists already, or was changed after the transaction's timestamp.
    #[error("conflict: {0}")]
    Conflict(String),
    /// A lock that somebody left stands in the way.
    #[error("locked: {0}")]
    Locked(String),
    /// No answer, or one that means as much.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The service refuses the call as it is: too large, malformed, not allowed.
    #[error("refused: {0}")]
    Refused(String),
}

/// A transactional key-value service, as far as a store needs it.
///
/// An `Ok` of a write is a hint and no proof: the write may have sent nothing. A future that is
/// dropped cancels nothing that it has sent.
#[async_trait::async_trait]
pub trait Service: Send + Sync + fmt::Debug + 'static {
    /// A timestamp that is later than everything that was committed before the call.
    async fn timestamp(&self) -> Result<Timestamp, Failure>;

    /// Begins a transaction that will write: a timestamp as `timestamp` gives it, to be handed to one call
    /// of `insert` or `write` of the same service. Nothing is sent by it, and one that is not used needs no
    /// end; one that was left for long, or is older than a `reconnect`, may be forgotten.
    async fn begin(&self) -> Result<Timestamp, Failure>;

    /// Writes `key` in the transaction that began at `start`, in one phase, if no value is there. Whether
    /// one is there does not depend on `start`; a value that was deleted after `start` is a conflict.
    ///
    /// Whatever the answer, `start` is used up then. One that is used up or forgotten is `Unavailable`, and
    /// nothing was sent: begin again.
    async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure>;

    /// Writes all of `mutations`, or none, in the transaction that began at `start`: a conflict if one
    /// of the keys was changed after `start`. At most 16,384 bytes of keys and values together where
    /// there is more than one. `start` is used up as by `insert`.
    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure>;

    /// The value of `key` as of `at`.
    async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure>;

    /// The values of `keys` as of `at`, in their order.
    async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure>;

    /// The first `limit` keys from `from` (included) to `to` (excluded) as of `at`, ascending. `limit`
    /// is at least 1; a caller that expects large values asks for few.
    async fn scan(&self, at: Timestamp, from: Bytes, to: Bytes, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure>;

    /// Ends the transactions that left locks on keys from `from` (included) to `to` (excluded), of those
    /// that began before `before`, and perhaps one that began just then: a transaction that still runs
    /// there fails.
    async fn clean_up(&self, before: Timestamp, from: Bytes, to: Bytes) -> Result<(), Failure>;

    /// Lets the service forget versions that nobody can read at `at` or later.
    async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure>;

    /// Throws away what the client remembers of the service (where regions are, connections) and begins
    /// anew: for a client that keeps failing.
    async fn reconnect(&self) -> Result<(), Failure>;
}
