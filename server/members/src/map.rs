//! The map: which member owns which shard, and who the members are.
//!
//! Versioned, and replaced as a whole. It never says who serves at this instant: that is decided by the
//! store, record by record.

use std::fmt;

use ordermill_order::SlotRange;
use ordermill_station::limits;
use ordermill_store::ShardId;

/// A member's identity: random, and another one each time a process starts. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The formats of stored bytes that a build can both read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// The oldest.
    pub min: u32,
    /// The newest.
    pub max: u32,
}

impl Formats {
    /// Whether `format` is one of them.
    pub fn contains(self, format: u32) -> bool {
        self.min <= format && format <= self.max
    }
}

/// A process that may own shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub incarnation: Incarnation,
    /// The name of its pod or host, for humans.
    pub name: String,
    /// Where it answers its peers.
    pub address: String,
    /// What it can read and write.
    pub formats: Formats,
}

/// How a shard stands with its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The owner has said that it serves the shard, or there is no owner.
    Settled,
    /// The owner has been named, and has not said yet that it serves the shard.
    Moving,
}

/// Where a shard was split from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The parent.
    pub shard: ShardId,
    /// The last record of the parent that counts for the child.
    pub number: u64,
}

/// How a shard shall be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// The first slot of the right child.
    pub at: u16,
    /// The child that gets the slots before `at`.
    pub left: ShardId,
    /// The child that gets the slots from `at` on.
    pub right: ShardId,
}

/// A shard that was split. Its journal has ended, and is read as long as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WasSplit {
    /// Which.
    pub id: ShardId,
    /// The last record of its journal.
    pub number: u64,
    /// Where, and into which.
    pub split: Split,
    /// The cluster's age when its children took its place, milliseconds.
    pub split_ms: u64,
}

/// A shard and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which.
    pub id: ShardId,
    /// Its slots.
    pub range: SlotRange,
    /// Who owns it; nobody while no member can take it.
    pub owner: Option<Incarnation>,
    /// Where it was split from.
    pub parent: Option<Parent>,
    /// How it stands with its owner.
    pub state: State,
    /// While it moves from a living member: the one that hands it over, and serves it until then.
    pub from: Option<Incarnation>,
    /// The cluster's age when it last moved, milliseconds; 0 when it has never left its first owner.
    pub moved_ms: u64,
    /// It shall be split: its owner ends its journal, and two others take its place.
    pub split: Option<Split>,
}

/// What shards move for by themselves. Those of members that are gone or drained always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Levelling {
    /// For the same number of shards at all members, and for load where a member is overloaded.
    #[default]
    Load,
    /// For the same number of shards alone.
    Count,
    /// Not at all.
    Paused,
}

impl Levelling {
    /// Its number, as it is stored and sent.
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Load => 0,
            Self::Count => 1,
            Self::Paused => 2,
        }
    }

    /// The one of this number; None of one that this build does not know.
    pub(crate) fn numbered(number: u32) -> Option<Self> {
        [Self::Load, Self::Count, Self::Paused].into_iter().find(|one| one.number() == number)
    }
}

/// How much may change by itself. Administrators say it, and it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalancing {
    /// What shards move for.
    pub levelling: Levelling,
    /// Moves under way at once, those of members that are drained included; 1 to [`limits::MOVES_AT_ONCE_MAX`].
    pub moves_at_once: usize,
}

impl Default for Rebalancing {
    fn default() -> Self {
        Self { levelling: Levelling::default(), moves_at_once: limits::MOVES_AT_ONCE }
    }
}

/// Which member owns which shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    /// Rises by one with every change.
    pub version: u64,
    /// The format in which records and rows may be written, in the whole store.
    pub format: u32,
    /// How long the cluster had been coordinated when this map was made, milliseconds. No clock: it
    /// stands still while nobody coordinates.
    pub age_ms: u64,
    /// The shards, in the order of their slots; together they cover all slots.
    pub shards: Vec<Shard>,
    /// The members, in the order of their incarnations.
    pub members: Vec<Member>,
    /// The members that shards leave, ascending.
    pub drains: Vec<Incarnation>,
    /// The members that nothing new goes to, ascending.
    pub cordons: Vec<Incarnation>,
    /// The shards that were split, ascending.
    pub split: Vec<WasSplit>,
    /// How much may change by itself.
    pub rebalancing: Rebalancing,
}

/// The slots of shard `index` of `shards`: as equal as can be.
pub fn range_of(index: u32, shards: u32) -> SlotRange {
    let first = |index: u32| (u64::from(index) * u64::from(limits::SLOTS)).div_ceil(u64::from(shards));
    SlotRange { first: first(index) as u16, last: (first(index + 1) - 1) as u16 }
}

