//! What a line of an order claims of an item, and what the item's side holds for it.
//!
//! The order's shard decides and says what it wants as *absolute* quantities; the item's shard
//! carries that out and reports what it holds. At most one claim per line is under way, each has
//! the line's next operation number, and each report has the hold's revision: so both may be
//! delivered any number of times.

use crate::{OrderId, Reason};

/// Units of one item that one line claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// Units that the line waits for or holds.
    pub open: u64,
    /// Units that have left, in all.
    pub fulfilled: u64,
    /// Units that have come back on the shelf, in all.
    pub restocked: u64,
}

/// A claim: the order's shard tells the item's shard what the line wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The order.
    pub order: OrderId,
    /// Index of the line, from 0.
    pub line: u16,
    /// The item.
    pub sku: Box<str>,
    /// The line's operation number, from 1.
    pub operation: u32,
    /// The revision that the order's shard has seen.
    pub revision: u32,
    /// What the order's shard knows the item's side to hold.
    pub from: Units,
    /// What it shall hold.
    pub to: Units,
}

/// A report: what the item's shard holds for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The order.
    pub order: OrderId,
    /// Index of the line, from 0.
    pub line: u16,
    /// The last operation that was carried out.
    pub operation: u32,
    /// Rises with every change of the hold.
    pub revision: u32,
    /// Units held.
    pub held: u64,
    /// Units that wait for stock.
    pub backordered: u64,
    /// Units that have left.
    pub fulfilled: u64,
    /// Units that have come back on the shelf.
    pub restocked: u64,
    /// The claim was refused; nothing is held.
    pub refused: Option<Reason>,
}

/// The item's side of a line: a row of its own, so that item rows stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The item.
    pub sku: Box<str>,
    /// The last operation that was carried out.
    pub operation: u32,
    /// Rises with every change.
    pub revision: u32,
    /// Units held.
    pub held: u64,
    /// Units that wait for stock.
    pub backordered: u64,
    /// Units that have left.
    pub fulfilled: u64,
    /// Units that have come back on the shelf.
    pub restocked: u64,
    /// The claim was refused: it stays refused however often it comes.
    pub refused: Option<Reason>,
    /// The place in the item's queue, while units wait.
    pub queued: Option<u64>,
    /// Milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

impl Hold {
    /// Whether nothing is held or waited for any more: the row only answers repeated claims.
    pub fn is_tombstone(&self) -> bool {
        self.held == 0 && self.backordered == 0
    }

    /// What this hold reports.
    pub fn report(&self, order: OrderId, line: u16) -> Report {
        Report {
            order,
            line,
            operation: self.operation,
            revision: self.revision,
            held: self.held,
            backordered: self.backordered,
            fulfilled: self.fulfilled,
            restocked: self.restocked,
            refused: self.refused,
        }
    }
}

/// A place in an item's queue of backordered lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backorder {
    /// The order.
    pub order: OrderId,
    /// Index of the line, from 0.
    pub line: u16,
}

/// A message from one shard to another, kept in the sender's outbox until it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To the item's shard; answered by a report.
    Claim(Claim),
    /// To the order's shard, unasked: the hold has changed, or is old. Answered by an
    /// acknowledgement.
    Report(Report),
}

impl Message {
    /// The order that the message is about.
    pub fn order(&self) -> OrderId {
        match self {
            Self::Claim(claim) => claim.order,
            Self::Report(report) => report.order,
        }
    }

    /// Index of the line that the message is about.
    pub fn line(&self) -> u16 {
        match self {
            Self::Claim(claim) => claim.line,
            Self::Report(report) => report.line,
        }
    }
}
