//! The rows that have changed since a flush began: found by key in one step, and in key order where
//! order is asked for.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;
use indexmap::map::Entry;
use ordermill_order::SlotRange;
use ordermill_store::Change;
use ordermill_store::keys::{self, Kind, RowKey};
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

/// Changed rows in key order; `None` is a deleted row.
pub(crate) type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// A changed row; `None` is a deleted one.
pub(crate) type Changed = (RowKey, Option<Bytes>);

/// Changed rows in the order of their first change, which is all that a new row costs.
#[derive(Debug)]
pub(crate) struct Generation {
    rows: IndexMap<RowKey, Option<Bytes>, FxBuildHasher>,
    /// Those of `rows` that many commands read.
    hot: Vec<RowKey>,
    first_slot: u16,
    slots: usize,
    scanned: Mutex<Scanned>,
}

/// Places of rows by slot, as far as a scan has needed them. Nobody scans during a bulk import.
#[derive(Debug, Default)]
struct Scanned {
    rows: u32,
    slots: Vec<Vec<u32>>,
}

/// The slot of a key or of a bound, which may be shorter than a key.
fn slot_of(key: &[u8]) -> u16 {
    let byte = |at| key.get(at).copied().unwrap_or(0);
    u16::from_be_bytes([byte(4), byte(5)])
}

/// Items are read by many orders; an order by few requests.
fn is_hot(key: &[u8]) -> bool {
    key.get(keys::HEAD_BYTES - 1) == Some(&(Kind::Item as u8))
}

impl Generation {
    /// No rows of `range` yet, and room for `expected`: a large map that grows stands still for a
    /// while. A band may begin before its shard does.
    pub(crate) fn new(range: SlotRange, expected: usize) -> Self {
        let first_slot = keys::band(range.first);
        Self {
            rows: IndexMap::with_capacity_and_hasher(expected, FxBuildHasher),
            hot: Vec::new(),
            first_slot,
            slots: usize::from(range.last - first_slot) + 1,
            scanned: Mutex::default(),
        }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.rows.get(key)
    }

