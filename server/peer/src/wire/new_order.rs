//! Orders that are to be placed.

use ordermill_journal::Unreadable;
use ordermill_order::{NewLine, NewOrder};
use ordermill_shard::convert::{currency_of, currency_to, terms_of, terms_to};

use super::identity::{PartitionWire, partition_of, partition_to, wide_of, wide_to};

/// A new order.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct NewOrderWire {
    /// Where it lives.
    #[prost(message, optional, tag = "1")]
    partition: Option<PartitionWire>,
    /// Customer; absent for a guest.
    #[prost(string, optional, tag = "2")]
    customer: Option<String>,
    /// The customer's number.
    #[prost(message, optional, tag = "3")]
    reference: Option<ReferenceWire>,
    /// Lines.
    #[prost(message, repeated, tag = "4")]
    lines: Vec<NewLineWire>,
    /// ISO 4217 code, three letters, big-endian in the low 24 bits.
    #[prost(fixed32, tag = "5")]
    currency: u32,
    /// 0 on account, 1 prepaid.
    #[prost(uint32, tag = "6")]
    terms: u32,
    /// Milliseconds after which the reservation ends.
    #[prost(uint64, optional, tag = "7")]
    expires_in_ms: Option<u64>,
    /// What can be held leaves at once.
    #[prost(bool, tag = "8")]
    fulfilled: bool,
    /// Milliseconds since the Unix epoch.
    #[prost(uint64, optional, tag = "9")]
    placed_ms: Option<u64>,
}

/// A customer's number for an order.
#[derive(Clone, PartialEq, prost::Message)]
struct ReferenceWire {
    #[prost(string, tag = "1")]
    text: String,
    /// Identity, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "2")]
    identity: Vec<u8>,
}

/// A line.
#[derive(Clone, PartialEq, prost::Message)]
struct NewLineWire {
    #[prost(string, tag = "1")]
    sku: String,
    #[prost(uint64, tag = "2")]
    quantity: u64,
    /// Minor units per unit.
    #[prost(uint64, tag = "3")]
    unit_price: u64,
}

pub(super) fn new_order_of(wire: NewOrderWire) -> Result<NewOrder, Unreadable> {
    let what = "a new order";
    let line = |NewLineWire { sku, quantity, unit_price }| NewLine { sku: sku.into(), quantity, unit_price };
    let reference = |wire: ReferenceWire| Ok((wire.text.into(), wide_of(what, &wire.identity)?));
    Ok(NewOrder {
        partition: partition_of(what, wire.partition)?,
        customer: wire.customer.map(Into::into),
        reference: wire.reference.map(reference).transpose()?,
        lines: wire.lines.into_iter().map(line).collect(),
        currency: currency_of(wire.currency),
        terms: terms_of(wire.terms)?,
        expires_in_ms: wire.expires_in_ms,
        fulfilled: wire.fulfilled,
        placed_ms: wire.placed_ms,
    })
}

pub(super) fn new_order_to(new: NewOrder) -> NewOrderWire {
    let NewOrder { partition, customer, reference, lines, currency, terms, expires_in_ms, fulfilled, placed_ms } = new;
    let line = |NewLine { sku, quantity, unit_price }| NewLineWire { sku: sku.into(), quantity, unit_price };
    NewOrderWire {
        partition: Some(partition_to(partition)),
        customer: customer.map(Into::into),
        reference: reference.map(|(text, identity)| ReferenceWire { text: text.into(), identity: wide_to(identity) }),
        lines: lines.into_iter().map(line).collect(),
        currency: currency_to(currency),
        terms: terms_to(terms),
        expires_in_ms,
        fulfilled,
        placed_ms,
    }
}
