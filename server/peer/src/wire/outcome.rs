//! What commands have done. Orders and items travel as they are stored.

use std::sync::Arc;

use ordermill_journal as stored;
use ordermill_journal::Unreadable;
use ordermill_order::command::CancelOutcome;
use ordermill_order::{Order, Outcome};
use ordermill_shard::convert::{id_of, id_to, item_of, item_to, order_of, order_to};

use super::action::{MessageWire, report_of, report_to};
use super::credit::{CreditedWire, credited_of, credited_to};
use super::{present, unreadable};

/// An outcome.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OutcomeWire {
    /// Exactly one.
    #[prost(oneof = "OutcomeKind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<OutcomeKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum OutcomeKind {
    #[prost(message, tag = "1")]
    Order(OrderWire),
    #[prost(message, tag = "2")]
    Cancelled(CancelledWire),
    #[prost(message, tag = "3")]
    Item(ItemWire),
    #[prost(message, tag = "4")]
    Credited(CreditedAllWire),
    #[prost(message, tag = "5")]
    Report(MessageWire),
    #[prost(message, tag = "6")]
    Done(()),
}

/// An order with what stands in its key.
#[derive(Clone, PartialEq, prost::Message)]
struct OrderWire {
    /// Order id, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    row: Option<stored::OrderRow>,
    /// Nothing was done now.
    #[prost(bool, tag = "3")]
    replayed: bool,
}

/// A wish to cancel.
#[derive(Clone, PartialEq, prost::Message)]
struct CancelledWire {
    #[prost(message, optional, tag = "1")]
    order: Option<OrderWire>,
    /// 0 done, 1 too late, 2 already.
    #[prost(uint32, tag = "2")]
    outcome: u32,
}

/// An item.
#[derive(Clone, PartialEq, prost::Message)]
struct ItemWire {
    #[prost(message, optional, tag = "1")]
    row: Option<stored::ItemRow>,
    /// Nothing was done now.
    #[prost(bool, tag = "2")]
    replayed: bool,
    /// The item is new.
    #[prost(bool, tag = "3")]
    created: bool,
}

/// What a credit took.
#[derive(Clone, PartialEq, prost::Message)]
struct CreditedAllWire {
    #[prost(message, repeated, tag = "1")]
    from: Vec<CreditedWire>,
    /// Units that no order could give back.
    #[prost(uint64, tag = "2")]
    unmatched: u64,
}

fn whole_order_of(wire: OrderWire) -> Result<(Arc<Order>, bool), Unreadable> {
    let what = "an order";
    let order = order_of(id_of(what, &wire.id)?, present(what, wire.row)?)?;
    Ok((Arc::new(order), wire.replayed))
}

fn whole_order_to(order: &Order, replayed: bool) -> OrderWire {
    OrderWire { id: id_to(order.id), row: Some(order_to(order)), replayed }
}

pub(super) fn outcome_of(wire: OutcomeWire) -> Result<Outcome, Unreadable> {
    let what = "an outcome";
    Ok(match present(what, wire.kind)? {
        OutcomeKind::Order(wire) => {
            let (order, replayed) = whole_order_of(wire)?;
            Outcome::Order { order, replayed }
        }
        OutcomeKind::Cancelled(CancelledWire { order, outcome }) => {
            let (order, replayed) = whole_order_of(present(what, order)?)?;
            let outcome = match outcome {
                0 => CancelOutcome::Done,
                1 => CancelOutcome::TooLate,
                2 => CancelOutcome::Already,
                _ => return Err(unreadable(what, "the code of its cancellation is not known")),
            };
            Outcome::Cancelled { order, outcome, replayed }
        }
        OutcomeKind::Item(ItemWire { row, replayed, created }) => {
            Outcome::Item { item: item_of(present(what, row)?), replayed, created }
        }
        OutcomeKind::Credited(CreditedAllWire { from, unmatched }) => {
            Outcome::Credited { from: from.into_iter().map(credited_of).collect::<Result<_, _>>()?, unmatched }
        }
        OutcomeKind::Report(report) => Outcome::Report(report_of(report)?),
        OutcomeKind::Done(()) => Outcome::Done,
    })
}

pub(super) fn outcome_to(outcome: Outcome) -> OutcomeWire {
    let kind = match outcome {
        Outcome::Order { order, replayed } => OutcomeKind::Order(whole_order_to(&order, replayed)),
        Outcome::Cancelled { order, outcome, replayed } => {
            let outcome = match outcome {
                CancelOutcome::Done => 0,
                CancelOutcome::TooLate => 1,
                CancelOutcome::Already => 2,
            };
            OutcomeKind::Cancelled(CancelledWire { order: Some(whole_order_to(&order, replayed)), outcome })
        }
        Outcome::Item { item, replayed, created } => {
            OutcomeKind::Item(ItemWire { row: Some(item_to(&item)), replayed, created })
        }
        Outcome::Credited { from, unmatched } => {
            OutcomeKind::Credited(CreditedAllWire { from: from.iter().map(credited_to).collect(), unmatched })
        }
        Outcome::Report(report) => OutcomeKind::Report(report_to(report)),
        Outcome::Done => OutcomeKind::Done(()),
    };
    OutcomeWire { kind: Some(kind) }
}