impl Map {
    /// The first map of a store: `shards` equal shards that nobody owns yet. Panics unless there are 1 to
    /// 65,536 of them.
    pub fn first(shards: u32, format: u32) -> Self {
        assert!((1..=limits::SLOTS).contains(&shards), "there are 1 to {} shards", limits::SLOTS);
        let shard = |index| Shard {
            id: ShardId(index),
            range: range_of(index, shards),
            owner: None,
            parent: None,
            state: State::Settled,
            from: None,
            moved_ms: 0,
            split: None,
        };
        let shards = (0..shards).map(shard).collect();
        let (members, drains, cordons, split) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let rebalancing = Rebalancing::default();
        Self { version: 1, format, age_ms: 1, shards, members, drains, cordons, split, rebalancing }
    }

    /// The map of a process that shares its store with nobody: it owns everything, for ever. Panics unless
    /// there are 1 to 65,536 shards.
    pub fn alone(shards: u32, me: Member) -> Self {
        let mut map = Self::first(shards, me.formats.max);
        map.shards.iter_mut().for_each(|shard| shard.owner = Some(me.incarnation));
        map.members.push(me);
        map
    }

    /// The shard that holds `slot`.
    pub fn shard_of(&self, slot: u16) -> &Shard {
        let after = self.shards.partition_point(|shard| shard.range.first <= slot);
        // Every map covers all slots (`covers_all_slots`), so that the first shard begins with slot 0.
        &self.shards[after - 1]
    }

    /// The shard with this id.
    pub fn shard(&self, id: ShardId) -> Option<&Shard> {
        self.shards.iter().find(|shard| shard.id == id)
    }

    /// The shard with this id, if it was split.
    pub fn was_split(&self, id: ShardId) -> Option<&WasSplit> {
        let at = self.split.binary_search_by_key(&id, |one| one.id);
        at.ok().map(|at| &self.split[at])
    }

    /// The member that owns the shard of `slot`, if one does.
    pub fn owner_of(&self, slot: u16) -> Option<&Member> {
        self.member(self.shard_of(slot).owner?)
    }

    /// The member with this incarnation.
    pub fn member(&self, incarnation: Incarnation) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&incarnation, |member| member.incarnation);
        at.ok().map(|at| &self.members[at])
    }

    /// The shards of one owner, in the order of their slots.
    pub fn owned_by(&self, owner: Incarnation) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(move |shard| shard.owner == Some(owner))
    }

    /// The newest format that every member knows: the store's, where there is none newer.
    pub fn known_format(&self) -> u32 {
        self.members.iter().map(|member| member.formats.max).min().unwrap_or(self.format)
    }

    /// Whether shards leave this member.
    pub fn is_draining(&self, member: Incarnation) -> bool {
        self.drains.binary_search(&member).is_ok()
    }

    /// Whether nothing new goes to this member.
    pub fn is_cordoned(&self, member: Incarnation) -> bool {
        self.cordons.binary_search(&member).is_ok()
    }

    /// Whether a member other than `leaving` may take its shards.
    pub fn has_taker(&self, leaving: Incarnation) -> bool {
        self.members.iter().any(|member| member.incarnation != leaving && !self.is_draining(member.incarnation))
    }

    /// Whether the shards follow one another and cover all slots, and the lists are in order.
    pub(crate) fn covers_all_slots(&self) -> bool {
        let mut next = 0;
        for Shard { range, .. } in &self.shards {
            if u32::from(range.first) != next || range.last < range.first {
                return false;
            }
            next = u32::from(range.last) + 1;
        }
        next == limits::SLOTS
            && self.members.is_sorted_by_key(|member| member.incarnation)
            && self.drains.is_sorted()
            && self.cordons.is_sorted()
            && self.split.is_sorted_by_key(|one| one.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_all_slots_and_agree_with_the_look_up() {
        for shards in [1u32, 2, 3, 7, 64, 65_536] {
            let map = Map::first(shards, 1);
            assert!(map.covers_all_slots());
            for index in 0..shards {
                let range = range_of(index, shards);
                for slot in [range.first, range.last] {
                    assert_eq!(map.shard_of(slot).id, ShardId(index), "slot {slot} of {shards} shards");
                    assert_eq!(
                        (u64::from(slot) * u64::from(shards) / u64::from(limits::SLOTS)) as u32,
                        index,
                        "slot {slot} of {shards} shards"
                    );
                }
            }
        }
    }

    #[test]
    fn alone_all_is_mine() {
        let formats = Formats { min: 1, max: 3 };
        let me = Member { incarnation: Incarnation(7), name: "m".into(), address: String::new(), formats };
        let map = Map::alone(4, me.clone());
        assert_eq!((map.format, map.owned_by(me.incarnation).count()), (3, 4));
        assert_eq!(map.owner_of(40_000), Some(&me));
        assert!(!map.has_taker(me.incarnation));
    }

    #[test]
    fn a_hole_between_shards_is_noticed() {
        let mut map = Map::first(4, 1);
        map.shards.remove(2);
        assert!(!map.covers_all_slots());
    }
}
