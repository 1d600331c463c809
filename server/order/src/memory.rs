//! Rows kept in memory: for dry runs and for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::hold::{Backorder, Hold, Message};
use crate::order::Order;
use crate::rows::{Event, Fetch, Idempotency, Referenced, Rows, Timer};
use crate::{Item, OrderId};

/// Where a message stands in the outbox.
pub type OutboxKey = (OrderId, u16, bool);

/// All rows of one tenant, nothing ever missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Items by SKU.
    pub items: BTreeMap<Box<str>, Item>,
    /// Orders.
    pub orders: BTreeMap<OrderId, Arc<Order>>,
    /// The items' side of lines.
    pub holds: BTreeMap<(OrderId, u16), Arc<Hold>>,
    /// Queues of waiting lines.
    pub backorders: BTreeMap<(Box<str>, u64), Backorder>,
    /// Idempotency keys.
    pub keys: BTreeMap<(u16, u128), Idempotency>,
    /// References.
    pub references: BTreeMap<(u16, u128), Referenced>,
    /// Timers.
    pub timers: BTreeSet<Timer>,
    /// Messages without an answer.
    pub outbox: BTreeMap<OutboxKey, Message>,
    /// Events so far.
    pub events: Vec<Event>,
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

impl Rows for Memory {
    fn item(&mut self, sku: &str) -> Fetch<Item> {
        Ok(self.items.get(sku).copied())
    }

    fn put_item(&mut self, sku: &str, item: Item) {
        self.items.insert(sku.into(), item);
    }

    fn order(&mut self, id: OrderId) -> Fetch<Arc<Order>> {
        Ok(self.orders.get(&id).cloned())
    }

    fn put_order(&mut self, order: Arc<Order>) {
        self.orders.insert(order.id, order);
    }

    fn hold(&mut self, _: &str, order: OrderId, line: u16) -> Fetch<Arc<Hold>> {
        Ok(self.holds.get(&(order, line)).cloned())
    }

    fn put_hold(&mut self, _: &str, order: OrderId, line: u16, hold: Option<Hold>) {
        set(&mut self.holds, (order, line), hold.map(Arc::new));
    }

    fn backorder(&mut self, sku: &str, number: u64) -> Fetch<Backorder> {
        Ok(self.backorders.get(&(sku.into(), number)).copied())
    }

    fn put_backorder(&mut self, sku: &str, number: u64, place: Option<Backorder>) {
        set(&mut self.backorders, (sku.into(), number), place);
    }

    fn idempotency(&mut self, slot: u16, key: u128) -> Fetch<Idempotency> {
        Ok(self.keys.get(&(slot, key)).copied())
    }

    fn put_idempotency(&mut self, slot: u16, key: u128, value: Idempotency) {
        self.keys.insert((slot, key), value);
    }

    fn reference(&mut self, slot: u16, reference: u128) -> Fetch<Referenced> {
        Ok(self.references.get(&(slot, reference)).copied())
    }

    fn put_reference(&mut self, slot: u16, reference: u128, value: Referenced) {
        self.references.insert((slot, reference), value);
    }

    fn set_timer(&mut self, timer: &Timer) {
        self.timers.insert(timer.clone());
    }

    fn clear_timer(&mut self, timer: &Timer) {
        self.timers.remove(timer);
    }

    fn send(&mut self, _: u16, message: Message) {
        let claim = matches!(message, Message::Claim(_));
        self.outbox.insert((message.order(), message.line(), claim), message);
    }

    fn answered(&mut self, _: u16, order: OrderId, line: u16) {
        self.outbox.remove(&(order, line, true));
    }

    fn noted(&mut self, _: u16, order: OrderId, line: u16, revision: u32) {
        let key = (order, line, false);
        if matches!(self.outbox.get(&key), Some(Message::Report(report)) if report.revision <= revision) {
            self.outbox.remove(&key);
        }
    }

    fn emit(&mut self, event: Event) {
        self.events.push(event);
    }
}
