//! The committed rows of a shard: changed ones in memory, clean ones in a bounded cache, the rest
//! in the store.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_order::SlotRange;
use ordermill_store::keys::RowKey;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::generation::{Changed, Changes, Generation};

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
        let (dirty, flushed) = (Generation::new(range, 0), Arc::new(Generation::new(range, 0)));
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

    /// Begins a flush: what has changed so far, and what was flushed last, to be dropped where
    /// that takes nobody's time. `None` while one is under way, or with nothing to do.
    pub(crate) fn begin_flush(&mut self) -> Option<(Arc<Generation>, Arc<Generation>)> {
        if self.flushing || self.dirty.len() == 0 {
            return None;
        }
        self.flushing = true;
        self.dirty_bytes = 0;
        let next = Generation::new(self.range, self.dirty.len());
        let full = std::mem::replace(&mut self.dirty, next);
        let last = std::mem::replace(&mut self.flushed, Arc::new(full));
        // What was flushed before and is likely to be wanted again moves into the cache.
        for (key, value) in last.hot() {
            if self.flushed.get(key).is_none() {
                self.cache.insert(key.clone(), Bytes::copy_from_slice(value));
            }
        }
        Some((self.flushed.clone(), last))
    }

    /// Ends a flush. After a failed one the rows count as changed again.
    pub(crate) fn end_flush(&mut self, done: bool) {
        self.flushing = false;
        if !done {
            let failed = std::mem::replace(&mut self.flushed, Arc::new(Generation::new(self.range, 0)));
            for (key, value) in failed.rows() {
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
        let (flush, _) = state.begin_flush().expect("there are changes");
        assert_eq!(flush.len(), 2);
        assert!(state.begin_flush().is_none(), "one flush at a time");
        state.commit([change("a", Some("2")), change("c", None)]);
        assert_eq!(value(&mut state, "a").as_deref(), Some(&b"2"[..]));
        assert_eq!(value(&mut state, "b").as_deref(), Some(&b"1"[..]));
        let (rows, more) = state.changed(Bound::Unbounded, Bound::Unbounded, 2);
        assert_eq!(rows.keys().map(|key| &key[..]).collect::<Vec<_>>(), [b"a", b"b"]);
        assert!(more);
        state.end_flush(false);
        let (again, _) = state.begin_flush().expect("a failed flush leaves its rows changed");
        let rows: Vec<_> = again.sorted();
        assert_eq!(rows[0], ("a".into(), Some("2".into())));
        assert_eq!(rows.len(), 3);
    }
}
