//! The keys of our rows: tenant, slot and kind in, bytes out; and back.

use bytes::{BufMut, Bytes, BytesMut};
use ordermill_order::rows::{Timer, TimerKind};
use ordermill_order::{OrderId, Partition, SlotRange};
use ordermill_station::limits;
use ordermill_store::keys::{self, Key, Kind, RowKey};

/// Makes the keys of one cluster.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    /// The cluster.
    pub cluster: u32,
}

const EXPIRE: u8 = 1;
const FILL: u8 = 2;

impl Keys {
    fn key(self, slot: u16, kind: Kind, tenant: &str, rest: &[u8]) -> RowKey {
        Key { cluster: self.cluster, slot, kind, tenant, rest }.encode()
    }

    /// An item's row.
    pub fn item(self, tenant: &str, sku: &str) -> RowKey {
        self.key(Partition::of_item(tenant, sku).slot, Kind::Item, tenant, sku.as_bytes())
    }

    /// An order's row.
    pub fn order(self, tenant: &str, id: OrderId) -> RowKey {
        let mut rest = [0; 14];
        rest[..2].copy_from_slice(&id.hash().to_be_bytes());
        rest[2..8].copy_from_slice(&id.time_ms().to_be_bytes()[2..]);
        rest[8..].copy_from_slice(&id.sequence().to_be_bytes()[2..]);
        self.key(id.slot(), Kind::Order, tenant, &rest)
    }

    /// What all orders of a customer's partition begin with.
    pub fn orders_of(self, tenant: &str, partition: Partition) -> Bytes {
        self.key(partition.slot, Kind::Order, tenant, &partition.hash.to_be_bytes()).to_bytes()
    }

    /// The row of the item's side of a line.
    pub fn hold(self, tenant: &str, sku: &str, order: OrderId, line: u16) -> RowKey {
        let mut rest = [0; 18];
        rest[..16].copy_from_slice(&order.0.to_be_bytes());
        rest[16..].copy_from_slice(&line.to_be_bytes());
        self.key(Partition::of_item(tenant, sku).slot, Kind::Hold, tenant, &rest)
    }

    /// A place in an item's queue.
    pub fn backorder(self, tenant: &str, sku: &str, number: u64) -> RowKey {
        let mut rest = BytesMut::with_capacity(sku.len() + 9);
        keys::put_text(&mut rest, sku);
        rest.put_u64(number);
        self.key(Partition::of_item(tenant, sku).slot, Kind::Backorder, tenant, &rest)
    }

    /// An idempotency key's row.
    pub fn idempotency(self, tenant: &str, slot: u16, key: u128) -> RowKey {
        self.key(slot, Kind::Idempotency, tenant, &key.to_be_bytes())
    }

    /// A reference's row.
    pub fn reference(self, tenant: &str, slot: u16, reference: u128) -> RowKey {
        self.key(slot, Kind::Reference, tenant, &reference.to_be_bytes())
    }

    /// A timer's row.
    pub fn timer(self, tenant: &str, timer: &Timer) -> RowKey {
        let mut rest = BytesMut::with_capacity(32);
        rest.put_u64(timer.due_ms);
        rest.put_u16(timer.slot);
        match &timer.what {
            TimerKind::Expire(id) => {
                rest.put_u8(EXPIRE);
                rest.put_u128(id.0);
            }
            TimerKind::Fill(sku) => {
                rest.put_u8(FILL);
                rest.put_slice(sku.as_bytes());
            }
        }
        self.key(timer.slot, Kind::Timer, tenant, &rest)
    }

    /// The outbox row of a claim, or of a report, about a line.
    pub fn outbox(self, tenant: &str, slot: u16, order: OrderId, line: u16, claim: bool) -> RowKey {
        let mut rest = [0; 21];
        rest[..2].copy_from_slice(&slot.to_be_bytes());
        rest[2..18].copy_from_slice(&order.0.to_be_bytes());
        rest[18..20].copy_from_slice(&line.to_be_bytes());
        rest[20] = u8::from(!claim);
        self.key(slot, Kind::Outbox, tenant, &rest)
    }

