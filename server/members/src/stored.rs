//! The map and the coordinator's place as they are stored, and back.
//!
//! The only file that knows both forms. Decides nothing.

use bytes::Bytes;
use ordermill_journal::{
    CoordinatorValue, MapMemberValue, MapParentValue, MapRebalancingValue, MapShardValue, MapSplitValue, MapValue,
    MapWasSplitValue, decode,
};
use ordermill_order::SlotRange;
use ordermill_store::ShardId;
use prost::Message as _;

use crate::Error;
use crate::map::{Formats, Incarnation, Levelling, Map, Member, Parent, Rebalancing, Shard, Split, State, WasSplit};

/// The store's value that says who coordinates.
pub(crate) const COORDINATOR: &str = "coordinator";
/// The store's value that holds the map.
pub(crate) const MAP: &str = "map";

/// A member that coordinates, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Rises with every change of coordinator.
    pub(crate) term: u64,
    /// Who; nobody when the place was left to others.
    pub(crate) incarnation: Option<Incarnation>,
    /// Where it answers its peers.
    pub(crate) address: String,
    /// Rises with every renewal.
    pub(crate) beat: u64,
}

impl Place {
    pub(crate) fn encode(&self) -> Bytes {
        let incarnation = self.incarnation.map_or(0, |incarnation| incarnation.0);
        let value = CoordinatorValue { term: self.term, incarnation, address: self.address.clone(), beat: self.beat };
        value.encode_to_vec().into()
    }

    pub(crate) fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let value: CoordinatorValue = decode("the coordinator's place", bytes.clone()).map_err(unreadable)?;
        let incarnation = (value.incarnation != 0).then_some(Incarnation(value.incarnation));
        Ok(Self { term: value.term, incarnation, address: value.address, beat: value.beat })
    }
}

fn unreadable(error: ordermill_journal::Unreadable) -> Error {
    Error::Corrupt(error.to_string())
}

fn stored_member(member: &Member) -> MapMemberValue {
    MapMemberValue {
        incarnation: member.incarnation.0,
        name: member.name.clone(),
        address: member.address.clone(),
        format_min: member.formats.min,
        format_max: member.formats.max,
    }
}

fn stored_shard(shard: &Shard) -> MapShardValue {
    MapShardValue {
        id: shard.id.0,
        first: shard.range.first.into(),
        last: shard.range.last.into(),
        owner: shard.owner.map(|owner| owner.0),
        parent: shard.parent.map(|parent| MapParentValue { shard: parent.shard.0, number: parent.number }),
        state: match shard.state {
            State::Settled => 0,
            State::Moving => 1,
        },
        from: shard.from.map(|from| from.0),
        moved_ms: shard.moved_ms,
        split: shard.split.map(|Split { at, left, right }| MapSplitValue {
            at: at.into(),
            left: left.0,
            right: right.0,
        }),
    }
}

fn stored_split(one: &WasSplit) -> MapWasSplitValue {
    let WasSplit { id, number, split: Split { at, left, right }, split_ms } = *one;
    MapWasSplitValue { id: id.0, number, at: at.into(), left: left.0, right: right.0, split_ms }
}

/// What nobody has changed is not stored, so that a later build may change what that means.
fn stored_rebalancing(rebalancing: Rebalancing) -> Option<MapRebalancingValue> {
    let Rebalancing { levelling, moves_at_once } = rebalancing;
    let value = MapRebalancingValue { levelling: levelling.number(), moves_at_once: moves_at_once as u32 };
    (rebalancing != Rebalancing::default()).then_some(value)
}

fn rebalancing(value: Option<MapRebalancingValue>) -> Rebalancing {
    let Some(MapRebalancingValue { levelling, moves_at_once }) = value else { return Rebalancing::default() };
    // What a later build has meant by another number this one does not do: rather nothing.
    let levelling = Levelling::numbered(levelling).unwrap_or(Levelling::Paused);
    Rebalancing { levelling, moves_at_once: moves_at_once as usize }
}

fn slot(slot: u32) -> Result<u16, Error> {
    u16::try_from(slot).map_err(|_| Error::Corrupt(format!("the map names a slot {slot}")))
}

fn split(at: u32, left: u32, right: u32) -> Result<Split, Error> {
    Ok(Split { at: slot(at)?, left: ShardId(left), right: ShardId(right) })
}

