//! The two values by which members of a cluster agree: who coordinates, and the map.
//!
//! Replaced as a whole by compare-and-set. Like rows they are read by older and newer builds during an
//! upgrade; a field that must not be lost when an older build writes the map waits for the next format.

/// Who coordinates the cluster.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CoordinatorValue {
    /// Rises with every change of coordinator.
    #[prost(uint64, tag = "1")]
    pub term: u64,
    /// The coordinator; 0 when it has left its place to others.
    #[prost(fixed64, tag = "2")]
    pub incarnation: u64,
    /// Where it answers its peers.
    #[prost(string, tag = "3")]
    pub address: String,
    /// Rises with every renewal: as long as it does, the coordinator is alive.
    #[prost(uint64, tag = "4")]
    pub beat: u64,
}

/// Which member owns which shard.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MapValue {
    /// Rises by one with every change.
    #[prost(uint64, tag = "1")]
    pub version: u64,
    /// The format in which records and rows may be written.
    #[prost(uint32, tag = "2")]
    pub format: u32,
    /// How long the cluster had been coordinated when this was written, milliseconds.
    #[prost(uint64, tag = "3")]
    pub age_ms: u64,
    /// The shards, in the order of their slots; together they cover all slots.
    #[prost(message, repeated, tag = "4")]
    pub shards: Vec<MapShardValue>,
    /// The members, in the order of their incarnations.
    #[prost(message, repeated, tag = "5")]
    pub members: Vec<MapMemberValue>,
    /// The incarnations that shards leave.
    #[prost(fixed64, repeated, tag = "6")]
    pub drains: Vec<u64>,
    /// The incarnations that nothing new goes to.
    #[prost(fixed64, repeated, tag = "7")]
    pub cordons: Vec<u64>,
    /// The shards that were split, in the order of their numbers. Their journals are read still.
    #[prost(message, repeated, tag = "8")]
    pub split: Vec<MapWasSplitValue>,
    /// How much may change by itself; absent until somebody changes it.
    #[prost(message, optional, tag = "9")]
    pub rebalancing: Option<MapRebalancingValue>,
}

/// How much of the map may change by itself.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct MapRebalancingValue {
    /// What shards move for: 0: numbers and loads; 1: numbers; 2: nothing.
    #[prost(uint32, tag = "1")]
    pub levelling: u32,
    /// Moves under way at once.
    #[prost(uint32, tag = "2")]
    pub moves_at_once: u32,
}

/// A shard that was split.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct MapWasSplitValue {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// The last record of its journal.
    #[prost(uint64, tag = "2")]
    pub number: u64,
    /// The first slot of the right one of its children.
    #[prost(uint32, tag = "3")]
    pub at: u32,
    /// The child that has its lower slots.
    #[prost(uint32, tag = "4")]
    pub left: u32,
    /// The child that has its upper slots.
    #[prost(uint32, tag = "5")]
    pub right: u32,
    /// The cluster's age when its children took its place, milliseconds.
    #[prost(uint64, tag = "6")]
    pub split_ms: u64,
}

/// How a shard shall be split.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct MapSplitValue {
    /// The first slot of the right one of its children.
    #[prost(uint32, tag = "1")]
    pub at: u32,
    /// The child that gets its lower slots.
    #[prost(uint32, tag = "2")]
    pub left: u32,
    /// The child that gets its upper slots.
    #[prost(uint32, tag = "3")]
    pub right: u32,
}

/// One shard of the map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MapShardValue {
    /// The shard.
    #[prost(uint32, tag = "1")]
    pub id: u32,
    /// Its first slot.
    #[prost(uint32, tag = "2")]
    pub first: u32,
    /// Its last slot.
    #[prost(uint32, tag = "3")]
    pub last: u32,
    /// The incarnation that owns it, if one does.
    #[prost(fixed64, optional, tag = "4")]
    pub owner: Option<u64>,
    /// The shard that it was split from.
    #[prost(message, optional, tag = "5")]
    pub parent: Option<MapParentValue>,
    /// 0: settled; 1: moving to its owner.
    #[prost(uint32, tag = "6")]
    pub state: u32,
    /// While it moves: the incarnation that hands it over.
    #[prost(fixed64, optional, tag = "7")]
    pub from: Option<u64>,
    /// The cluster's age when it last moved, milliseconds; 0: never.
    #[prost(uint64, tag = "8")]
    pub moved_ms: u64,
    /// It shall be split.
    #[prost(message, optional, tag = "9")]
    pub split: Option<MapSplitValue>,
}

