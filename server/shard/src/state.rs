//! The committed rows of a shard: changed ones in memory, clean ones in a bounded cache, the rest
//! in the store.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_order::SlotRange;
use ordermill_store::keys::{self, RowKey};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use rustc_hash::FxHashMap;

/// Changed rows in key order; `None` is a deleted row.
pub(crate) type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// A changed row; `None` is a deleted one.
pub(crate) type Changed = (RowKey, Option<Bytes>);

/// Changed rows: found by key in one step, and in order where order is asked for. The keys of one
/// slot stand together, unsorted until somebody looks.
#[derive(Debug)]
pub(crate) struct Generation {
    rows: FxHashMap<RowKey, Option<Bytes>>,
    first_slot: u16,
    slots: Vec<Vec<RowKey>>,
}

/// The slot of a key or of a bound, which may be shorter than a key.
fn slot_of(key: &[u8]) -> u16 {
    let byte = |at| key.get(at).copied().unwrap_or(0);
    u16::from_be_bytes([byte(4), byte(5)])
}

impl Generation {
    /// No rows of `range` yet. A band may begin before its shard does.
    fn new(range: SlotRange) -> Self {
        let first_slot = keys::band(range.first);
        let slots = usize::from(range.last - first_slot) + 1;
        Self { rows: FxHashMap::default(), first_slot, slots: vec![Vec::new(); slots] }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    fn get(&self, key: &[u8]) -> Option<&Option<Bytes>> {
        self.rows.get(key)
    }

    /// Says whether the row is new here.
    fn insert(&mut self, key: RowKey, value: Option<Bytes>) -> bool {
        match self.rows.entry(key) {
            Entry::Occupied(mut entry) => {
                entry.insert(value);
                false
            }
            Entry::Vacant(entry) => {
                let slot = usize::from(slot_of(entry.key()) - self.first_slot);
                self.slots[slot].push(entry.key().clone());
                entry.insert(value);
                true
            }
        }
    }

    fn with_value(&self, key: &RowKey) -> (Bytes, Option<Bytes>) {
        (key.to_bytes(), self.rows.get(key).cloned().flatten())
    }

    /// All rows in key order.
    pub(crate) fn sorted(&self) -> Vec<(Bytes, Option<Bytes>)> {
        let mut all = Vec::with_capacity(self.rows.len());
        let mut keys = Vec::new();
        for slot in &self.slots {
            keys.clear();
            keys.extend(slot);
            keys.sort_unstable();
            all.extend(keys.iter().map(|key| self.with_value(key)));
        }
        all
    }

    /// The first `limit` rows from `from` to `to`, in key order.
    fn range(&self, from: &Bound<Bytes>, to: &Bound<Bytes>, limit: usize) -> Changes {
        let mut rows = Changes::new();
        let bound = |bound: &Bound<Bytes>, open| match bound {
            Bound::Included(key) | Bound::Excluded(key) => slot_of(key),
            Bound::Unbounded => open,
        };
        let first = usize::from(bound(from, 0).saturating_sub(self.first_slot));
        let last = usize::from(bound(to, u16::MAX).saturating_sub(self.first_slot)).min(self.slots.len() - 1);
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
        for slot in self.slots.get(first..=last).unwrap_or_default() {
            rows.extend(slot.iter().filter(|key| inside(key)).map(|key| self.with_value(key)));
            if rows.len() >= limit {
                break;
            }
        }
        while rows.len() > limit {
            rows.pop_last();
        }
        rows
    }
}

/// What a cached row takes besides its key and value.
const ENTRY_BYTES: usize = 96;

#[derive(Clone, Debug)]
struct BySize;

impl Weighter<RowKey, Bytes> for BySize {
    fn weight(&self, key: &RowKey, value: &Bytes) -> u64 {
        (key.len() + value.len() + ENTRY_BYTES) as u64
    }
}

/// Where a committed row was found.
pub(crate) enum Found {
    /// In memory.
    Row(Bytes),
    /// In memory: there is no such row.
    Deleted,
    /// Not in memory: the store knows.
    Elsewhere,
}

/// The committed rows that are in memory.
pub(crate) struct Committed {
    range: SlotRange,
    dirty: Generation,
    dirty_bytes: usize,
    /// Being flushed, or flushed last: kept as a cache until the next flush.
    flushed: Arc<Generation>,
    flushing: bool,
    cache: Cache<RowKey, Bytes, BySize>,
}

impl Committed {
    /// No rows of `range` yet; clean ones take at most `cache_bytes`.
    pub(crate) fn new(range: SlotRange, cache_bytes: u64) -> Self {
        let cache = Cache::with_weighter((cache_bytes / 256) as usize, cache_bytes, BySize);
        let (dirty, flushed) = (Generation::new(range), Arc::new(Generation::new(range)));
        Self { range, dirty, dirty_bytes: 0, flushed, flushing: false, cache }
    }

