//! Rows as they are stored. Codes (`reservation`, `reason`, …) are given in their fields' comments;
//! 0 is the commonest, so that it takes no bytes.

/// An item.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ItemRow {
    /// Units on the shelf.
    #[prost(uint64, tag = "1")]
    pub on_hand: u64,
    /// Units held.
    #[prost(uint64, tag = "2")]
    pub held: u64,
    /// Lines that cannot be met wait.
    #[prost(bool, tag = "3")]
    pub backorder: bool,
    /// Units that orders wait for.
    #[prost(uint64, tag = "4")]
    pub backordered: u64,
    /// Units put in by hand.
    #[prost(sint64, tag = "5")]
    pub received: i64,
    /// Units that have left.
    #[prost(uint64, tag = "6")]
    pub fulfilled: u64,
    /// Units that have come back.
    #[prost(uint64, tag = "7")]
    pub restocked: u64,
    /// First place of the queue.
    #[prost(uint64, tag = "8")]
    pub queue_head: u64,
    /// After the last place of the queue.
    #[prost(uint64, tag = "9")]
    pub queue_tail: u64,
    /// Version.
    #[prost(uint64, tag = "10")]
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "11")]
    pub updated_ms: u64,
}

/// An order; its id is in its key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OrderRow {
    /// Customer; absent for a guest.
    #[prost(string, optional, tag = "1")]
    pub customer: Option<String>,
    /// The customer's number.
    #[prost(string, optional, tag = "2")]
    pub reference: Option<String>,
    /// ISO 4217 code, three letters, big-endian in the low 24 bits.
    #[prost(fixed32, tag = "3")]
    pub currency: u32,
    /// Lines.
    #[prost(message, repeated, tag = "4")]
    pub lines: Vec<LineRow>,
    /// 0 held, 1 undecided, 2 rejected, 3 cancelled, 4 expired.
    #[prost(uint32, tag = "5")]
    pub reservation: u32,
    /// 0 on account, 1 prepaid.
    #[prost(uint32, tag = "6")]
    pub terms: u32,
    /// Payment; absent while nothing has happened.
    #[prost(message, optional, tag = "7")]
    pub payment: Option<PaymentRow>,
    /// Shipments.
    #[prost(message, repeated, tag = "8")]
    pub fulfillments: Vec<ShipmentRow>,
    /// Returns.
    #[prost(message, repeated, tag = "9")]
    pub returns: Vec<ReturnRow>,
    /// Cancellation.
    #[prost(message, optional, tag = "10")]
    pub cancellation: Option<CancellationRow>,
    /// What can be held leaves at once.
    #[prost(bool, tag = "11")]
    pub fulfil_at_once: bool,
    /// When the reservation runs out, milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "12")]
    pub expires_ms: Option<u64>,
    /// Version.
    #[prost(uint64, tag = "13")]
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "14")]
    pub created_ms: u64,
    /// Milliseconds after `created_ms` (or before, for imported orders of the past: zigzag).
    #[prost(sint64, tag = "15")]
    pub updated_after_ms: i64,
}

/// A line.
#[derive(Clone, PartialEq, prost::Message)]
pub struct LineRow {
    /// Item.
    #[prost(string, tag = "1")]
    pub sku: String,
    /// Units ordered.
    #[prost(uint64, tag = "2")]
    pub quantity: u64,
    /// Minor units per unit.
    #[prost(uint64, tag = "3")]
    pub unit_price: u64,
    /// Units without an answer.
    #[prost(uint64, tag = "4")]
    pub requested: u64,
    /// Units held.
    #[prost(uint64, tag = "5")]
    pub held: u64,
    /// Units that wait.
    #[prost(uint64, tag = "6")]
    pub backordered: u64,
    /// Units that have left.
    #[prost(uint64, tag = "7")]
    pub fulfilled: u64,
    /// Units cancelled.
    #[prost(uint64, tag = "8")]
    pub cancelled: u64,
    /// Units returned.
    #[prost(uint64, tag = "9")]
    pub returned: u64,
    /// Units restocked.
    #[prost(uint64, tag = "10")]
    pub restocked: u64,
    /// 0 none, 1 insufficient stock, 2 unknown SKU.
    #[prost(uint32, tag = "11")]
    pub reason: u32,
    /// Number of the last claim.
    #[prost(uint32, tag = "12")]
    pub operation: u32,
    /// Newest revision heard of.
    #[prost(uint32, tag = "13")]
    pub revision: u32,
    /// Claim under way: what the item's side was known to hold.
    #[prost(message, optional, tag = "14")]
    pub claim_from: Option<UnitsRow>,
    /// Claim under way: what it shall hold.
    #[prost(message, optional, tag = "15")]
    pub claim_to: Option<UnitsRow>,
}

/// Units that a line claims.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct UnitsRow {
    /// Open.
    #[prost(uint64, tag = "1")]
    pub open: u64,
    /// Left.
    #[prost(uint64, tag = "2")]
    pub fulfilled: u64,
    /// Come back.
    #[prost(uint64, tag = "3")]
    pub restocked: u64,
}

