//! Splitting a shard, as far as the map goes: that it shall be split, and that two others take its place.
//!
//! Between the two its owner ends its journal, which only the store can say. Moves no row.

use ordermill_order::SlotRange;
use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::map::{Map, Parent, Shard, Split, State, WasSplit};

/// Takes note that shard `id` shall be split before slot `at`, or in its middle; says why not.
pub(crate) fn ask_for(map: &mut Map, id: ShardId, at: Option<u16>) -> Result<(), String> {
    let asked = |split: Split| at.is_none_or(|at| at == split.at);
    if let Some(done) = map.was_split(id) {
        let at = done.split.at;
        return if asked(done.split) { Ok(()) } else { Err(format!("shard {id} was split before slot {at}")) };
    }
    let left = map.shards.iter().map(|shard| shard.split.map_or(shard.id, |split| split.right.max(split.left)));
    let left = left.chain(map.shards.iter().map(|shard| shard.id)).chain(map.split.iter().map(|one| one.id)).max();
    let left = ShardId(left.map_or(0, |highest| highest.0 + 1));
    let shards = map.shards.len() + map.shards.iter().filter(|shard| shard.split.is_some()).count();
    let shard = map.shards.iter_mut().find(|shard| shard.id == id).ok_or_else(|| format!("there is no shard {id}"))?;
    if let Some(split) = shard.split {
        let at = split.at;
        return if asked(split) { Ok(()) } else { Err(format!("shard {id} is being split before slot {at}")) };
    }
    let SlotRange { first, last } = shard.range;
    if first == last {
        return Err(format!("shard {id} has one slot: it cannot be split"));
    }
    let at = at.unwrap_or(first + (last - first) / 2 + 1);
    if !(first < at && at <= last) {
        return Err(format!("shard {id} has slots {first} to {last}: it can be split before {} to {last}", first + 1));
    }
    if shards >= limits::SHARDS_SHARED_MAX as usize {
        return Err(format!("there are {shards} shards, as many as there can be"));
    }
    if left.0 + 1 >= limits::SHARD_IDS {
        return Err("all numbers of shards have been used".to_owned());
    }
    shard.split = Some(Split { at, left, right: ShardId(left.0 + 1) });
    Ok(())
}

/// Replaces shard `id`, whose journal has ended with record `number`, by those that it is split into. Its
/// owner keeps their slots: it is the one that has them in mind.
pub(crate) fn carry_out(map: &mut Map, id: ShardId, number: u64, age_ms: u64) {
    let Some(place) = map.shards.iter().position(|shard| shard.id == id) else { return };
    let Some(split) = map.shards[place].split else {
        tracing::error!(shard = %id, number, "the journal of a shard has ended that was not to be split");
        return;
    };
    let before = map.shards[place].clone();
    let child = |id, first, last| Shard {
        id,
        range: SlotRange { first, last },
        parent: Some(Parent { shard: before.id, number }),
        state: if before.owner.is_some() { State::Moving } else { State::Settled },
        from: None,
        moved_ms: age_ms,
        split: None,
        owner: before.owner,
    };
    let SlotRange { first, last } = before.range;
    let children = [child(split.left, first, split.at - 1), child(split.right, split.at, last)];
    map.shards.splice(place..=place, children);
    let done = WasSplit { id, number, split, split_ms: age_ms };
    let place = map.split.partition_point(|one| one.id < id);
    map.split.insert(place, done);
    tracing::info!(shard = %id, number, left = %split.left, right = %split.right, at = split.at, "a shard was split");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{Formats, Incarnation, Member};

    const A: ShardId = ShardId(1);

    fn map() -> Map {
        let (name, address, formats) = (String::new(), String::new(), Formats { min: 1, max: 1 });
        Map::alone(4, Member { incarnation: Incarnation(7), name, address, formats })
    }

    #[test]
    fn a_shard_is_replaced_by_its_children_and_remembered() {
        let mut map = map();
        ask_for(&mut map, A, None).unwrap();
        let split = Split { at: 24_576, left: ShardId(4), right: ShardId(5) };
        assert_eq!(map.shard(A).unwrap().split, Some(split));
        let asked = map.clone();
        ask_for(&mut map, A, None).unwrap();
        ask_for(&mut map, A, Some(24_576)).unwrap();
        assert_eq!(map, asked, "asked again it is the same");
        ask_for(&mut map, ShardId(0), Some(1)).unwrap();
        assert_eq!(map.shard(ShardId(0)).unwrap().split, Some(Split { at: 1, left: ShardId(6), right: ShardId(7) }));
        carry_out(&mut map, A, 300, 99);
        carry_out(&mut map, A, 300, 100);
        assert!(map.covers_all_slots());
        let ids: Vec<u32> = map.shards.iter().map(|shard| shard.id.0).collect();
        assert_eq!(ids, [0, 4, 5, 2, 3]);
        assert_eq!(map.was_split(A), Some(&WasSplit { id: A, number: 300, split, split_ms: 99 }));
        for (id, first, last) in [(4, 16_384, 24_575), (5, 24_576, 32_767)] {
            let child = map.shard(ShardId(id)).unwrap();
            assert_eq!((child.range, child.owner), (SlotRange { first, last }, Some(Incarnation(7))));
            assert_eq!((child.parent, child.state), (Some(Parent { shard: A, number: 300 }), State::Moving));
        }
        assert_eq!(Map::decode(&map.encode()).unwrap(), map);
        // Once done it is so, and numbers are never given twice.
        ask_for(&mut map, A, None).unwrap();
        ask_for(&mut map, ShardId(5), None).unwrap();
        assert_eq!(map.shard(ShardId(5)).unwrap().split.unwrap().left, ShardId(8));
    }

    #[test]
    fn what_cannot_be_split_stays_as_it_is() {
        let mut map = map();
        ask_for(&mut map, A, Some(20_000)).unwrap();
        let before = map.clone();
        for (id, at, why) in [
            (9, None, "there is no shard 9"),
            (2, Some(32_768), "shard 2 has slots 32768 to 49151: it can be split before 32769 to 49151"),
            (2, Some(49_152), "it can be split before"),
            (1, Some(20_001), "shard 1 is being split before slot 20000"),
        ] {
            let refused = ask_for(&mut map, ShardId(id), at).unwrap_err();
            assert!(refused.contains(why), "{refused}");
            assert_eq!(map, before);
        }
        carry_out(&mut map, ShardId(2), 5, 1);
        assert_eq!(map, before, "nobody has asked for it");
        let mut largest = Map::first(limits::SHARDS_SHARED_MAX - 1, 1);
        ask_for(&mut largest, A, None).unwrap();
        let refused = ask_for(&mut largest, ShardId(2), None).unwrap_err();
        assert_eq!(refused, "there are 8192 shards, as many as there can be");
        carry_out(&mut map, A, 300, 99);
        assert!(ask_for(&mut map, A, Some(20_001)).unwrap_err().contains("was split before slot 20000"));
        let mut map = Map::first(65_536, 1);
        assert!(ask_for(&mut map, A, None).unwrap_err().contains("has one slot"));
    }
}