/// Where a shard was split from.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct MapParentValue {
    /// The parent.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The last record of the parent that counts for the child.
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

/// One member of the map.
#[derive(Clone, PartialEq, prost::Message)]
pub struct MapMemberValue {
    /// The incarnation.
    #[prost(fixed64, tag = "1")]
    pub incarnation: u64,
    /// The pod's or host's name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Where it answers its peers.
    #[prost(string, tag = "3")]
    pub address: String,
    /// The oldest format that it can read and write.
    #[prost(uint32, tag = "4")]
    pub format_min: u32,
    /// The newest format that it can read and write.
    #[prost(uint32, tag = "5")]
    pub format_max: u32,
}

/// How far a move of data into the cluster has come. As long as it is not done nobody serves the cluster.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct MigrationValue {
    /// The name of the data directory that it comes from.
    #[prost(fixed64, tag = "1")]
    pub source: u64,
    /// A hash of where the journals of that directory ended when the move began.
    #[prost(fixed64, tag = "2")]
    pub position: u64,
    /// How many shards the cluster gets.
    #[prost(uint32, tag = "3")]
    pub shards: u32,
    /// Slots before this one have been copied.
    #[prost(uint32, tag = "4")]
    pub next_slot: u32,
    /// Everything is there, and was compared.
    #[prost(bool, tag = "5")]
    pub done: bool,
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::decode;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn map() -> MapValue {
        let shard = MapShardValue {
            id: 1,
            first: 2,
            last: 3,
            owner: Some(4),
            parent: Some(MapParentValue { shard: 5, number: 6 }),
            state: 1,
            from: Some(7),
            moved_ms: 8,
            split: Some(MapSplitValue { at: 3, left: 14, right: 15 }),
        };
        let member =
            MapMemberValue { incarnation: 9, name: "n".into(), address: "a:1".into(), format_min: 1, format_max: 2 };
        let (shards, members) = (vec![shard], vec![member]);
        let split = vec![MapWasSplitValue { id: 16, number: 300, at: 2, left: 1, right: 17, split_ms: 9 }];
        let (drains, cordons) = (vec![12], vec![13]);
        let rebalancing = Some(MapRebalancingValue { levelling: 2, moves_at_once: 3 });
        MapValue { version: 10, format: 1, age_ms: 11, shards, members, drains, cordons, split, rebalancing }
    }

    #[test]
    fn golden_bytes() {
        // Stored bytes: a change here is a change of the format.
        let value = CoordinatorValue { term: 3, incarnation: 0x0102, address: "a:1".into(), beat: 4 };
        assert_eq!(hex(&value.encode_to_vec()), "08031102010000000000001a03613a312004");
        let map = hex(&map().encode_to_vec());
        let shard = "0801100218032104000000000000002a0408051006300139070000000000000040084a060803100e180f";
        let member = "09090000000000000012016e1a03613a3120012802";
        let migration = MigrationValue { source: 1, position: 2, shards: 64, next_slot: 1_024, done: true };
        assert_eq!(hex(&migration.encode_to_vec()), "09010000000000000011020000000000000018402080082801");
        let (head, drains, cordons) = ("080a1001180b", "32080c00000000000000", "3a080d00000000000000");
        let split = "420d081010ac021802200128113009";
        let rebalancing = "4a0408021003";
        assert_eq!(map, format!("{head}222a{shard}2a15{member}{drains}{cordons}{split}{rebalancing}"));
    }

    #[test]
    fn unknown_fields_are_skipped() {
        let mut bytes = map().encode_to_vec();
        // Field 1000, a varint: what a newer build might have written.
        bytes.extend([0xC0, 0x3E, 0x05]);
        assert_eq!(decode::<MapValue>("a map", &bytes[..]), Ok(map()));
        assert!(decode::<MapValue>("a map", &bytes[..5]).is_err());
    }
}
