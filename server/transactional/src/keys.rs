//! The keys of this store in the service, which it may share with others: documented bytes, pinned tags.
//!
//! One space byte, then (integers big-endian):
//!
//! ```text
//! r | a row's key: cluster u32 | slot u16 | more       v | cluster u32 | name    coordination value
//! r | cluster u32 | slot u16                          flush number of the slot and those behind it
//! j | cluster u32 | shard u32 | number u64            record of a journal
//! g | cluster u32 | shard u32                         guard
//! t | cluster u32 | shard u32                         trim mark
//! ```
//!
//! Knows where things stand, never what they hold.

use std::ops::{Bound, RangeInclusive};

use bytes::{BufMut, Bytes, BytesMut};
use ordermill_station::limits;
use ordermill_store::ShardId;
use ordermill_store::keys::after_prefix;

/// What keys begin with. The bytes are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Space {
    /// Rows.
    Rows = b'r',
    /// Journals.
    Journal = b'j',
    /// Guards of shards: who may flush, and how far it was flushed.
    Guard = b'g',
    /// Trim marks of shards.
    Trim = b't',
    /// Coordination values.
    Values = b'v',
}

/// The keys of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The cluster: the first part of every key after its space.
    pub cluster: u32,
}

/// A range of keys: the first one, and the first one behind it.
pub type Range = (Bytes, Bytes);

/// Bytes of a flush number's key, with which all rows of its slot begin.
const SLOT_BYTES: usize = 7;
/// The bits of a slot's lower byte that all slots with one flush number share.
const FIRST_OF_GROUP: u8 = {
    assert!(limits::STORE_FLUSH_SLOTS.is_power_of_two() && limits::STORE_FLUSH_SLOTS <= 256);
    !((limits::STORE_FLUSH_SLOTS - 1) as u8)
};
/// Bytes of a record's key.
const RECORD_KEY_BYTES: usize = 17;

impl Keys {
    fn put(self, space: Space, rest: &[u8]) -> Bytes {
        let mut key = BytesMut::with_capacity(5 + rest.len());
        key.put_u8(space as u8);
        key.put_u32(self.cluster);
        key.put_slice(rest);
        key.freeze()
    }

    /// The record `number` of `shard`.
    pub fn record(self, shard: ShardId, number: u64) -> Bytes {
        let mut rest = [0; 12];
        rest[..4].copy_from_slice(&shard.0.to_be_bytes());
        rest[4..].copy_from_slice(&number.to_be_bytes());
        self.put(Space::Journal, &rest)
    }

    /// The records of `shard` with these numbers.
    pub fn records(self, shard: ShardId, numbers: RangeInclusive<u64>) -> Range {
        (self.record(shard, *numbers.start()), after(&self.record(shard, *numbers.end())))
    }

    /// The guard of `shard`.
    pub fn guard(self, shard: ShardId) -> Bytes {
        self.put(Space::Guard, &shard.0.to_be_bytes())
    }

    /// The trim mark of `shard`.
    pub fn trim(self, shard: ShardId) -> Bytes {
        self.put(Space::Trim, &shard.0.to_be_bytes())
    }

    /// The coordination value `name`.
    pub fn value(self, name: &str) -> Bytes {
        self.put(Space::Values, name.as_bytes())
    }

    /// All rows of the cluster.
    pub fn rows(self) -> Range {
        let first = self.put(Space::Rows, &[]);
        let end = after_prefix(&first).unwrap_or_default();
        (first, end)
    }

    /// The rows of the cluster between two bounds; `None` when there can be none.
    pub fn rows_between(self, from: Bound<Bytes>, to: Bound<Bytes>) -> Option<Range> {
        let (first, end) = self.rows();
        let from = match from {
            Bound::Included(key) => row(&key).max(first),
            Bound::Excluded(key) => after(&row(&key)).max(first),
            Bound::Unbounded => first,
        };
        let to = match to {
            Bound::Included(key) => after(&row(&key)).min(end),
            Bound::Excluded(key) => row(&key).min(end),
            Bound::Unbounded => end,
        };
        (from < to).then_some((from, to))
    }
}

/// Where the row with this key stands.
pub fn row(key: &[u8]) -> Bytes {
    let mut stored = BytesMut::with_capacity(1 + key.len());
    stored.put_u8(Space::Rows as u8);
    stored.put_slice(key);
    stored.freeze()
}

/// The key of the row that stands at `stored`; `None` when no row does.
pub fn row_of(stored: &Bytes) -> Option<Bytes> {
    (stored.first() == Some(&(Space::Rows as u8))).then(|| stored.slice(1..))
}

