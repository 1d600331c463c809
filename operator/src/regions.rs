//! Where TiKV's regions end at first: at the bounds of shards, so that shards share no region and load spreads from the
//! beginning. They stay divided, as PD would join them again after an hour while they are empty.
//!
//! A matter of speed alone: nothing waits for it, and PD divides what grows by itself.

use ordermill_station::limits::{SHARDS_DEFAULT_SHARED, SLOTS};
use serde_json::{Value, json};

use crate::ask::Error;
use crate::build::names::CLUSTER;
use crate::crd::Division;
use crate::limits::{DIVISION_PAUSE_SECONDS, DIVISION_TRIES};
use crate::pd::Pd;

/// Bounds at most: each is a region that every store has to keep alive.
const BOUNDS_MAX: u32 = 512;

/// Whether it is still to be done.
pub fn pending(before: &Division) -> bool {
    !before.done && before.tries < DIVISION_TRIES
}

/// Whether it is to be tried at `now`, seconds since 1970: not at once again, as PD may still move copies.
pub fn due(before: &Division, now: i64) -> bool {
    let last = before.last_try.parse().map_or(0, jiff::Timestamp::as_second);
    pending(before) && now - last >= DIVISION_PAUSE_SECONDS
}

/// Has PD divide regions at the bounds of shards, and keep them divided; whether all is done.
pub async fn divide(pd: &Pd<'_>, shards: Option<u32>) -> Result<bool, Error> {
    // A region that lacks a copy is not divided.
    if pd.hurt_regions().await? > 0 {
        return Ok(false);
    }
    pd.label(&stay_divided()).await?;
    Ok(pd.split(&bounds(shards.unwrap_or(SHARDS_DEFAULT_SHARED))).await? >= 100)
}

/// The keys at which regions end: those of journals and of rows, of as many shards as there may be bounds for.
pub fn keys(shards: u32) -> Vec<Vec<u8>> {
    let shards = shards.clamp(1, SLOTS);
    let step = shards.div_ceil(BOUNDS_MAX);
    let indices = || (0..shards).step_by(step as usize);
    let journals = indices().map(|shard| key(b'j', &shard.to_be_bytes()));
    let first = |shard: u32| (u64::from(shard) * u64::from(SLOTS)).div_ceil(u64::from(shards)) as u16;
    let rows = indices().map(|shard| key(b'r', &first(shard).to_be_bytes()));
    journals.chain(rows).chain([key(b't', &[])]).collect()
}

fn key(space: u8, rest: &[u8]) -> Vec<u8> {
    [&[space][..], &CLUSTER.to_be_bytes(), rest].concat()
}

fn bounds(shards: u32) -> Vec<String> {
    keys(shards).iter().map(|key| hex(&ordered(key))).collect()
}

/// The rule by which regions of journals and rows are never joined.
fn stay_divided() -> Value {
    let ranges = [b'j', b'r'].map(|space| {
        json!({"start_key": hex(&ordered(&key(space, &[]))), "end_key": hex(&ordered(&[&[space][..], &(CLUSTER + 1).to_be_bytes()].concat()))})
    });
    json!({
        "id": "ordermill",
        "index": 0,
        "labels": [{"key": "merge_option", "value": "deny"}],
        "rule_type": "key-range",
        "data": ranges,
    })
}

/// A key as TiKV's transactions store it: groups of eight bytes, filled up with zeros, and behind each how many are
/// its own, counted down from 255.
fn ordered(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity((key.len() / 8 + 1) * 9);
    // One more group than needed where the last is full: the end of a key sorts before whatever follows.
    for at in 0..=key.len() / 8 {
        let group = &key[at * 8..key.len().min(at * 8 + 8)];
        stored.extend_from_slice(group);
        stored.resize(stored.len() + 8 - group.len(), 0);
        stored.push(0xf7 + group.len() as u8);
    }
    stored
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stored_in_groups_that_keep_their_order() {
        assert_eq!(hex(&ordered(b"abc")), "6162630000000000fa");
        assert_eq!(hex(&ordered(b"12345678")), "3132333435363738ff0000000000000000f7");
        let keys: [&[u8]; 6] = [b"", b"a", b"a\0", b"a\0\0\0\0\0\0\0", b"a\0\0\0\0\0\0\0\0", b"b"];
        assert!(keys.windows(2).all(|pair| ordered(pair[0]) < ordered(pair[1])));
    }

    #[test]
    fn it_is_tried_so_often_with_a_pause_between() {
        let try_at = |tries, last: &str| Division { done: false, tries, last_try: last.to_owned() };
        let now = "2026-03-01T10:00:05Z".parse::<jiff::Timestamp>().unwrap().as_second();
        assert!(due(&Division::default(), now) && due(&try_at(19, "2026-03-01T10:00:00Z"), now));
        assert!(!due(&try_at(1, "2026-03-01T10:00:01Z"), now));
        assert!(!due(&try_at(DIVISION_TRIES, "2026-03-01T09:00:00Z"), now));
        assert!(!pending(&Division { done: true, ..Division::default() }));
    }

    #[test]
    fn there_are_so_many_bounds_and_no_more() {
        for shards in [1, 3, 64, 500] {
            let bounds = keys(shards);
            assert_eq!(bounds.len() as u32, 2 * shards + 1);
            assert!(bounds.windows(2).all(|pair| pair[0] < pair[1]));
        }
        assert!(keys(65_536).len() <= 2 * 512 + 1);
    }
}
