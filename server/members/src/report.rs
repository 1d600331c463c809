//! What a member tells the coordinator of its shards and of itself.
//!
//! Numbers only, as of now; what follows from them is the plan's business.

use std::fmt;
use std::time::Duration;

use ordermill_store::ShardId;

/// How far a member is with a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShardState {
    /// Taking over, or reading the journal back.
    Starting,
    /// Answering requests.
    Serving,
    /// Handing over, or stopping.
    Stopping,
    /// Its journal has ended, with the last committed record: others are to take its place.
    Sealed,
}

/// One shard, as the member that serves it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardReport {
    /// Which.
    pub shard: ShardId,
    /// How far the member is with it.
    pub state: ShardState,
    /// The number of the record with which this member began.
    pub epoch: u64,
    /// The last committed record.
    pub committed: u64,
    /// Records after the checkpoint: what a takeover has to replay.
    pub checkpoint_lag: u64,
    /// How long commands wait lately before the shard takes them, the store's own time left out.
    pub queue_delay: Duration,
    /// Commands per second, lately.
    pub commands_per_s: u64,
    /// Bytes of changed rows that are not flushed.
    pub unflushed_bytes: u64,
}

/// The process, all shards together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessReport {
    /// Share of its processors that is in use, in thousandths.
    pub busy_permille: u32,
    /// How long commands wait lately before a shard takes them: the longest of all shards.
    pub queue_delay: Duration,
    /// Shards that are being handed over or taken over.
    pub moves: u32,
}

/// Where the service asks what to tell.
pub trait Report: Send + Sync + fmt::Debug + 'static {
    /// The shards that this process serves, begins to serve or stops serving.
    fn shards(&self) -> Vec<ShardReport>;

    /// The process itself.
    fn process(&self) -> ProcessReport;
}
