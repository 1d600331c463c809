//! One journal record.

use bytes::Bytes;

/// What one batch of commands has changed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// The format that the record is written in.
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// The shard's time, milliseconds since the Unix epoch; never goes back.
    #[prost(uint64, tag = "2")]
    pub time_ms: u64,
    /// The shard's sequence after the record: the number of the next order.
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    /// The owner's incarnation.
    #[prost(uint64, tag = "4")]
    pub incarnation: u64,
    /// The rows that changed, each once, as they are afterwards.
    #[prost(message, repeated, tag = "5")]
    pub changes: Vec<Change>,
    /// What the feed tells of it, in order.
    #[prost(message, repeated, tag = "6")]
    pub events: Vec<Event>,
    /// In the first record of a shard that was split from another: where it goes on.
    #[prost(message, optional, tag = "7")]
    pub parent: Option<RecordParent>,
}

/// The record of another shard after which a journal begins.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct RecordParent {
    /// The shard that was split.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The last record of its journal.
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

/// A row as it is after the record.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Change {
    /// The row's key.
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    /// The row; absent when it was deleted.
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub value: Option<Bytes>,
}

/// Something that the feed tells; the changed row has the details.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Event {
    /// Index of the change that it is about.
    #[prost(uint32, tag = "1")]
    pub change: u32,
    /// The row's version when it happened.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// The order's status when it happened, as stored; 0 for an item.
    #[prost(uint32, tag = "3")]
    pub status: u32,
    /// Whether that status was new.
    #[prost(bool, tag = "4")]
    pub entered: bool,
}