    /// All rows, in the order of their first change.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&RowKey, &Option<Bytes>)> {
        self.rows.iter()
    }

    /// The rows that many commands read; none that are deleted.
    pub(crate) fn hot(&self) -> impl Iterator<Item = (&RowKey, &Bytes)> {
        self.hot.iter().filter_map(|key| Some((key, self.rows.get(key)?.as_ref()?)))
    }

    /// Says whether the row is new here.
    pub(crate) fn insert(&mut self, key: RowKey, value: Option<Bytes>) -> bool {
        match self.rows.entry(key) {
            Entry::Occupied(mut entry) => {
                entry.insert(value);
                false
            }
            Entry::Vacant(entry) => {
                if is_hot(entry.key()) {
                    self.hot.push(entry.key().clone());
                }
                entry.insert(value);
                true
            }
        }
    }

    fn at(&self, place: u32) -> (&RowKey, &Option<Bytes>) {
        self.rows.get_index(place as usize).expect("a place of a row")
    }

    fn slot_at(&self, place: u32) -> usize {
        usize::from(slot_of(self.at(place).0) - self.first_slot)
    }

    /// All rows in key order: laid out by slot, and sorted inside each.
    pub(crate) fn sorted(&self) -> Vec<Change> {
        let mut ends = vec![0_usize; self.slots + 1];
        (0..self.len() as u32).for_each(|place| ends[self.slot_at(place) + 1] += 1);
        for slot in 0..self.slots {
            ends[slot + 1] += ends[slot];
        }
        let starts = ends.clone();
        let mut places = vec![0_u32; self.len()];
        for place in 0..self.len() as u32 {
            let next = &mut ends[self.slot_at(place)];
            places[*next] = place;
            *next += 1;
        }
        let key = |place: u32| &self.at(place).0[..];
        for slot in starts.windows(2) {
            places[slot[0]..slot[1]].sort_unstable_by(|a, b| key(*a).cmp(key(*b)));
        }
        // One allocation for all keys: there are many, and they live equally long.
        let mut joined = BytesMut::with_capacity(self.rows.keys().map(|key| key.len()).sum());
        let mut all = Vec::with_capacity(self.len());
        for place in places {
            let (key, value) = self.at(place);
            joined.extend_from_slice(key);
            all.push((joined.split().freeze(), value.clone()));
        }
        all
    }

    /// The first `limit` rows from `from` to `to`, in key order.
    pub(crate) fn range(&self, from: &Bound<Bytes>, to: &Bound<Bytes>, limit: usize) -> Changes {
        let mut rows = Changes::new();
        let bound = |bound: &Bound<Bytes>, open| match bound {
            Bound::Included(key) | Bound::Excluded(key) => slot_of(key),
            Bound::Unbounded => open,
        };
        let first = usize::from(bound(from, 0).saturating_sub(self.first_slot));
        let last = usize::from(bound(to, u16::MAX).saturating_sub(self.first_slot)).min(self.slots - 1);
        let inside = |key: &[u8]| {
            let after_from = match from {
                Bound::Included(from) => key >= &from[..],
                Bound::Excluded(from) => key > &from[..],
                Bound::Unbounded => true,
            };
            after_from
                && match to {
                    Bound::Included(to) => key <= &to[..],
                    Bound::Excluded(to) => key < &to[..],
                    Bound::Unbounded => true,
                }
        };
        let mut scanned = self.scanned.lock();
        self.scan_ahead(&mut scanned);
        for slot in scanned.slots.get(first..=last).unwrap_or_default() {
            let found = slot.iter().map(|place| self.at(*place)).filter(|(key, _)| inside(key));
            rows.extend(found.map(|(key, value)| (key.to_bytes(), value.clone())));
            if rows.len() >= limit {
                break;
            }
        }
        while rows.len() > limit {
            rows.pop_last();
        }
        rows
    }

    fn scan_ahead(&self, scanned: &mut Scanned) {
        if scanned.slots.is_empty() {
            scanned.slots = vec![Vec::new(); self.slots];
        }
        for place in scanned.rows..self.len() as u32 {
            scanned.slots[self.slot_at(place)].push(place);
        }
        scanned.rows = self.len() as u32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(slot: u16, rest: u8) -> RowKey {
        let [high, low] = slot.to_be_bytes();
        RowKey::from(&[0, 0, 0, 1, high, low, 2, 0, rest][..])
    }

    proptest! {
        /// A generation is an ordered map that keeps deletions.
        #[test]
        fn rows_are_those_of_an_ordered_map(
            changes in prop::collection::vec((0_u16..6, 0_u8..6, any::<Option<u8>>()), 0..60),
            (low, high) in ((0_u16..6, 0_u8..6), (0_u16..6, 0_u8..6)),
            (limit, scan_at) in (1_usize..20, 0_usize..60),
        ) {
            let mut generation = Generation::new(SlotRange::ALL, 0);
            let mut map = Changes::new();
            let from = Bound::Included(key(low.0, low.1).to_bytes());
            let to = Bound::Excluded(key(high.0.max(low.0), high.1).to_bytes());
            for (index, (slot, rest, value)) in changes.into_iter().enumerate() {
                let value = value.map(|value| Bytes::copy_from_slice(&[value]));
                let new = map.insert(key(slot, rest).to_bytes(), value.clone()).is_none();
                prop_assert_eq!(generation.insert(key(slot, rest), value), new);
                if index == scan_at {
                    prop_assert_eq!(generation.range(&Bound::Unbounded, &Bound::Unbounded, usize::MAX), map.clone());
                }
            }
            let inside = |key: &Bytes| {
                matches!(&from, Bound::Included(from) if key >= from) && matches!(&to, Bound::Excluded(to) if key < to)
            };
            let page: Changes =
                map.iter().filter(|(key, _)| inside(key)).take(limit).map(|(k, v)| (k.clone(), v.clone())).collect();
            prop_assert_eq!(generation.range(&from, &to, limit), page);
            prop_assert_eq!(generation.sorted(), map.into_iter().collect::<Vec<_>>());
        }
    }
}
