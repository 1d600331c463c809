//! The event feed: every version of every order once, in order per shard, without a gap.

use std::collections::BTreeMap;

use crate::History;

/// Positions rise within a shard and leave none out inside a record; each order has as many events as it
/// has versions, and they never go back. With `gone` some events may be missing.
pub(crate) fn complete(history: &History, gone: bool, wrong: &mut Vec<String>) {
    let mut last: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
    let mut orders: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for event in &history.events {
        let here = (event.record, event.index);
        let before = last.insert(event.shard, here);
        let follows = match before {
            Some((record, index)) if record == event.record => event.index == index + 1,
            Some((record, _)) if gone => event.record > record,
            Some((record, _)) => event.record > record && event.index == 0,
            None => event.index == 0,
        };
        if !follows {
            wrong.push(format!("the feed of shard {} tells {here:?} after {before:?}", event.shard));
        }
        if let Some((id, version)) = &event.order {
            let (events, newest) = orders.entry(id).or_default();
            *events += 1;
            if version < newest {
                wrong.push(format!("the feed tells version {version} of {id} after {newest}"));
            }
            *newest = *version;
        }
    }
    for order in &history.orders {
        let (events, newest) = orders.remove(&*order.id).unwrap_or_default();
        let all = (events, newest) == (order.version, order.version);
        let as_far_as_kept = gone && events <= order.version && newest <= order.version;
        if !(all || as_far_as_kept) {
            wrong.push(format!(
                "the feed has {events} events of {}, the last of version {newest}; it is in version {}",
                order.name, order.version
            ));
        }
    }
    for id in orders.keys() {
        wrong.push(format!("the feed tells of {id}, which is not there"));
    }
}
