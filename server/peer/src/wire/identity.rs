//! What things are called: orders, partitions, and keys of 128 bits.

use ordermill_journal::Unreadable;
use ordermill_order::{IdempotencyKey, Partition};

use super::{short_of, unreadable};

/// Reads 128 bits, 16 bytes big-endian.
pub(super) fn wide_of(what: &'static str, bytes: &[u8]) -> Result<u128, Unreadable> {
    let bytes = bytes.try_into().map_err(|_| unreadable(what, "an identity has 16 bytes"))?;
    Ok(u128::from_be_bytes(bytes))
}

pub(super) fn wide_to(number: u128) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Where a partition key lives.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct PartitionWire {
    /// Slot.
    #[prost(uint32, tag = "1")]
    pub(super) slot: u32,
    /// Hash within the slot.
    #[prost(uint32, tag = "2")]
    pub(super) hash: u32,
}

pub(super) fn partition_of(what: &'static str, wire: Option<PartitionWire>) -> Result<Partition, Unreadable> {
    let PartitionWire { slot, hash } = super::present(what, wire)?;
    Ok(Partition { slot: short_of(what, slot)?, hash: short_of(what, hash)? })
}

pub(super) fn partition_to(partition: Partition) -> PartitionWire {
    let Partition { slot, hash } = partition;
    PartitionWire { slot: slot.into(), hash: hash.into() }
}

/// An idempotency key.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyWire {
    /// Identity, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    /// Fingerprint of the body, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "2")]
    fingerprint: Vec<u8>,
}

pub(super) fn key_of(wire: KeyWire) -> Result<IdempotencyKey, Unreadable> {
    let what = "an idempotency key";
    Ok(IdempotencyKey { key: wide_of(what, &wire.key)?, fingerprint: wide_of(what, &wire.fingerprint)? })
}

pub(super) fn key_to(key: IdempotencyKey) -> KeyWire {
    let IdempotencyKey { key, fingerprint } = key;
    KeyWire { key: wide_to(key), fingerprint: wide_to(fingerprint) }
}