fn was_split(value: MapWasSplitValue) -> Result<WasSplit, Error> {
    let MapWasSplitValue { id, number, at, left, right, split_ms } = value;
    Ok(WasSplit { id: ShardId(id), number, split: split(at, left, right)?, split_ms })
}

fn shard(value: MapShardValue) -> Result<Shard, Error> {
    Ok(Shard {
        id: ShardId(value.id),
        range: SlotRange { first: slot(value.first)?, last: slot(value.last)? },
        owner: value.owner.map(Incarnation),
        parent: value.parent.map(|parent| Parent { shard: ShardId(parent.shard), number: parent.number }),
        state: match value.state {
            0 => State::Settled,
            1 => State::Moving,
            other => return Err(Error::Corrupt(format!("shard {} is in a state {other} unknown here", value.id))),
        },
        from: value.from.map(Incarnation),
        moved_ms: value.moved_ms,
        split: value.split.map(|value| split(value.at, value.left, value.right)).transpose()?,
    })
}

fn member(value: MapMemberValue) -> Member {
    Member {
        incarnation: Incarnation(value.incarnation),
        name: value.name,
        address: value.address,
        formats: Formats { min: value.format_min, max: value.format_max },
    }
}

impl Map {
    /// The bytes under which the map is stored and sent.
    pub fn encode(&self) -> Bytes {
        let bare = |list: &[Incarnation]| list.iter().map(|incarnation| incarnation.0).collect();
        let value = MapValue {
            version: self.version,
            format: self.format,
            age_ms: self.age_ms,
            shards: self.shards.iter().map(stored_shard).collect(),
            members: self.members.iter().map(stored_member).collect(),
            drains: bare(&self.drains),
            cordons: bare(&self.cordons),
            split: self.split.iter().map(stored_split).collect(),
            rebalancing: stored_rebalancing(self.rebalancing),
        };
        value.encode_to_vec().into()
    }

    /// Reads a stored map; `Corrupt` when it is none, or does not cover all slots.
    pub fn decode(bytes: &Bytes) -> Result<Self, Error> {
        let value: MapValue = decode("the map", bytes.clone()).map_err(unreadable)?;
        let named = |list: Vec<u64>| list.into_iter().map(Incarnation).collect();
        let map = Self {
            version: value.version,
            format: value.format,
            age_ms: value.age_ms,
            shards: value.shards.into_iter().map(shard).collect::<Result<_, _>>()?,
            members: value.members.into_iter().map(member).collect(),
            drains: named(value.drains),
            cordons: named(value.cordons),
            split: value.split.into_iter().map(was_split).collect::<Result<_, _>>()?,
            rebalancing: rebalancing(value.rebalancing),
        };
        if !map.covers_all_slots() {
            return Err(Error::Corrupt(format!("map {} does not cover all slots in order", map.version)));
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_comes_back_as_it_was() {
        let formats = Formats { min: 1, max: 2 };
        let me = Member { incarnation: Incarnation(5), name: "pod-0".into(), address: "10.0.0.1:7".into(), formats };
        let mut map = Map::alone(3, me);
        map.shards[1].state = State::Moving;
        map.shards[1].from = Some(Incarnation(9));
        map.shards[1].moved_ms = 77;
        map.shards[2].owner = None;
        map.shards[2].parent = Some(Parent { shard: ShardId(1), number: 12 });
        map.drains.push(Incarnation(5));
        map.cordons.push(Incarnation(6));
        assert_eq!(Map::decode(&map.encode()).unwrap(), map);
        map.rebalancing = Rebalancing { levelling: Levelling::Count, moves_at_once: 3 };
        assert_eq!(Map::decode(&map.encode()).unwrap(), map);
    }

    #[test]
    fn what_is_no_map_is_refused() {
        let mut map = Map::first(3, 1);
        map.shards.swap(0, 1);
        assert!(matches!(Map::decode(&map.encode()), Err(Error::Corrupt(_))));
        assert!(matches!(Map::decode(&Bytes::from_static(b"\xff")), Err(Error::Corrupt(_))));
    }

    #[test]
    fn a_place_that_was_left_names_nobody() {
        let place = Place { term: 4, incarnation: None, address: String::new(), beat: 9 };
        assert_eq!(Place::decode(&place.encode()).unwrap(), place);
    }
}
