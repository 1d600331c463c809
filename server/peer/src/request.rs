//! What one member asks of another. Says what is wanted, never who has to do it.

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use ordermill_order::Command;

/// Something that one member asks of another. Each kind has its kind of [`Answer`](crate::Answer).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Apply a command.
    Apply {
        /// The slot that the command goes to.
        slot: u16,
        /// How many members have passed it on.
        hops: u8,
        /// How long to wait for the decision about an order; whole milliseconds travel.
        wait: Duration,
        /// The command.
        command: Command,
    },
    /// Apply commands of one shard in their order.
    ApplyMany {
        /// A slot of the shard that the commands go to.
        slot: u16,
        /// How many members have passed them on.
        hops: u8,
        /// How long to wait for the decisions about orders; whole milliseconds travel.
        wait: Duration,
        /// The commands.
        commands: Vec<Command>,
    },
    /// Read a committed row, linearizably.
    Get {
        /// The slot of the row.
        slot: u16,
        /// How many members have passed it on.
        hops: u8,
        /// The row's key.
        key: Bytes,
    },
    /// Read committed rows in key order.
    Scan {
        /// A slot of the shard that is read.
        slot: u16,
        /// How many members have passed it on.
        hops: u8,
        /// Where to begin.
        from: Bound<Bytes>,
        /// Where to end.
        to: Bound<Bytes>,
        /// Rows at most.
        limit: usize,
    },
    /// The number of the last committed record of each shard that is served there.
    Numbers,
    /// A sign of life; what is in it is its sender's and receiver's matter. Goes ahead of commands
    /// and reads, and finds room when those find none.
    Beat(Bytes),
    /// An order of the one who runs the cluster; otherwise like a beat.
    Admin(Bytes),
}

/// Which kind of request, or of answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Apply,
    ApplyMany,
    Get,
    Scan,
    Numbers,
    Beat,
    Admin,
}

impl Request {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Apply { .. } => Kind::Apply,
            Self::ApplyMany { .. } => Kind::ApplyMany,
            Self::Get { .. } => Kind::Get,
            Self::Scan { .. } => Kind::Scan,
            Self::Numbers => Kind::Numbers,
            Self::Beat(_) => Kind::Beat,
            Self::Admin(_) => Kind::Admin,
        }
    }
}

impl Kind {
    /// Whether it goes ahead of the others and has room of its own.
    pub(crate) fn is_urgent(self) -> bool {
        matches!(self, Self::Beat | Self::Admin)
    }
}