/// Where the flush number of the row stands that stands at `stored`: before all rows of its slot and of the
/// others that share the number, and so nearly always in their region.
pub fn flush_number(stored: &[u8]) -> Bytes {
    let mut number = BytesMut::from(&stored[..SLOT_BYTES.min(stored.len())]);
    if let Some(low) = number.get_mut(SLOT_BYTES - 1) {
        *low &= FIRST_OF_GROUP;
    }
    number.freeze()
}

/// Whether a flush number stands at `stored`, where otherwise rows do.
pub fn is_flush_number(stored: &[u8]) -> bool {
    stored.len() == SLOT_BYTES
}

/// The number of the record that stands at `stored`; `None` when no record does.
pub fn number_of(stored: &[u8]) -> Option<u64> {
    if stored.len() != RECORD_KEY_BYTES || stored[0] != Space::Journal as u8 {
        return None;
    }
    Some(u64::from_be_bytes(stored[9..].try_into().ok()?))
}

/// The smallest key behind `key`.
pub fn after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

/// The range that holds `key` alone.
pub fn only(key: &Bytes) -> Range {
    (key.clone(), after(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEYS: Keys = Keys { cluster: 0x0102_0304 };

    #[test]
    fn golden_bytes() {
        let shard = ShardId(0x0A0B_0C0D);
        assert_eq!(
            KEYS.record(shard, 0x1122)[..],
            [b'j', 1, 2, 3, 4, 0x0A, 0x0B, 0x0C, 0x0D, 0, 0, 0, 0, 0, 0, 0x11, 0x22]
        );
        assert_eq!(KEYS.guard(shard)[..], [b'g', 1, 2, 3, 4, 0x0A, 0x0B, 0x0C, 0x0D]);
        assert_eq!(KEYS.trim(shard)[..], [b't', 1, 2, 3, 4, 0x0A, 0x0B, 0x0C, 0x0D]);
        assert_eq!(KEYS.value("map")[..], [b'v', 1, 2, 3, 4, b'm', b'a', b'p']);
        let row = row(&[1, 2, 3, 4, 9, 8, 7, 6]);
        assert_eq!(row[..], [b'r', 1, 2, 3, 4, 9, 8, 7, 6]);
        assert_eq!(flush_number(&row)[..], [b'r', 1, 2, 3, 4, 9, 0]);
        assert_eq!(flush_number(&[b'r', 1, 2, 3, 4, 9, 0xFF, 7])[..], [b'r', 1, 2, 3, 4, 9, 0xC0]);
        assert!(is_flush_number(&flush_number(&row)) && !is_flush_number(&row));
    }

    #[test]
    fn the_last_cluster_has_an_end_too() {
        let last = Keys { cluster: u32::MAX };
        assert_eq!(last.rows().1[..], [b's']);
    }

    #[test]
    fn bounds_stay_in_the_cluster() {
        let key = |rest: u8| Bytes::from(vec![1, 2, 3, 4, rest]);
        let other = Bytes::from_static(&[1, 2, 3, 5]);
        assert_eq!(KEYS.rows_between(Bound::Unbounded, Bound::Unbounded), Some(KEYS.rows()));
        assert_eq!(KEYS.rows_between(Bound::Unbounded, Bound::Included(other.clone())), Some(KEYS.rows()));
        assert_eq!(KEYS.rows_between(Bound::Included(other), Bound::Unbounded), None);
        assert_eq!(KEYS.rows_between(Bound::Included(key(2)), Bound::Excluded(key(2))), None);
        let one = (row(&key(2)), after(&row(&key(2))));
        assert_eq!(KEYS.rows_between(Bound::Included(key(2)), Bound::Included(key(2))), Some(one));
    }

    proptest! {
        #[test]
        fn round_trip(cluster: u32, shard: u32, number: u64, rest: Vec<u8>) {
            prop_assert_eq!(number_of(&Keys { cluster }.record(ShardId(shard), number)), Some(number));
            prop_assert_eq!(row_of(&row(&rest)), Some(Bytes::from(rest)));
        }

        #[test]
        fn order_of_bytes_is_order_of_numbers(a: (u32, u32, u64), b: (u32, u32, u64)) {
            let bytes = |(cluster, shard, number)| Keys { cluster }.record(ShardId(shard), number);
            prop_assert_eq!(a.cmp(&b), bytes(a).cmp(&bytes(b)));
        }
    }
}
