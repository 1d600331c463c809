//! Stored records and rows: protobuf messages, their numbers and their bytes.
//!
//! A record holds the after-images of the rows it changed, each once, and its events; replaying it
//! needs no rule about orders. Unknown fields are skipped, numbers are never reused, and what may
//! be written is gated by [`FORMAT`]. Knows no order semantics: amounts and codes are numbers here.

mod record;
mod rows;

pub use record::{Change, Event, Record};
pub use rows::{
    BackorderRow, CancellationRow, ClaimRow, HoldRow, IdempotencyRow, ItemRow, LineRow, LineUnitsRow, OrderRow,
    OutboxRow, PaymentRow, ReferenceRow, ReportRow, ReturnRow, ShipmentRow, UnitsRow,
};

/// The format that this build writes. A store remembers the highest format written to it; a build
/// that does not know it refuses to open the store.
pub const FORMAT: u32 = 1;

/// The bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be read: {why}")]
pub struct Unreadable {
    /// What was to be read.
    pub what: &'static str,
    /// Why it could not.
    pub why: String,
}

/// Reads a message.
pub fn decode<M: prost::Message + Default>(what: &'static str, bytes: impl bytes::Buf) -> Result<M, Unreadable> {
    M::decode(bytes).map_err(|error| Unreadable { what, why: error.to_string() })
}
