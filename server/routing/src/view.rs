//! Who serves which slots, as far as this process knows.

use std::sync::Arc;

use ordermill_members::WasSplit;
use ordermill_order::SlotRange;
use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::served::Served;

/// Who serves a shard.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    /// This process, now or soon.
    Here(Arc<Served>),
    /// The member at an address.
    There(Arc<str>),
    /// Nobody yet.
    Nobody,
}

/// A shard and who serves it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The shard.
    pub(crate) id: ShardId,
    /// Its slots.
    pub(crate) range: SlotRange,
    /// Who serves it.
    pub(crate) owner: Owner,
}

/// All shards.
#[derive(Debug)]
pub(crate) struct View {
    /// The version of the shard map that it was made from.
    pub(crate) version: u64,
    /// Every slot lies in one of them; ascending.
    places: Vec<Place>,
    /// The shards that were split, ascending by their numbers.
    split: Vec<WasSplit>,
}

impl View {
    /// The shards of a map; panics unless their ranges are the whole of the slots, ascending.
    pub(crate) fn new(version: u64, places: Vec<Place>, split: Vec<WasSplit>) -> Self {
        let mut next = 0u32;
        for place in &places {
            assert_eq!(u32::from(place.range.first), next, "shard {} begins where the one before ends", place.id);
            next = u32::from(place.range.last) + 1;
        }
        assert_eq!(next, limits::SLOTS, "every slot lies in a shard");
        Self { version, places, split }
    }

    /// Before there is a map.
    pub(crate) fn empty() -> Self {
        Self { version: 0, places: Vec::new(), split: Vec::new() }
    }

    /// The shards, ascending by their slots.
    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    /// The shards that were split, ascending by their numbers.
    pub(crate) fn split(&self) -> &[WasSplit] {
        &self.split
    }

    /// The shard with this number, if it was split.
    pub(crate) fn was_split(&self, id: ShardId) -> Option<&WasSplit> {
        let at = self.split.binary_search_by_key(&id, |one| one.id);
        at.ok().map(|at| &self.split[at])
    }

    /// The index of the shard that `slot` lies in.
    pub(crate) fn index_of(&self, slot: u16) -> usize {
        self.places.partition_point(|place| place.range.last < slot)
    }

    /// The shard that `slot` lies in.
    pub(crate) fn of(&self, slot: u16) -> &Place {
        &self.places[self.index_of(slot)]
    }

    /// The shards that are this process's.
    pub(crate) fn here(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.places.iter().filter_map(|place| match &place.owner {
            Owner::Here(served) => Some(served),
            Owner::There(_) | Owner::Nobody => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(lasts: &[u16]) -> View {
        let mut first = 0;
        let places = lasts.iter().enumerate().map(|(index, &last)| {
            let range = SlotRange { first, last };
            first = last.wrapping_add(1);
            Place { id: ShardId(index as u32), range, owner: Owner::Nobody }
        });
        View::new(1, places.collect(), Vec::new())
    }

    #[test]
    fn a_slot_lies_in_the_shard_whose_range_has_it() {
        let view = view(&[0, 9, 40_000, 65_535]);
        for (slot, index) in [(0, 0), (1, 1), (9, 1), (10, 2), (40_000, 2), (40_001, 3), (65_535, 3)] {
            assert_eq!(view.index_of(slot), index, "slot {slot}");
            assert_eq!(view.of(slot).id, ShardId(index as u32));
        }
    }

    #[test]
    #[should_panic(expected = "every slot lies in a shard")]
    fn a_map_with_a_hole_is_none() {
        view(&[0, 9, 40_000]);
    }
}
