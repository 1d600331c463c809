//! What the server has acknowledged, and whether it still knows.

use std::collections::{BTreeMap, HashMap, HashSet};

use ordermill_api::{Item, Order, Status};

/// Whose order it is, and its reference.
type Name = (Option<String>, String);

/// What was acknowledged about one order.
#[derive(Clone, Debug, Default)]
struct Entry {
    id: String,
    /// The newest answer about it.
    last: Option<Order>,
    captured: u64,
    shipped: u64,
    returned: u64,
    cancelled: bool,
}

/// What a step has done.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Captured(u64),
    Shipped(u64),
    Returned(u64),
    Cancelled,
    Nothing,
}

/// Everything that was acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Books {
    orders: HashMap<Name, Entry>,
    received: BTreeMap<String, i64>,
}

impl Books {
    /// How many orders were acknowledged.
    pub fn orders(&self) -> usize {
        self.orders.len()
    }

    pub(super) fn received(&mut self, sku: &str, units: i64) {
        *self.received.entry(sku.to_owned()).or_default() += units;
    }

    /// An order was acknowledged as `id`; always the same.
    pub(super) fn placed(&mut self, name: Name, id: &str) {
        let entry = self.orders.entry(name.clone()).or_insert_with(|| Entry { id: id.to_owned(), ..Entry::default() });
        assert_eq!(entry.id, id, "{name:?} was acknowledged as two orders");
    }

    /// An order was answered, after a step that did this.
    pub(super) fn answered(&mut self, order: Order, effect: Effect) {
        let name = name(&order);
        let id = order.id.clone().expect("an order has an id");
        self.placed(name.clone(), &id);
        let entry = self.orders.get_mut(&name).expect("it has just been entered");
        match effect {
            Effect::Captured(amount) => entry.captured += amount,
            Effect::Shipped(units) => entry.shipped += units,
            Effect::Returned(units) => entry.returned += units,
            Effect::Cancelled => entry.cancelled = true,
            Effect::Nothing => {}
        }
        if entry.last.as_ref().is_none_or(|last| last.version <= order.version) {
            entry.last = Some(order);
        }
    }

    /// Checks that all of it is there; there may be more.
    ///
    /// # Panics
    ///
    /// When something is not.
    pub fn check(&self, orders: &[Order], items: &[Item]) {
        let found = index(orders);
        for (name, entry) in &self.orders {
            let order =
                found.get(name).unwrap_or_else(|| panic!("{name:?}, {}, was acknowledged and is lost", entry.id));
            assert_eq!(order.id.as_deref(), Some(&*entry.id), "{name:?} is another order now");
            if let Some(last) = &entry.last {
                assert!(order.version >= last.version, "{name:?} fell behind its answer: {last:?}, now {order:?}");
                let decided = order.status != Status::Pending && last.status != Status::Pending;
                assert!(
                    order.version > last.version || !decided || *order == last,
                    "{name:?} is not what was answered: {last:?}, now {order:?}"
                );
            }
            let (captured, shipped, returned) = units(order);
            assert!(
                captured >= entry.captured && shipped >= entry.shipped && returned >= entry.returned,
                "{name:?} has lost a step: {entry:?}, now {order:?}"
            );
            assert!(order.cancellation.is_some() || !entry.cancelled, "{name:?} is no longer cancelled: {order:?}");
        }
        for (sku, units) in &self.received {
            let item = items.iter().find(|item| item.sku == *sku).unwrap_or_else(|| panic!("{sku} is lost"));
            assert!(item.received >= *units, "{sku} has lost units: {units} acknowledged, now {item:?}");
        }
    }

    /// Checks that all of it is there, once, and nothing else. No request may be under way.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn check_exactly(&self, orders: &[Order], items: &[Item]) {
        self.check(orders, items);
        assert_eq!(orders.len(), self.orders.len(), "there are orders that nobody knows");
        for order in orders {
            let entry = &self.orders[&name(order)];
            let (captured, shipped, returned) = units(order);
            // What was imported as fulfilled has left without a step.
            let steps = entry.last.is_some();
            assert!(
                !steps || (captured, shipped, returned) == (entry.captured, entry.shipped, entry.returned),
                "a step was not taken once: {entry:?}, now {order:?}"
            );
        }
        for (sku, units) in &self.received {
            let item = items.iter().find(|item| item.sku == *sku).expect("it was checked above");
            assert_eq!(item.received, *units, "{sku}: an adjustment was not made once");
        }
    }
}

fn name(order: &Order) -> Name {
    (order.customer.clone(), order.reference.clone().expect("every order here has a reference"))
}

/// Orders by name; no name and no id may stand twice.
fn index(orders: &[Order]) -> HashMap<Name, &Order> {
    let mut found = HashMap::with_capacity(orders.len());
    let mut ids = HashSet::with_capacity(orders.len());
    for order in orders {
        let name = name(order);
        if let Some(other) = found.insert(name, order) {
            panic!("one reference stands for two orders: {other:?} and {order:?}");
        }
        assert!(ids.insert(&order.id), "an id stands twice: {order:?}");
    }
    found
}

/// What was captured, shipped and returned of an order.
fn units(order: &Order) -> (u64, u64, u64) {
    let sum = |units: fn(&ordermill_api::Line) -> u64| order.lines.iter().map(units).sum();
    (order.payment.captured, sum(|line| line.fulfilled), sum(|line| line.returned))
}