/// A payment; minor units.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct PaymentRow {
    /// Authorized.
    #[prost(uint64, tag = "1")]
    pub authorized: u64,
    /// Captured.
    #[prost(uint64, tag = "2")]
    pub captured: u64,
    /// Refunded.
    #[prost(uint64, tag = "3")]
    pub refunded: u64,
    /// Given back.
    #[prost(uint64, tag = "4")]
    pub voided: u64,
    /// The last attempt failed.
    #[prost(bool, tag = "5")]
    pub failed: bool,
    /// Its outcome is not known.
    #[prost(bool, tag = "6")]
    pub unknown: bool,
}

/// Units of one line.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct LineUnitsRow {
    /// Index of the line, from 0.
    #[prost(uint32, tag = "1")]
    pub line: u32,
    /// Units.
    #[prost(uint64, tag = "2")]
    pub units: u64,
}

/// A shipment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ShipmentRow {
    /// What was in it.
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<LineUnitsRow>,
    /// The carrier's code.
    #[prost(string, optional, tag = "2")]
    pub tracking: Option<String>,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "3")]
    pub at_ms: u64,
}

/// A return.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReturnRow {
    /// What came back.
    #[prost(message, repeated, tag = "1")]
    pub lines: Vec<LineUnitsRow>,
    /// Went back on the shelf.
    #[prost(bool, tag = "2")]
    pub restocked: bool,
    /// Why.
    #[prost(string, optional, tag = "3")]
    pub reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub at_ms: u64,
}

/// A cancellation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CancellationRow {
    /// Why.
    #[prost(string, optional, tag = "1")]
    pub reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub at_ms: u64,
}

/// The item's side of a line; order and line are in its key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HoldRow {
    /// Item.
    #[prost(string, tag = "1")]
    pub sku: String,
    /// Last operation.
    #[prost(uint32, tag = "2")]
    pub operation: u32,
    /// Revision.
    #[prost(uint32, tag = "3")]
    pub revision: u32,
    /// Units held.
    #[prost(uint64, tag = "4")]
    pub held: u64,
    /// Units that wait.
    #[prost(uint64, tag = "5")]
    pub backordered: u64,
    /// Units that have left.
    #[prost(uint64, tag = "6")]
    pub fulfilled: u64,
    /// Units that have come back.
    #[prost(uint64, tag = "7")]
    pub restocked: u64,
    /// 0 not refused, 1 insufficient stock, 2 unknown SKU.
    #[prost(uint32, tag = "8")]
    pub refused: u32,
    /// Place in the queue.
    #[prost(uint64, optional, tag = "9")]
    pub queued: Option<u64>,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "10")]
    pub updated_ms: u64,
}

/// A place in an item's queue.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BackorderRow {
    /// Order id, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    pub order: Vec<u8>,
    /// Index of the line, from 0.
    #[prost(uint32, tag = "2")]
    pub line: u32,
}

/// An idempotency key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IdempotencyRow {
    /// Fingerprint of the body, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    pub fingerprint: Vec<u8>,
    /// Order id, 16 bytes big-endian; absent for an item.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub order: Option<Vec<u8>>,
    /// Outcome of a wish to cancel: 0 none was asked for, 1 done, 2 too late, 3 already.
    #[prost(uint32, tag = "3")]
    pub cancel: u32,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub expires_ms: u64,
}

/// A reference.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReferenceRow {
    /// Order id, 16 bytes big-endian; absent for a credit.
    #[prost(bytes = "vec", optional, tag = "1")]
    pub order: Option<Vec<u8>>,
}

/// A message that has no answer yet: exactly one of the two.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OutboxRow {
    /// To the item's shard.
    #[prost(message, optional, tag = "1")]
    pub claim: Option<ClaimRow>,
    /// To the order's shard.
    #[prost(message, optional, tag = "2")]
    pub report: Option<ReportRow>,
}

/// A claim; order and line are in the key.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClaimRow {
    /// Item.
    #[prost(string, tag = "1")]
    pub sku: String,
    /// Operation.
    #[prost(uint32, tag = "2")]
    pub operation: u32,
    /// Revision heard of.
    #[prost(uint32, tag = "3")]
    pub revision: u32,
    /// What the item's side is known to hold.
    #[prost(message, optional, tag = "4")]
    pub from: Option<UnitsRow>,
    /// What it shall hold.
    #[prost(message, optional, tag = "5")]
    pub to: Option<UnitsRow>,
}

/// A report; order and line are in the key.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ReportRow {
    /// Operation.
    #[prost(uint32, tag = "1")]
    pub operation: u32,
    /// Revision.
    #[prost(uint32, tag = "2")]
    pub revision: u32,
    /// Units held.
    #[prost(uint64, tag = "3")]
    pub held: u64,
    /// Units that wait.
    #[prost(uint64, tag = "4")]
    pub backordered: u64,
    /// Units that have left.
    #[prost(uint64, tag = "5")]
    pub fulfilled: u64,
    /// Units that have come back.
    #[prost(uint64, tag = "6")]
    pub restocked: u64,
    /// 0 not refused, 1 insufficient stock, 2 unknown SKU.
    #[prost(uint32, tag = "7")]
    pub refused: u32,
}
