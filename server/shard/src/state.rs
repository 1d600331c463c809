//! The committed rows of a shard: changed ones in memory, clean ones in a bounded cache, the rest
//! in the store.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_journal::Change;
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

/// Changed rows by key; `None` is a deleted row.
pub(crate) type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// What a cached row takes besides its key and value.
const ENTRY_BYTES: usize = 96;

#[derive(Clone, Debug)]
struct BySize;

impl Weighter<Bytes, Bytes> for BySize {
    fn weight(&self, key: &Bytes, value: &Bytes) -> u64 {
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
    dirty: Changes,
    dirty_bytes: usize,
    /// Being flushed, or flushed last: kept as a cache until the next flush.
    flushed: Arc<Changes>,
    flushing: bool,
    cache: Cache<Bytes, Bytes, BySize>,
}

impl Committed {
    /// No rows yet; clean ones take at most `cache_bytes`.
    pub(crate) fn new(cache_bytes: u64) -> Self {
        let cache = Cache::with_weighter((cache_bytes / 256) as usize, cache_bytes, BySize);
        Self { dirty: Changes::new(), dirty_bytes: 0, flushed: Arc::default(), flushing: false, cache }
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
    pub(crate) fn keep(&mut self, key: Bytes, value: Bytes) {
        self.cache.insert(key, value);
    }

    /// Takes over the changes of a committed record.
    pub(crate) fn commit(&mut self, changes: impl IntoIterator<Item = Change>) {
        for Change { key, value } in changes {
            let bytes = key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
            self.cache.remove(&key);
            match self.dirty.insert(key, value) {
                Some(_) => {}
                None => self.dirty_bytes += bytes,
            }
        }
    }

    /// Begins a flush: what has changed so far. `None` while one is under way, or with nothing to do.
    pub(crate) fn begin_flush(&mut self) -> Option<Arc<Changes>> {
        if self.flushing || self.dirty.is_empty() {
            return None;
        }
        self.flushing = true;
        self.dirty_bytes = 0;
        let last = std::mem::replace(&mut self.flushed, Arc::new(std::mem::take(&mut self.dirty)));
        // What was flushed before and is likely to be wanted again moves into the cache.
        for (key, value) in last.iter().filter(|(key, _)| is_hot(key)) {
            if let Some(value) = value
                && !self.flushed.contains_key(key)
            {
                self.cache.insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            }
        }
        Some(self.flushed.clone())
    }

    /// Ends a flush. After a failed one the rows count as changed again.
    pub(crate) fn end_flush(&mut self, done: bool) {
        self.flushing = false;
        if !done {
            for (key, value) in self.flushed.iter() {
                if !self.dirty.contains_key(key) {
                    self.dirty_bytes += key.len() + value.as_ref().map_or(0, Bytes::len) + ENTRY_BYTES;
                    self.dirty.insert(key.clone(), value.clone());
                }
            }
            self.flushed = Arc::default();
        }
    }

    /// The rows in memory that have changed lately, from `from` to `to`, at most `limit`; and
    /// whether there were more. What the store says about their keys is older.
    pub(crate) fn changed(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> (Changes, bool) {
        if is_empty_range(&from, &to) {
            return (Changes::new(), false);
        }
        let range = (from, to);
        let newer = self.dirty.range(range.clone()).take(limit + 1);
        let older = self.flushed.range(range).take(limit + 1);
        let clone = |(key, value): (&Bytes, &Option<Bytes>)| (key.clone(), value.clone());
        let mut rows: Changes = older.map(clone).collect();
        rows.extend(newer.map(clone));
        let more = rows.len() > limit;
        while rows.len() > limit {
            rows.pop_last();
        }
        (rows, more)
    }
}

fn is_empty_range(from: &Bound<Bytes>, to: &Bound<Bytes>) -> bool {
    match (from, to) {
        (Bound::Included(from), Bound::Included(to)) => from > to,
        (Bound::Included(from) | Bound::Excluded(from), Bound::Excluded(to) | Bound::Included(to)) => from >= to,
        _ => false,
    }
}

/// Items are read by many orders; an order by few requests.
fn is_hot(key: &[u8]) -> bool {
    key.get(ordermill_store::keys::HEAD_BYTES - 1) == Some(&(ordermill_store::keys::Kind::Item as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &'static str, value: Option<&'static str>) -> Change {
        Change { key: key.into(), value: value.map(Into::into) }
    }

    fn value(state: &mut Committed, key: &str) -> Option<Bytes> {
        match state.get(key.as_bytes()) {
            Found::Row(value) => Some(value),
            Found::Deleted | Found::Elsewhere => None,
        }
    }

    #[test]
    fn newer_changes_hide_older_ones_through_a_flush() {
        let mut state = Committed::new(1 << 20);
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
        assert_eq!(again.get(&b"a"[..]), Some(&Some("2".into())));
        assert_eq!(again.len(), 3);
    }
}
