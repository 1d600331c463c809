//! Orders: none is lost, none is doubled, no step is lost or taken twice, and no answer is stale.

use std::collections::BTreeMap;

use crate::check::{Told, in_order};
use crate::{Call, Deed, History, Order, Outcome};

/// Every acknowledged order is there once and as far as it was, and there is none that nobody has placed.
pub(crate) fn acknowledged(history: &History, wrong: &mut Vec<String>) {
    let mut found: BTreeMap<&str, &Order> = BTreeMap::new();
    let mut ids: BTreeMap<&str, &Order> = BTreeMap::new();
    for order in &history.orders {
        if let Some(other) = found.insert(&order.name, order) {
            wrong.push(format!("{} is there twice: as {} and as {}", order.name, other.id, order.id));
        }
        if let Some(other) = ids.insert(&order.id, order) {
            wrong.push(format!("{} and {} are both called {}", other.name, order.name, order.id));
        }
    }
    let mut placed: BTreeMap<&str, bool> = BTreeMap::new();
    for call in &history.calls {
        if let Deed::Place(name) = &call.deed {
            *placed.entry(name).or_default() |= !matches!(call.outcome, Outcome::Refused);
        }
        let Outcome::Order { order, .. } = &call.outcome else { continue };
        match found.get(&*order.name) {
            None => wrong.push(format!("{} was told as {} by {:?}, and is lost", order.name, order.id, call.deed)),
            Some(last) if last.id != order.id => {
                wrong.push(format!("{} was told as {}, and is {} now", order.name, order.id, last.id));
            }
            Some(last) if last.version < order.version => wrong.push(format!(
                "{} was told in version {} by {:?}, and is in version {} now",
                order.name, order.version, call.deed, last.version
            )),
            Some(_) => {}
        }
    }
    for name in found.keys().filter(|name| placed.get(**name) != Some(&true)) {
        wrong.push(format!("{name} is there, and nobody has placed it"));
    }
}

/// Of one order: what its steps have done for sure, and what they may have done beside that.
#[derive(Default)]
struct Sums {
    sure: [u64; 4],
    perhaps: [u64; 4],
    cancelled: bool,
}

/// Each acknowledged step was taken once, and none was taken that nobody has asked for.
pub(crate) fn effects(history: &History, wrong: &mut Vec<String>) {
    const NAMES: [&str; 4] = ["authorized", "captured", "fulfilled", "returned"];
    let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
    for Call { deed, outcome, .. } in &history.calls {
        let (id, which, amount) = match deed.plain() {
            Deed::Authorize(id, amount) => (id, 0, *amount),
            Deed::Capture(id, amount) => (id, 1, *amount),
            Deed::Fulfil(id, units) => (id, 2, *units),
            Deed::Return(id, units) => (id, 3, *units),
            Deed::Cancel(id) => {
                // A wish that came too late is answered, and changes nothing.
                let done = matches!(outcome, Outcome::Order { changed: true, .. });
                sums.entry(id).or_default().cancelled |= done;
                continue;
            }
            Deed::Place(_)
            | Deed::ReadOrder(_)
            | Deed::Adjust(..)
            | Deed::ReadItem(_)
            | Deed::Put(..)
            | Deed::If(..) => {
                continue;
            }
        };
        let sums = sums.entry(id).or_default();
        match outcome {
            Outcome::Order { .. } => sums.sure[which] += amount,
            Outcome::Unknown => sums.perhaps[which] += amount,
            Outcome::Item { .. } | Outcome::Absent | Outcome::Refused | Outcome::Mismatch(_) => {}
        }
    }
    for order in &history.orders {
        let nothing = Sums::default();
        let sums = sums.get(&*order.id).unwrap_or(&nothing);
        let there =
            [order.authorized, order.captured, order.sum(|line| line.fulfilled), order.sum(|line| line.returned)];
        for (which, name) in NAMES.iter().enumerate() {
            let (sure, most) = (sums.sure[which], sums.sure[which] + sums.perhaps[which]);
            if there[which] < sure || there[which] > most {
                wrong.push(format!(
                    "{}: {} {name}, and its steps were {sure} for sure and {most} at most",
                    order.name, there[which]
                ));
            }
        }
        if sums.cancelled && !order.cancelled {
            wrong.push(format!("{} was cancelled, and is not", order.name));
        }
    }
}

/// No read of an order is older than what was answered before it began, steps follow one another, and one
/// version has one content.
pub(crate) fn linearizable(history: &History, wrong: &mut Vec<String>) {
    let mut told: BTreeMap<&str, Vec<Told<'_>>> = BTreeMap::new();
    let mut seen: BTreeMap<(&str, u64), &Order> = BTreeMap::new();
    let ended = history.orders.iter();
    let answered = history.calls.iter().filter_map(|call| match &call.outcome {
        Outcome::Order { order, .. } => Some(order),
        _ => None,
    });
    for order in answered.chain(ended).filter(|order| !order.pending) {
        let other = seen.entry((&order.id, order.version)).or_insert(order);
        if *other != order {
            wrong.push(format!("{}: version {} was told as {other:?} and as {order:?}", order.name, order.version));
        }
        if let Some(line) = order.lines.iter().find(|line| {
            let kept = line.requested + line.held + line.backordered + line.fulfilled + line.cancelled;
            kept != line.quantity || line.returned > line.fulfilled || line.restocked > line.returned
        }) {
            wrong.push(format!("{}: units of a line are not conserved: {line:?}", order.name));
        }
    }
    for call in &history.calls {
        let (name, version, changed) = match (&call.deed, &call.outcome) {
            (_, Outcome::Order { order, changed }) => (&*order.id, order.version, *changed),
            (Deed::ReadOrder(id), Outcome::Absent) => (&**id, 0, false),
            (deed, Outcome::Mismatch(version)) if !deed.is_about_item() => (deed.about(), *version, false),
            _ => continue,
        };
        told.entry(name).or_default().push(Told { call, version, changed });
    }
    for (name, told) in told {
        in_order(name, &told, wrong);
    }
}