    /// What all keys of one slot and kind begin with.
    pub fn prefix(self, slot: u16, kind: Kind) -> Bytes {
        keys::prefix(self.cluster, slot, kind)
    }
}

/// The first slots of the bands that `range` touches.
pub(crate) fn bands(range: SlotRange) -> impl Iterator<Item = u16> {
    let first = u32::from(range.first) / limits::BAND_SLOTS;
    let last = u32::from(range.last) / limits::BAND_SLOTS;
    (first..=last).map(|band| (band * limits::BAND_SLOTS) as u16)
}

/// The order that an order row's key names.
pub(crate) fn order_of(key: &Key<'_>) -> Option<OrderId> {
    let rest: &[u8; 14] = key.rest.try_into().ok()?;
    let mut word = [0; 8];
    word[2..].copy_from_slice(&rest[2..8]);
    let time_ms = u64::from_be_bytes(word);
    word[2..].copy_from_slice(&rest[8..]);
    let hash = u16::from_be_bytes([rest[0], rest[1]]);
    Some(OrderId::new(time_ms, Partition { slot: key.slot, hash }, u64::from_be_bytes(word)))
}

/// The timer that a timer row's key names.
pub(crate) fn timer_of(key: &Key<'_>) -> Option<Timer> {
    let (head, rest) = key.rest.split_at_checked(11)?;
    let due_ms = u64::from_be_bytes(head[..8].try_into().ok()?);
    let slot = u16::from_be_bytes(head[8..10].try_into().ok()?);
    let what = match head[10] {
        EXPIRE => TimerKind::Expire(OrderId(u128::from_be_bytes(rest.try_into().ok()?))),
        FILL => TimerKind::Fill(std::str::from_utf8(rest).ok()?.into()),
        _ => return None,
    };
    Some(Timer { due_ms, slot, what })
}

/// Where an outbox row's key says its message stands: slot, order, line.
pub(crate) fn outbox_of(key: &Key<'_>) -> Option<(u16, OrderId, u16)> {
    let rest: &[u8; 21] = key.rest.try_into().ok()?;
    let order = u128::from_be_bytes(rest[2..18].try_into().ok()?);
    Some((u16::from_be_bytes([rest[0], rest[1]]), OrderId(order), u16::from_be_bytes([rest[18], rest[19]])))
}

/// The order and line that a hold row's key names.
pub(crate) fn hold_of(key: &Key<'_>) -> Option<(OrderId, u16)> {
    let rest: &[u8; 18] = key.rest.try_into().ok()?;
    let order = u128::from_be_bytes(rest[..16].try_into().ok()?);
    Some((OrderId(order), u16::from_be_bytes([rest[16], rest[17]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys = Keys { cluster: 1 };

    #[test]
    fn keys_name_what_they_were_made_of() {
        let id = OrderId::new(1_700_000_000_123, Partition { slot: 0xABCD, hash: 0x1234 }, 77);
        let decoded = |bytes: &RowKey| keys::decode(bytes).map(|key| (key.kind, order_of(&key)));
        assert_eq!(decoded(&KEYS.order("t", id)), Some((Kind::Order, Some(id))));
        assert!(KEYS.order("t", id).starts_with(&KEYS.orders_of("t", Partition { slot: 0xABCD, hash: 0x1234 })));
        for what in [TimerKind::Expire(id), TimerKind::Fill("tea".into())] {
            let timer = Timer { due_ms: 5, slot: 0xABCD, what };
            let bytes = KEYS.timer("t", &timer);
            assert_eq!(keys::decode(&bytes).as_ref().and_then(timer_of), Some(timer));
        }
        let bytes = KEYS.outbox("t", 0xABCD, id, 3, true);
        assert_eq!(keys::decode(&bytes).as_ref().and_then(outbox_of), Some((0xABCD, id, 3)));
        let bytes = KEYS.hold("t", "tea", id, 3);
        assert_eq!(keys::decode(&bytes).as_ref().and_then(hold_of), Some((id, 3)));
    }

    #[test]
    fn bands_cover_a_range() {
        assert_eq!(bands(SlotRange { first: 1_024, last: 3_071 }).collect::<Vec<_>>(), [1_024, 2_048]);
        assert_eq!(bands(SlotRange::ALL).count(), 64);
    }
}
