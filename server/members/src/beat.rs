//! What members tell the coordinator four times a second, and what it answers.
//!
//! A beat says all there is to say, so that none depends on one before it.

use std::time::Duration;

use bytes::Bytes;

use crate::election::Coordinator;
use crate::map::Member;
use crate::report::{ProcessReport, ShardReport};

/// A member is alive, and this is how it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) member: Member,
    /// It wants to be rid of its shards: it is about to stop.
    pub(crate) draining: bool,
    /// It stops now: this is its last beat.
    pub(crate) leaving: bool,
    /// It was being drained when a map named it last.
    pub(crate) was_draining: bool,
    /// It was cordoned when a map named it last.
    pub(crate) was_cordoned: bool,
    /// The version of the map that it knows.
    pub(crate) map_version: u64,
    /// The highest term that it has heard of.
    pub(crate) term: u64,
    /// How long its calls to the store have not succeeded.
    pub(crate) store_silence: Duration,
    pub(crate) shards: Vec<ShardReport>,
    pub(crate) process: ProcessReport,
}

/// What a member answers to a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The beat has reached the coordinator.
    Heard {
        term: u64,
        /// The newest map's version.
        version: u64,
        /// The newest map, if the beat knew an older one.
        map: Option<Bytes>,
    },
    /// The beat has reached the coordinator, and the member cannot take part: the store is in a format
    /// that it does not know.
    Unfit {
        /// The store's format.
        format: u32,
    },
    /// Somebody else coordinates, or nobody is known to.
    Elsewhere(Option<Coordinator>),
}
