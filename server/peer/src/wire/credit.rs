//! Credits: units of a customer's earlier orders that are cancelled or come back, and what was
//! found of them.

use ordermill_journal as stored;
use ordermill_journal::Unreadable;
use ordermill_order::command::{Credit, Credited};
use ordermill_shard::convert::{id_of, id_to, line_units_of, line_units_to};

use super::identity::{PartitionWire, partition_of, partition_to, wide_of, wide_to};

/// A credit.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CreditWire {
    /// Where the customer's orders live.
    #[prost(message, optional, tag = "1")]
    partition: Option<PartitionWire>,
    #[prost(string, optional, tag = "2")]
    customer: Option<String>,
    /// Identity of the reference, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "3")]
    reference: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    lines: Vec<CreditLineWire>,
    /// Whether returned units go back on the shelf.
    #[prost(bool, tag = "5")]
    restock: bool,
    /// Order ids, 16 bytes big-endian each.
    #[prost(bytes = "vec", repeated, tag = "6")]
    candidates: Vec<Vec<u8>>,
}

/// Units of one item.
#[derive(Clone, PartialEq, prost::Message)]
struct CreditLineWire {
    #[prost(string, tag = "1")]
    sku: String,
    #[prost(uint64, tag = "2")]
    units: u64,
}

/// What a credit took from one order.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CreditedWire {
    /// Order id, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    order: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    cancelled: Vec<stored::LineUnitsRow>,
    #[prost(message, repeated, tag = "3")]
    returned: Vec<stored::LineUnitsRow>,
}

pub(super) fn credit_of(wire: CreditWire) -> Result<Credit, Unreadable> {
    let what = "a credit";
    Ok(Credit {
        partition: partition_of(what, wire.partition)?,
        customer: wire.customer.map(Into::into),
        reference: wide_of(what, &wire.reference)?,
        lines: wire.lines.into_iter().map(|CreditLineWire { sku, units }| (sku.into(), units)).collect(),
        restock: wire.restock,
        candidates: wire.candidates.iter().map(|id| id_of(what, id)).collect::<Result<_, _>>()?,
    })
}

pub(super) fn credit_to(credit: Credit) -> CreditWire {
    let Credit { partition, customer, reference, lines, restock, candidates } = credit;
    CreditWire {
        partition: Some(partition_to(partition)),
        customer: customer.map(Into::into),
        reference: wide_to(reference),
        lines: lines.into_iter().map(|(sku, units)| CreditLineWire { sku: sku.into(), units }).collect(),
        restock,
        candidates: candidates.into_iter().map(id_to).collect(),
    }
}

pub(super) fn credited_of(wire: CreditedWire) -> Result<Credited, Unreadable> {
    Ok(Credited {
        order: id_of("what a credit took", &wire.order)?,
        cancelled: line_units_of(wire.cancelled),
        returned: line_units_of(wire.returned),
    })
}

pub(super) fn credited_to(credited: &Credited) -> CreditedWire {
    let Credited { order, cancelled, returned } = credited;
    CreditedWire { order: id_to(*order), cancelled: line_units_to(cancelled), returned: line_units_to(returned) }
}
