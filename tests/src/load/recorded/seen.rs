//! What the API says, as the checks of a history know it.

use ordermill_api::Status;
use ordermill_history::{Event, Item, Line, Order};

/// An order.
pub(super) fn order_of(order: &ordermill_api::Order) -> Order {
    let line = |line: &ordermill_api::Line| Line {
        sku: line.sku.clone(),
        quantity: line.quantity,
        requested: line.requested,
        held: line.held,
        backordered: line.backordered,
        fulfilled: line.fulfilled,
        cancelled: line.cancelled,
        returned: line.returned,
        restocked: line.restocked,
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Order {
        id: order.id.clone().expect("an order has an id"),
        name: format!("{}/{}", text(&order.customer), text(&order.reference)),
        version: order.version,
        pending: order.status == Status::Pending,
        cancelled: order.cancellation.is_some(),
        authorized: order.payment.authorized,
        captured: order.payment.captured,
        lines: order.lines.iter().map(line).collect(),
    }
}

/// An item.
pub(super) fn item_of(item: &ordermill_api::Item) -> Item {
    Item {
        sku: item.sku.clone(),
        version: item.version,
        on_hand: item.on_hand,
        held: item.held,
        backordered: item.backordered,
        received: item.received,
        fulfilled: item.fulfilled,
        restocked: item.restocked,
    }
}

/// An event.
pub(super) fn event_of(event: &ordermill_api::Event) -> Event {
    // The id is shard, record and place in it.
    let parts: Vec<u64> = event.id.split('-').map(|part| part.parse().expect("an id of numbers")).collect();
    let [shard, record, index] = parts[..] else { panic!("an event's id has three parts: {}", event.id) };
    let order = match &event.data {
        ordermill_api::EventData::Order(order) => Some((event.subject.clone(), order.version)),
        ordermill_api::EventData::Item(_) => None,
    };
    Event { shard: shard as u32, record, index: index as u32, order }
}
