//! The rows that the state machine sees: read, changed, and nothing else.

use std::sync::Arc;

use crate::hold::{Backorder, Hold, Message};
use crate::order::{Order, Status};
use crate::{Item, OrderId};

/// A row that is needed is not in memory: load it and apply the command again from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing;

/// A row, if there is one.
pub type Fetch<T> = Result<Option<T>, Missing>;

/// What an idempotency key stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The body's fingerprint.
    pub fingerprint: u128,
    /// What the request did.
    pub result: Remembered,
    /// When it may be forgotten, milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// What a remembered request did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It made an order, or took a step on it.
    Order(OrderId),
    /// It asked to cancel an order, with this outcome.
    Cancel(OrderId, crate::command::CancelOutcome),
    /// It adjusted the item that the key belongs to.
    Item,
}

/// What a reference stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Referenced {
    /// An order.
    Order(OrderId),
    /// A credit.
    Credit,
}

/// Something to do at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// Milliseconds since the Unix epoch.
    pub due_ms: u64,
    /// The slot that it belongs to.
    pub slot: u16,
    /// What to do.
    pub what: TimerKind,
}

/// What to do when a timer is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKind {
    /// End the reservation of an order if it is still unpaid.
    Expire(OrderId),
    /// Go on filling the backordered lines of an item.
    Fill(Box<str>),
}

/// Something that consumers of the feed hear of. The record's after-image has the details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An order has changed.
    Order {
        /// Which.
        id: OrderId,
        /// Its version then.
        version: u64,
        /// Its status then.
        status: Status,
        /// Whether the status is new.
        entered: bool,
    },
    /// An item was changed by hand.
    Item {
        /// Which.
        sku: Box<str>,
        /// Its version then.
        version: u64,
    },
}

/// Rows of one tenant in one shard. Changes are seen by later reads; they all come true together,
/// or not at all.
pub trait Rows {
    /// An item.
    fn item(&mut self, sku: &str) -> Fetch<Item>;
    /// Changes an item.
    fn put_item(&mut self, sku: &str, item: Item);
    /// An order.
    fn order(&mut self, id: OrderId) -> Fetch<Arc<Order>>;
    /// Changes an order.
    fn put_order(&mut self, order: Arc<Order>);
    /// The item's side of a line; `sku` says which slot it lives in.
    fn hold(&mut self, sku: &str, order: OrderId, line: u16) -> Fetch<Arc<Hold>>;
    /// Changes or deletes the item's side of a line.
    fn put_hold(&mut self, sku: &str, order: OrderId, line: u16, hold: Option<Hold>);
    /// A place in an item's queue.
    fn backorder(&mut self, sku: &str, number: u64) -> Fetch<Backorder>;
    /// Changes or deletes a place in an item's queue.
    fn put_backorder(&mut self, sku: &str, number: u64, place: Option<Backorder>);
    /// An idempotency key.
    fn idempotency(&mut self, slot: u16, key: u128) -> Fetch<Idempotency>;
    /// Remembers an idempotency key.
    fn put_idempotency(&mut self, slot: u16, key: u128, value: Idempotency);
    /// A reference.
    fn reference(&mut self, slot: u16, reference: u128) -> Fetch<Referenced>;
    /// Remembers a reference.
    fn put_reference(&mut self, slot: u16, reference: u128, value: Referenced);
    /// Sets a timer.
    fn set_timer(&mut self, timer: &Timer);
    /// Removes a timer.
    fn clear_timer(&mut self, timer: &Timer);
    /// Puts a message to another shard into the outbox of `slot`.
    fn send(&mut self, slot: u16, message: Message);
    /// Removes the claim of a line from the outbox of `slot`: it was answered.
    fn answered(&mut self, slot: u16, order: OrderId, line: u16);
    /// Removes the report about a line from the outbox of `slot`, unless a newer revision has
    /// taken its place.
    fn noted(&mut self, slot: u16, order: OrderId, line: u16, revision: u32);
    /// Tells the feed.
    fn emit(&mut self, event: Event);
}