    /// Bytes of rows that wait for a flush.
    pub(crate) fn dirty_bytes(&self) -> usize {
        self.dirty_bytes
    }

    /// Whether rows are on their way to the store.
    pub(crate) fn is_flushing(&self) -> bool {
        self.flushing
    }

    /// Looks a row up in memory.
    pub(crate) fn get(&mut self, key: &[u8]) -> Found {
        let changed = self.dirty.get(key).or_else(|| self.flushed.get(key));
        match changed {
            Some(Some(value)) => Found::Row(value.clone()),
            Some(None) => Found::Deleted,
            None => self.cache.get(key).map_or(Found::Elsewhere, |value| Found::Row(value.clone())),
        }
    }

    /// Keeps a row that was read from the store.
    pub(crate) fn keep(&mut self, key: RowKey, value: Bytes) {
        self.cache.insert(key, value);
    }

    /// Takes over the changes of a committed record.
    pub(crate) fn commit(&mut self, changes: impl IntoIterator<Item = Changed>) {
        for (key, value) in changes {
            let bytes = key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
            if self.dirty.insert(key.clone(), value) {
                self.dirty_bytes += bytes;
                self.cache.remove(&key);
            }
        }
    }

    /// Begins a flush: what has changed so far. `None` while one is under way, or with nothing to do.
    pub(crate) fn begin_flush(&mut self) -> Option<Arc<Generation>> {
        if self.flushing || self.dirty.len() == 0 {
            return None;
        }
        self.flushing = true;
        self.dirty_bytes = 0;
        let full = std::mem::replace(&mut self.dirty, Generation::new(self.range));
        let last = std::mem::replace(&mut self.flushed, Arc::new(full));
        // What was flushed before and is likely to be wanted again moves into the cache.
        for (key, value) in last.rows.iter().filter(|(key, _)| is_hot(key)) {
            if let Some(value) = value
                && self.flushed.get(key).is_none()
            {
                self.cache.insert(key.clone(), Bytes::copy_from_slice(value));
            }
        }
        Some(self.flushed.clone())
    }

    /// Ends a flush. After a failed one the rows count as changed again.
    pub(crate) fn end_flush(&mut self, done: bool) {
        self.flushing = false;
        if !done {
            let failed = std::mem::replace(&mut self.flushed, Arc::new(Generation::new(self.range)));
            for (key, value) in &failed.rows {
                if self.dirty.get(key).is_none() {
                    self.dirty_bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
                    self.dirty.insert(key.clone(), value.clone());
                }
            }
        }
    }

    /// The rows in memory that have changed lately, from `from` to `to`, at most `limit`; and
    /// whether there were more. What the store says about their keys is older.
    pub(crate) fn changed(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> (Changes, bool) {
        let mut rows = self.flushed.range(&from, &to, limit + 1);
        rows.extend(self.dirty.range(&from, &to, limit + 1));
        let more = rows.len() > limit;
        while rows.len() > limit {
            rows.pop_last();
        }
        (rows, more)
    }
}

/// Items are read by many orders; an order by few requests.
fn is_hot(key: &[u8]) -> bool {
    key.get(ordermill_store::keys::HEAD_BYTES - 1) == Some(&(ordermill_store::keys::Kind::Item as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &'static str, value: Option<&'static str>) -> Changed {
        (key.as_bytes().into(), value.map(Into::into))
    }

    fn value(state: &mut Committed, key: &str) -> Option<Bytes> {
        match state.get(key.as_bytes()) {
            Found::Row(value) => Some(value),
            Found::Deleted | Found::Elsewhere => None,
        }
    }

    #[test]
    fn newer_changes_hide_older_ones_through_a_flush() {
        let mut state = Committed::new(SlotRange::ALL, 1 << 20);
        state.commit([change("a", Some("1")), change("b", Some("1"))]);
        let flush = state.begin_flush().expect("there are changes");
        assert_eq!(flush.len(), 2);
        assert!(state.begin_flush().is_none(), "one flush at a time");
        state.commit([change("a", Some("2")), change("c", None)]);
        assert_eq!(value(&mut state, "a").as_deref(), Some(&b"2"[..]));
        assert_eq!(value(&mut state, "b").as_deref(), Some(&b"1"[..]));
        let (rows, more) = state.changed(Bound::Unbounded, Bound::Unbounded, 2);
        assert_eq!(rows.keys().map(|key| &key[..]).collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(more);
        state.end_flush(false);
        let again = state.begin_flush().expect("a failed flush leaves its rows changed");
        let rows: Vec<_> = again.sorted();
        assert_eq!(rows[0], ("a".into(), Some("2".into())));
        assert_eq!(rows.len(), 3);
    }
}
