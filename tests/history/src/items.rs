//! Items: nothing is sold that is not there, units are conserved, and no answer is stale.

use std::collections::BTreeMap;

use crate::check::{Told, in_order};
use crate::{Deed, History, Item, Outcome};

/// Every item as anybody saw it.
fn seen(history: &History) -> impl Iterator<Item = &Item> {
    let answered = history.calls.iter().filter_map(|call| match &call.outcome {
        Outcome::Item { item, .. } => Some(item),
        _ => None,
    });
    answered.chain(&history.items)
}

/// No item ever holds more than it has, its units add up, and at the end orders and items tell the same.
pub(crate) fn conserved(history: &History, wrong: &mut Vec<String>) {
    for item in seen(history) {
        if item.held > item.on_hand {
            wrong.push(format!("{} is sold beyond what is there: {item:?}", item.sku));
        }
        if item.on_hand as i64 != item.received - item.fulfilled as i64 + item.restocked as i64 {
            wrong.push(format!("{}: units are not conserved: {item:?}", item.sku));
        }
    }
    let mut sums: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for order in &history.orders {
        if order.pending {
            wrong.push(format!("{} is pending for ever", order.name));
        }
        for line in &order.lines {
            let sum = sums.entry(&line.sku).or_default();
            let units = [line.held, line.backordered, line.fulfilled, line.restocked];
            sum.iter_mut().zip(units).for_each(|(sum, units)| *sum += units);
        }
    }
    for item in &history.items {
        let orders = sums.remove(&*item.sku).unwrap_or_default();
        let told = [item.held, item.backordered, item.fulfilled, item.restocked];
        if told != orders {
            wrong.push(format!(
                "{}: held, backordered, fulfilled and restocked are {told:?}, of all orders {orders:?}",
                item.sku
            ));
        }
    }
    for sku in sums.keys() {
        wrong.push(format!("{sku} is in orders, and is lost"));
    }
}

/// Every acknowledged adjustment was made once: what was received lies between what is sure and what may be.
pub(crate) fn received(history: &History, wrong: &mut Vec<String>) {
    let mut bounds: BTreeMap<&str, (i64, i64)> =
        history.set.iter().map(|(sku, units)| (&**sku, (*units, *units))).collect();
    let versions: BTreeMap<(&str, u64), i64> =
        seen(history).map(|item| ((&*item.sku, item.version), item.received)).collect();
    for call in &history.calls {
        let (sku, delta) = match (&call.deed, call.deed.plain()) {
            (_, Deed::Adjust(sku, delta)) => (sku, Some(*delta)),
            // What was put in depends on what was there.
            (Deed::If(version, _), Deed::Put(sku, _)) => {
                let before = versions.get(&(sku, *version));
                let after = match &call.outcome {
                    Outcome::Item { item, changed: true } => Some(&item.received),
                    _ => versions.get(&(sku, version + 1)),
                };
                (sku, before.zip(after).map(|(before, after)| after - before))
            }
            (_, Deed::Put(sku, _)) => (sku, None),
            _ => continue,
        };
        let (least, most) = bounds.entry(sku).or_default();
        match (&call.outcome, delta) {
            (Outcome::Item { .. }, Some(delta)) => {
                *least = least.saturating_add(delta);
                *most = most.saturating_add(delta);
            }
            (Outcome::Unknown, Some(delta)) => {
                *least = least.saturating_add(delta.min(0));
                *most = most.saturating_add(delta.max(0));
            }
            (Outcome::Item { .. } | Outcome::Unknown, None) => (*least, *most) = (i64::MIN / 2, i64::MAX / 2),
            (Outcome::Order { .. } | Outcome::Absent | Outcome::Refused | Outcome::Mismatch(_), _) => {}
        }
    }
    let found: BTreeMap<&str, &Item> = history.items.iter().map(|item| (&*item.sku, item)).collect();
    for (sku, (least, most)) in bounds {
        match found.get(sku) {
            None => wrong.push(format!("{sku} was set, and is lost")),
            Some(item) if item.received < least || item.received > most => wrong.push(format!(
                "{sku}: {} received, and what was put in is {least} at least and {most} at most",
                item.received
            )),
            Some(_) => {}
        }
    }
}

/// No answer about an item is older than what was answered before its request was sent.
pub(crate) fn linearizable(history: &History, wrong: &mut Vec<String>) {
    let mut received: BTreeMap<(&str, u64), i64> = BTreeMap::new();
    for item in seen(history) {
        let other = *received.entry((&item.sku, item.version)).or_insert(item.received);
        if other != item.received {
            let (sku, version, now) = (&item.sku, item.version, item.received);
            wrong.push(format!("{sku}: version {version} has received {other} and {now}"));
        }
    }
    let mut told: BTreeMap<&str, [Vec<Told<'_>>; 2]> = BTreeMap::new();
    for call in &history.calls {
        let (sku, version, moved, changed) = match (&call.deed, &call.outcome) {
            (_, Outcome::Item { item, changed }) => {
                (&*item.sku, item.version, item.fulfilled + item.restocked, *changed)
            }
            (Deed::ReadItem(sku), Outcome::Absent) => (&**sku, 0, 0, false),
            // It tells the version and nothing else.
            (deed, Outcome::Mismatch(version)) if deed.is_about_item() => {
                told.entry(deed.about()).or_default()[0].push(Told { call, version: *version, changed: false });
                continue;
            }
            _ => continue,
        };
        let [versions, moves] = told.entry(sku).or_default();
        versions.push(Told { call, version, changed });
        // Units that orders have moved only ever add up.
        moves.push(Told { call, version: moved, changed: false });
    }
    for (sku, [versions, moves]) in told {
        in_order(sku, &versions, wrong);
        in_order(&format!("units of {sku} that left or came back"), &moves, wrong);
    }
}
