//! What the engine answers, as a client sees it.

use ordermill_history::{Item, Line, Order, Outcome as Came};
use ordermill_order::command::CancelOutcome;
use ordermill_order::{Outcome, Reservation};

/// An order.
pub(super) fn order_of(order: &ordermill_order::Order) -> Order {
    let line = |line: &ordermill_order::Line| Line {
        sku: line.sku.to_string(),
        quantity: line.quantity,
        requested: line.requested,
        held: line.held,
        backordered: line.backordered,
        fulfilled: line.fulfilled,
        cancelled: line.cancelled,
        returned: line.returned,
        restocked: line.restocked,
    };
    let text = |text: &Option<Box<str>>| text.as_deref().unwrap_or_default().to_owned();
    Order {
        id: order.id.to_string(),
        name: format!("{}/{}", text(&order.customer), text(&order.reference)),
        version: order.version,
        pending: order.reservation == Reservation::Undecided,
        cancelled: order.cancellation.is_some(),
        authorized: order.payment.authorized,
        captured: order.payment.captured,
        lines: order.lines.iter().map(line).collect(),
    }
}

/// An item.
pub(super) fn item_of(sku: &str, item: &ordermill_order::Item) -> Item {
    Item {
        sku: sku.to_owned(),
        version: item.version,
        on_hand: item.on_hand,
        held: item.held,
        backordered: item.backordered,
        received: item.received,
        fulfilled: item.fulfilled,
        restocked: item.restocked,
    }
}

/// The answer to the command `of`.
pub(super) fn came_of(outcome: Outcome, of: &ordermill_order::Action) -> Came {
    match outcome {
        Outcome::Order { order, replayed } => Came::Order { order: order_of(&order), changed: !replayed },
        Outcome::Cancelled { order, outcome, replayed } => {
            Came::Order { order: order_of(&order), changed: outcome == CancelOutcome::Done && !replayed }
        }
        Outcome::Item { item, replayed, .. } => {
            let (ordermill_order::Action::AdjustItem { sku, .. } | ordermill_order::Action::PutItem { sku, .. }) = of
            else {
                unreachable!("nothing else is answered with an item")
            };
            Came::Item { item: item_of(sku, &item), changed: !replayed }
        }
        Outcome::Credited { .. } | Outcome::Report(_) | Outcome::Done => unreachable!("nobody asks for it here"),
    }
}
