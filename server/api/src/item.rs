//! Items and their quantities.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;

/// An item. `available = on_hand - held`, never negative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// The item's identity.
    pub sku: String,
    /// Units on the shelf, held ones included.
    pub on_hand: u64,
    /// Units held for orders.
    pub held: u64,
    /// Units that a new order may hold.
    pub available: u64,
    /// Whether a line that cannot be met waits for stock instead of refusing its order.
    pub backorder: bool,
    /// Units that orders wait for.
    pub backordered: u64,
    /// Units put in by hand in all: `on_hand = received - fulfilled + restocked`.
    pub received: i64,
    /// Units that have left with orders in all.
    pub fulfilled: u64,
    /// Units that have come back on the shelf in all.
    pub restocked: u64,
    /// Rises by one with every change; the ETag.
    pub version: u64,
    /// When it last changed.
    pub updated_at: Time,
}

/// An item as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutItem {
    /// Units on the shelf, held ones included; not below what is held.
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub on_hand: u64,
    /// Whether a line that cannot be met waits for stock. Default: false.
    #[serde(default)]
    pub backorder: bool,
}

/// A change of an item's quantity on the shelf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Adjustment {
    /// Units added, or taken when negative; never below what is held.
    pub delta: i64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A page of items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ItemPage {
    /// The items.
    pub items: Vec<Item>,
    /// Send it as `page_token` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
