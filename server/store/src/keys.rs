//! Row keys: documented bytes, pinned tags.
//!
//! `cluster u32 | slot u16 | kind u8 | tenant | rest`, integers big-endian, so that keys of one
//! slot lie together and rows never move when a shard splits. The tenant is one length byte and
//! that many bytes; the default tenant is the empty one. Texts inside `rest` that are followed by
//! more are written the same way. Timers and outbox rows stand under the first slot of their
//! *band* ([`BAND_SLOTS`]), with their own slot inside: finding what is due in a shard takes one
//! scan per band.

use bytes::{BufMut, Bytes, BytesMut};

/// Slots of one band; see `limits::BAND_SLOTS`.
pub const BAND_SLOTS: u32 = 1_024;

/// What a row is. The numbers are stored: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// An item's quantities. Rest: SKU.
    Item = 1,
    /// An order. Rest: customer hash u16, time u48, sequence u48.
    Order = 2,
    /// What a line of an order holds of an item, on the item's side. Rest: order id u128, line u16.
    Hold = 3,
    /// A place in an item's queue of backordered lines. Rest: SKU (text), number u64.
    Backorder = 4,
    /// An idempotency key. Rest: hash u128.
    Idempotency = 5,
    /// A customer's reference. Rest: hash u128.
    Reference = 6,
    /// Something to do at a time; under the band. Rest: due u64 (ms), slot u16, what.
    Timer = 7,
    /// A message that another shard has not answered; under the band. Rest: slot u16, order id
    /// u128, line u16, direction u8.
    Outbox = 8,
}

impl Kind {
    /// The kind with the stored number `tag`.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Some(match tag {
            1 => Self::Item,
            2 => Self::Order,
            3 => Self::Hold,
            4 => Self::Backorder,
            5 => Self::Idempotency,
            6 => Self::Reference,
            7 => Self::Timer,
            8 => Self::Outbox,
            _ => return None,
        })
    }
}

/// A row key before it becomes bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key<'a> {
    /// The cluster that owns the row.
    pub cluster: u32,
    /// The slot, or for [`Kind::Timer`] and [`Kind::Outbox`] any slot of the band.
    pub slot: u16,
    /// What the row is.
    pub kind: Kind,
    /// The tenant; the default one is empty.
    pub tenant: &'a str,
    /// What tells rows of this kind apart.
    pub rest: &'a [u8],
}

/// First slot of the band that `slot` lies in.
pub fn band(slot: u16) -> u16 {
    slot - slot % BAND_SLOTS as u16
}

fn stored_slot(kind: Kind, slot: u16) -> u16 {
    match kind {
        Kind::Timer | Kind::Outbox => band(slot),
        _ => slot,
    }
}

/// Bytes of a key that is kept without an allocation of its own.
const SHORT_BYTES: usize = 30;

/// A key's bytes, owned. Nearly all keys are short, and are copied rather than counted.
#[derive(Clone)]
pub struct RowKey(Form);

#[derive(Clone)]
enum Form {
    Short { len: u8, bytes: [u8; SHORT_BYTES] },
    Long(Box<[u8]>),
}

impl RowKey {
    /// The key with these bytes, given in parts.
    fn of_parts(parts: &[&[u8]]) -> Self {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if len > SHORT_BYTES {
            return Self(Form::Long(parts.concat().into()));
        }
        let mut bytes = [0; SHORT_BYTES];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Self(Form::Short { len: len as u8, bytes })
    }

    /// The same bytes, counted.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self)
    }
}

impl std::ops::Deref for RowKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Form::Short { len, bytes } => &bytes[..usize::from(*len)],
            Form::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for RowKey {
    fn from(bytes: &[u8]) -> Self {
        Self::of_parts(&[bytes])
    }
}

impl std::borrow::Borrow<[u8]> for RowKey {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl std::hash::Hash for RowKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq for RowKey {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RowKey {}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RowKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (**self).cmp(other)
    }
}

impl std::fmt::Debug for RowKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.to_bytes())
    }
}

/// Bytes before the tenant.
pub const HEAD_BYTES: usize = 7;

