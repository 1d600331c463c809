//! Everything that a server tells of its state: to see that nothing has changed.

use ordermill_api::{Event, Item, Order};

use super::{Http, feed};

/// Items, orders and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Everything {
    /// All items.
    pub items: Vec<Item>,
    /// All orders.
    pub orders: Vec<Order>,
    /// All events that are kept.
    pub events: Vec<Event>,
}

impl Everything {
    /// Reads everything.
    pub async fn read(http: &Http) -> Self {
        Self { items: http.items().await, orders: http.orders().await, events: feed::events(http, None, 500).await }
    }
}
