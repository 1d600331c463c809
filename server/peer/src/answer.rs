//! What a member answers, and why it may not have done what was asked.

use bytes::Bytes;
use ordermill_order::{Outcome, Refusal};
use ordermill_shard::Scan;
use ordermill_store::ShardId;

use crate::request::Kind;

/// The answer to a [`Request`](crate::Request) of the same kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What became of a command.
    Applied(Result<Outcome, Failure>),
    /// What became of each command, in their order; or why none was begun.
    AppliedMany(Result<Vec<Result<Outcome, Failure>>, Failure>),
    /// The row, if there is one.
    Row(Result<Option<Bytes>, Failure>),
    /// Rows in key order. May be shorter than asked for: what does not fit a frame is left out, and
    /// `next` says where to go on.
    Page(Result<Scan, Failure>),
    /// The number of the last committed record, per shard.
    Numbers(Vec<(ShardId, u64)>),
    /// The answer to a beat.
    Beat(Bytes),
    /// The answer to an order of the one who runs the cluster.
    Admin(Bytes),
}

impl Answer {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Applied(_) => Kind::Apply,
            Self::AppliedMany(_) => Kind::ApplyMany,
            Self::Row(_) => Kind::Get,
            Self::Page(_) => Kind::Scan,
            Self::Numbers(_) => Kind::Numbers,
            Self::Beat(_) => Kind::Beat,
            Self::Admin(_) => Kind::Admin,
        }
    }
}

/// Why a member did not do what was asked, by what the one who asked can do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The shard is not served there; nothing has changed. Ask its owner.
    #[error("the shard is not served there (its map has version {map_version})")]
    NotOwner {
        /// The version of the shard map that the member goes by: older than one's own, or newer.
        map_version: u64,
    },
    /// Refused by the state machine; nothing has changed, and nothing will by trying again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting; nothing has changed.
    #[error("too much is waiting")]
    Busy,
    /// It cannot be done there now, see the text; nothing has changed.
    #[error("{0}")]
    Unavailable(String),
    /// The store has no room; nothing has changed.
    #[error("{0}")]
    Full(String),
    /// It may or may not have happened.
    #[error("{0}")]
    Unknown(String),
}

impl From<ordermill_shard::Error> for Failure {
    fn from(error: ordermill_shard::Error) -> Self {
        match error {
            ordermill_shard::Error::Refused(refusal) => Self::Refused(refusal),
            ordermill_shard::Error::Busy => Self::Busy,
            ordermill_shard::Error::NotServed => Self::NotOwner { map_version: 0 },
            ordermill_shard::Error::Unavailable(text) => Self::Unavailable(text),
            ordermill_shard::Error::Full(text) => Self::Full(text),
            ordermill_shard::Error::Unknown(text) => Self::Unknown(text),
        }
    }
}
