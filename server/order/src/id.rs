//! Identities: where an order or item lives, and what an order is called.

use std::fmt;
use std::str::FromStr;

use twox_hash::{XxHash3_64, XxHash3_128};

/// What a partition key stands for; mixed into the hash so that customers and items with the same
/// text spread independently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// A customer.
    Customer = b'c',
    /// A guest's order, by its idempotency key, reference or a fresh text.
    Guest = b'g',
    /// An item, by SKU.
    Item = b'i',
    /// An idempotency key.
    Key = b'k',
    /// A customer's reference.
    Reference = b'r',
}

/// Where a partition key lives: the slot decides the shard, the hash tells the keys of one slot
/// apart (16 bits each, the top 32 bits of XXH3-64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    /// 0 to 65,535.
    pub slot: u16,
    /// The next 16 bits of the hash.
    pub hash: u16,
}

fn hashed<T>(tenant: &str, class: Class, key: &str, hash: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [0u8; 288];
    let len = tenant.len() + 2 + key.len();
    if len <= short.len() {
        short[..tenant.len()].copy_from_slice(tenant.as_bytes());
        short[tenant.len() + 1] = class as u8;
        short[tenant.len() + 2..len].copy_from_slice(key.as_bytes());
        hash(&short[..len])
    } else {
        hash(&[tenant.as_bytes(), &[0, class as u8], key.as_bytes()].concat())
    }
}

impl Partition {
    /// The partition of `key`: XXH3-64 over `tenant, 0, class, key`. Fixed for ever: rows' keys
    /// depend on it.
    pub fn of(tenant: &str, class: Class, key: &str) -> Self {
        let hash = hashed(tenant, class, key, XxHash3_64::oneshot);
        Self { slot: (hash >> 48) as u16, hash: (hash >> 32) as u16 }
    }

    /// The partition of an item.
    pub fn of_item(tenant: &str, sku: &str) -> Self {
        Self::of(tenant, Class::Item, sku)
    }
}

/// The 128-bit identity of an idempotency key or reference inside its slot (XXH3-128).
pub fn identity(tenant: &str, class: Class, owner: &str, key: &str) -> u128 {
    let mut text = String::with_capacity(owner.len() + 1 + key.len());
    text.push_str(owner);
    text.push('\0');
    text.push_str(key);
    hashed(tenant, class, &text, XxHash3_128::oneshot)
}

/// The fingerprint of a request's body: same key and same fingerprint means the same request.
pub fn fingerprint(parts: &[&[u8]]) -> u128 {
    match parts {
        [one] => XxHash3_128::oneshot(one),
        _ => XxHash3_128::oneshot(&parts.join(&0u8)),
    }
}

/// A contiguous range of slots, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotRange {
    /// The first slot.
    pub first: u16,
    /// The last slot.
    pub last: u16,
}

impl SlotRange {
    /// All slots.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// Whether `slot` lies in the range.
    pub fn contains(self, slot: u16) -> bool {
        self.first <= slot && slot <= self.last
    }
}

/// The name of an order: `time u48 (ms) | slot u16 | customer hash u16 | sequence u48`, as text 26
/// characters of Crockford's base 32. Sorts by time; routes without a look-up; the sequence is the
/// shard's own and never repeats, so no clock can make two alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u128);

const SEQUENCE_BITS: u32 = 48;
const U48: u64 = (1 << 48) - 1;

impl OrderId {
    /// Puts an id together; time and sequence are cut to 48 bits.
    pub fn new(time_ms: u64, partition: Partition, sequence: u64) -> Self {
        Self(
            u128::from(time_ms & U48) << 80
                | u128::from(partition.slot) << 64
                | u128::from(partition.hash) << SEQUENCE_BITS
                | u128::from(sequence & U48),
        )
    }

    /// Milliseconds since the Unix epoch.
    pub fn time_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// The slot that the order lives in.
    pub fn slot(self) -> u16 {
        (self.0 >> 64) as u16
    }

    /// The customer's hash within the slot.
    pub fn hash(self) -> u16 {
        (self.0 >> SEQUENCE_BITS) as u16
    }

    /// The shard's sequence.
    pub fn sequence(self) -> u64 {
        self.0 as u64 & U48
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; ulid::ULID_LEN];
        f.write_str(ulid::Ulid(self.0).array_to_str(&mut text))
    }
}

impl FromStr for OrderId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        ulid::Ulid::from_string(text).map(|id| Self(id.0)).map_err(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_partitions() {
        // Stored keys depend on these: they must never change.
        let slots = ["c-17", "c-18", "17850", ""].map(|key| Partition::of("", Class::Customer, key).slot);
        assert_eq!(slots, [50555, 58364, 8541, 21850]);
        assert_eq!(Partition::of_item("", "85123A"), Partition { slot: 45_974, hash: 50_208 });
    }

    #[test]
    fn id_round_trip_and_order() {
        let partition = Partition { slot: 0xABCD, hash: 0x1234 };
        let id = OrderId::new(1_700_000_000_000, partition, 77);
        assert_eq!((id.time_ms(), id.slot(), id.hash(), id.sequence()), (1_700_000_000_000, 0xABCD, 0x1234, 77));
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse(), Ok(id));
        assert!(OrderId::new(1_700_000_000_001, Partition { slot: 0, hash: 0 }, 0).to_string() > text);
        assert!("nonsense".parse::<OrderId>().is_err());
    }
}
