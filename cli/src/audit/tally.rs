//! Per item: what it says it has, and what the orders say together.

use ordermill_api::{Item, Order, Status};
use rustc_hash::FxHashMap;

use super::{Findings, Subject};

/// Units by what has become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Units {
    held: u64,
    backordered: u64,
    fulfilled: u64,
    restocked: u64,
}

/// One SKU.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// What the item says; none for a SKU that only orders name.
    item: Option<(u64, Units)>,
    /// What the orders' lines say together.
    orders: Units,
    /// It has changed during the walk.
    moved: bool,
    /// An order that names it is not decided.
    undecided: bool,
}

/// Every SKU.
#[derive(Debug, Default)]
pub(super) struct Tally {
    entries: FxHashMap<String, Entry>,
    items: u64,
}

impl Tally {
    /// How many items there are.
    pub(super) fn items(&self) -> u64 {
        self.items
    }

    /// Enters an item.
    pub(super) fn item(&mut self, item: &Item) {
        self.items += 1;
        let units = Units {
            held: item.held,
            backordered: item.backordered,
            fulfilled: item.fulfilled,
            restocked: item.restocked,
        };
        self.entries.entry(item.sku.clone()).or_default().item = Some((item.version, units));
    }

    /// Enters an order; says whether it is still being decided.
    pub(super) fn order(&mut self, order: &Order) -> bool {
        let pending = order.status == Status::Pending || order.lines.iter().any(|line| line.requested > 0);
        for line in &order.lines {
            let entry = match self.entries.get_mut(&line.sku) {
                Some(entry) => entry,
                None => self.entries.entry(line.sku.clone()).or_default(),
            };
            entry.orders.held += line.held;
            entry.orders.backordered += line.backordered;
            entry.orders.fulfilled += line.fulfilled;
            entry.orders.restocked += line.restocked;
            entry.undecided |= pending;
        }
        pending
    }

    /// Looks at an item a second time, after the orders.
    pub(super) fn again(&mut self, item: &Item) {
        let entry = self.entries.entry(item.sku.clone()).or_default();
        entry.moved = entry.item.is_none_or(|(version, _)| version != item.version);
    }

    /// Compares items with orders. What differs at rest is a violation; the SKUs that differ while
    /// they move are returned.
    pub(super) fn compare(&self, findings: &mut Findings) -> Vec<String> {
        let mut unsettled = Vec::new();
        let mut skus: Vec<_> = self.entries.iter().filter(|(_, entry)| entry.differs()).collect();
        skus.sort_unstable_by_key(|(sku, _)| *sku);
        for (sku, entry) in skus {
            if entry.moved || entry.undecided {
                unsettled.push(sku.clone());
            } else {
                entry.report(sku, findings);
            }
        }
        unsettled
    }
}

impl Entry {
    fn differs(&self) -> bool {
        self.item.map_or_else(Units::default, |(_, units)| units) != self.orders
    }

    fn report(&self, sku: &str, findings: &mut Findings) {
        let subject = || Subject::Item(sku.to_owned());
        let Some((_, item)) = self.item else {
            findings.add(subject, "an item with units in orders exists", "there is no such item".to_owned());
            return;
        };
        for (rule, says, sum) in [
            ("held = sum over orders", item.held, self.orders.held),
            ("backordered = sum over orders", item.backordered, self.orders.backordered),
            ("fulfilled = sum over orders", item.fulfilled, self.orders.fulfilled),
            ("restocked = sum over orders", item.restocked, self.orders.restocked),
        ] {
            if says != sum {
                findings.add(subject, rule, format!("the item says {says}, the orders {sum}"));
            }
        }
    }
}
