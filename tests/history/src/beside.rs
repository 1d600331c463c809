//! What a history may hold beside what every history does, and all checks together.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Deed, History, Outcome, conditions, feed, items, orders};

/// What is known beside a history; nothing of it, usually.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Whoever followed the feed was told that the records behind its place are gone, and began anew with
    /// the oldest that were left, leaving out what it had been told: some events are missing.
    pub gone: bool,
    /// Names of orders whose reservation was to run out some time before the end, unless it was secured.
    pub expiring: BTreeSet<String>,
    /// Ids of orders whose reservation has run out at the end.
    pub expired: BTreeSet<String>,
}

/// What is wrong with a history; nothing, if it is one of a cluster that keeps its promises.
pub fn check_with(history: &History, beside: &Beside) -> Vec<String> {
    let mut wrong = Vec::new();
    orders::acknowledged(history, &mut wrong);
    orders::effects(history, &mut wrong);
    orders::linearizable(history, &mut wrong);
    items::conserved(history, &mut wrong);
    items::received(history, &mut wrong);
    items::linearizable(history, &mut wrong);
    conditions::met(history, &mut wrong);
    feed::complete(history, beside.gone, &mut wrong);
    expiry(history, beside, &mut wrong);
    wrong
}

/// Orders run out that were to, and no others; none is secured and runs out, and none of those that run out
/// keeps anything.
fn expiry(history: &History, beside: &Beside, wrong: &mut Vec<String>) {
    let mut secured: BTreeMap<&str, &Deed> = BTreeMap::new();
    for call in &history.calls {
        let done = matches!(call.outcome, Outcome::Order { .. });
        if let (Deed::Capture(id, _) | Deed::Fulfil(id, _), true) = (call.deed.plain(), done) {
            secured.insert(id, &call.deed);
        }
    }
    for order in history.orders.iter().filter(|order| beside.expired.contains(&order.id)) {
        if !beside.expiring.contains(&order.name) {
            wrong.push(format!("{} has run out, and nobody has said that it shall", order.name));
        }
        if let Some(deed) = secured.get(&*order.id) {
            wrong.push(format!("{} has run out after {deed:?}", order.name));
        }
        if order.sum(|line| line.requested + line.held + line.backordered) > 0 {
            wrong.push(format!("{} has run out, and something is still held for it: {:?}", order.name, order.lines));
        }
    }
}
