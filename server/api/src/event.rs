//! The event feed: CloudEvents 1.0 in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Item, Order, Time};

/// One event, as CloudEvents 1.0 (structured mode).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique, and the same whenever the event is read: shard, record and place in it.
    pub id: String,
    /// The cluster and shard that it happened in.
    pub source: String,
    /// `ordermill.order.<status>`, `ordermill.order.updated` or `ordermill.item.changed`.
    pub r#type: String,
    /// The order's id or the item's SKU.
    pub subject: String,
    /// When it happened.
    pub time: Time,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// Where to go on after this event: the `after` of the next request, or `Last-Event-ID`.
    pub cursor: String,
    /// What it is about, as the record that holds the event left it.
    pub data: EventData,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventData {
    /// An order.
    Order(Box<Order>),
    /// An item.
    Item(ItemChanged),
}

/// An item that was changed by hand.
pub type ItemChanged = Item;

/// A page of the event feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The events: in order within a shard, without a gap.
    pub events: Vec<Event>,
    /// The `after` of the next request; also when the page is empty.
    pub next: String,
}
