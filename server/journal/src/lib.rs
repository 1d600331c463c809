//! Stored records and rows: protobuf messages, their numbers and their bytes.
//!
//! A record holds the after-images of the rows it changed, each once, and its events; replaying it
//! needs no rule about orders. Unknown fields are skipped, numbers are never reused, and what may
//! be written is gated by [`FORMAT`]. Knows no order semantics: amounts and codes are numbers here.

mod coordination;
mod record;
mod rows;

pub use coordination::{
    CoordinatorValue, MapMemberValue, MapParentValue, MapRebalancingValue, MapShardValue, MapSplitValue, MapValue,
    MapWasSplitValue, MigrationValue,
};
pub use record::{Change, Event, Record, RecordParent};
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

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn order() -> OrderRow {
        OrderRow {
            customer: Some("c-17".into()),
            currency: 0x0047_4250,
            lines: vec![LineRow { sku: "85123A".into(), quantity: 6, unit_price: 255, held: 6, ..LineRow::default() }],
            version: 1,
            created_ms: 1_291_191_960_000,
            ..OrderRow::default()
        }
    }

    #[test]
    fn golden_bytes() {
        // Stored bytes: a change here is a change of the format.
        let record = Record {
            format: FORMAT,
            time_ms: 5,
            sequence: 6,
            incarnation: 7,
            changes: vec![Change { key: "k".into(), value: Some("v".into()) }, Change { key: "d".into(), value: None }],
            events: vec![Event { change: 0, version: 1, status: 2, entered: true }],
            parent: None,
        };
        assert_eq!(hex(&record.encode_to_vec()), "08011005180620072a060a016b1201762a030a01643206100118022001");
        let first =
            Record { format: FORMAT, parent: Some(RecordParent { shard: 3, number: 300 }), ..Record::default() };
        assert_eq!(hex(&first.encode_to_vec()), "08013a05080310ac02");
        assert_eq!(
            hex(&order().encode_to_vec()),
            "0a04632d31371d50424700220f0a06383531323341100618ff012806680170c083a788ca25"
        );
        let item = ItemRow { on_hand: 10, held: 2, received: 10, version: 3, ..ItemRow::default() };
        assert_eq!(hex(&item.encode_to_vec()), "080a100228145003");
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let mut bytes = order().encode_to_vec();
        // Field 1000, a varint: what a newer build might have written.
        bytes.extend([0xC0, 0x3E, 0x05]);
        assert_eq!(decode::<OrderRow>("an order", &bytes[..]), Ok(order()));
        assert!(decode::<OrderRow>("an order", &bytes[..5]).is_err());
    }
}