impl Key<'_> {
    /// The bytes of this key. Panics when the tenant is longer than 255 bytes: ingress refuses
    /// such a tenant.
    pub fn encode(&self) -> RowKey {
        assert!(self.tenant.len() <= 255, "a text in a key has at most 255 bytes");
        let mut head = [0; HEAD_BYTES + 1];
        head[..4].copy_from_slice(&self.cluster.to_be_bytes());
        head[4..6].copy_from_slice(&stored_slot(self.kind, self.slot).to_be_bytes());
        head[6] = self.kind as u8;
        head[HEAD_BYTES] = self.tenant.len() as u8;
        RowKey::of_parts(&[&head, self.tenant.as_bytes(), self.rest])
    }
}

fn put_head(out: &mut BytesMut, cluster: u32, slot: u16, kind: Kind) {
    out.put_u32(cluster);
    out.put_u16(stored_slot(kind, slot));
    out.put_u8(kind as u8);
}

/// Writes a text that is followed by more: one length byte, then its bytes.
pub fn put_text(out: &mut impl BufMut, text: &str) {
    assert!(text.len() <= 255, "a text in a key has at most 255 bytes");
    out.put_u8(text.len() as u8);
    out.put_slice(text.as_bytes());
}

/// Reads what [`put_text`] wrote; `None` when it is not that.
pub fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (&len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(len))?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// Reads a key's bytes back; `None` when they are not a key. For banded kinds `slot` is the
/// band's first slot.
pub fn decode(bytes: &[u8]) -> Option<Key<'_>> {
    let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let cluster = u32::from_be_bytes(head[0..4].try_into().ok()?);
    let slot = u16::from_be_bytes(head[4..6].try_into().ok()?);
    let kind = Kind::from_tag(head[6])?;
    let tenant = take_text(&mut rest)?;
    Some(Key { cluster, slot, kind, tenant, rest })
}

/// The bytes that all keys of one slot and kind begin with.
pub fn prefix(cluster: u32, slot: u16, kind: Kind) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES);
    put_head(&mut out, cluster, slot, kind);
    out.freeze()
}

/// The smallest key after all keys that begin with `prefix`; `None` when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(slot: u16, kind: Kind, tenant: &'static str, rest: &'static [u8]) -> Key<'static> {
        Key { cluster: 1, slot, kind, tenant, rest }
    }

    #[test]
    fn golden_bytes() {
        assert_eq!(key(0x1234, Kind::Item, "", b"AB").encode()[..], [0, 0, 0, 1, 0x12, 0x34, 1, 0, b'A', b'B']);
        assert_eq!(key(0x1234, Kind::Order, "t", &[9]).encode()[..], [0, 0, 0, 1, 0x12, 0x34, 2, 1, b't', 9]);
        assert_eq!(key(0x1234, Kind::Timer, "", &[9]).encode()[..], [0, 0, 0, 1, 0x10, 0x00, 7, 0, 9]);
        assert_eq!(key(0x1234, Kind::Outbox, "", &[9]).encode()[..], [0, 0, 0, 1, 0x10, 0x00, 8, 0, 9]);
    }

    #[test]
    fn after_prefix_carries() {
        assert_eq!(after_prefix(&[1, 255]).as_deref(), Some(&[2u8][..]));
        assert_eq!(after_prefix(&[255, 255]), None);
    }

    proptest! {
        #[test]
        fn round_trip(cluster: u32, slot: u16, tag in 1u8..=6, tenant in "[a-z]{0,20}", rest: Vec<u8>) {
            let kind = Kind::from_tag(tag).expect("the range holds only kinds");
            let key = Key { cluster, slot, kind, tenant: &tenant, rest: &rest };
            let bytes = key.encode();
            prop_assert_eq!(decode(&bytes), Some(key));
        }

        #[test]
        fn order_of_bytes_is_order_of_fields(a: (u32, u16), b: (u32, u16)) {
            let bytes = |(cluster, slot)| Key { cluster, slot, kind: Kind::Item, tenant: "", rest: b"x" }.encode();
            prop_assert_eq!(a.cmp(&b), bytes(a).cmp(&bytes(b)));
        }
    }
}
