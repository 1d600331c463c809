//! The records and rows of the comparison: two-line orders as the engine stores them.
//!
//! Everything follows from a number, so that a later process knows what an earlier one wrote.

use std::collections::BTreeMap;

pub const ORDERS_PER_BATCH: u64 = 64;
/// Orders between two flushes.
pub const ORDERS_PER_FLUSH: u64 = 20_000;
const CUSTOMERS: u64 = 200_000;
const SKUS: f64 = 10_000.0;
const CLUSTER: [u8; 4] = 1u32.to_be_bytes();
const TENANT: u8 = 0;

pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Copy)]
pub enum Kind {
    Order = 1,
    Idempotency = 2,
    Item = 3,
}

/// A number without pattern for each pair of numbers (splitmix64).
pub fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd1b5_4a32_d192_ed03);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A value of which half repeats, as field tags, currencies and addresses do.
fn value(seed: u64, len: usize) -> Vec<u8> {
    let words = (0..).flat_map(|at| {
        let random = mix(seed, at).to_le_bytes();
        [random, *b"\x12\x03EUR\x1a\x05a"].concat()
    });
    words.take(len).collect()
}

fn key(slot: u16, kind: Kind, rest: &[&[u8]]) -> Vec<u8> {
    let head = [&CLUSTER[..], &slot.to_be_bytes(), &[kind as u8, TENANT]].concat();
    [&head[..], &rest.concat()].concat()
}

/// The customer of an order, as slot and hash.
fn customer(order: u64) -> (u16, u16) {
    let hash = mix(mix(order, 1) % CUSTOMERS, 2);
    ((hash >> 16) as u16, hash as u16)
}

pub fn order_key(order: u64) -> Vec<u8> {
    let (slot, hash) = customer(order);
    let time_ms = 1_800_000_000_000 + order / 10;
    key(slot, Kind::Order, &[&hash.to_be_bytes(), &time_ms.to_be_bytes()[2..], &order.to_be_bytes()])
}

/// What the keys of all orders of this order's customer begin with.
pub fn customer_prefix(order: u64) -> Vec<u8> {
    order_key(order)[..10].to_vec()
}

/// The idempotency key of an order; with `salt` 0 it is there, otherwise nobody ever wrote it.
pub fn idempotency_key(order: u64, salt: u64) -> Vec<u8> {
    let (slot, _) = customer(order);
    let random = [mix(order, 3 + salt).to_be_bytes(), mix(order, 1_000_003 + salt).to_be_bytes()].concat();
    key(slot, Kind::Idempotency, &[&random])
}

/// The item of an order's line: of 10,000 the n-th is wanted in proportion to 1/n.
pub fn item_key(order: u64, line: u64) -> Vec<u8> {
    let uniform = mix(order, 10 + line) as f64 / u64::MAX as f64;
    let sku = SKUS.powf(uniform) as u64;
    key(mix(sku, 4) as u16, Kind::Item, &[&sku.to_be_bytes()])
}

/// The rows that a batch changes, each once.
pub fn batch(number: u64) -> Rows {
    let mut rows = Rows::new();
    for order in number * ORDERS_PER_BATCH..(number + 1) * ORDERS_PER_BATCH {
        rows.insert(order_key(order), order_value(order));
        rows.insert(idempotency_key(order, 0), value(order ^ 7, 60));
        for line in 0..2 {
            rows.insert(item_key(order, line), value(order, 24));
        }
    }
    rows
}

pub fn order_value(order: u64) -> Vec<u8> {
    value(order, 220)
}

/// The journal record of a batch: lengths, keys, values, a checksum.
pub fn record(rows: &Rows) -> Vec<u8> {
    let mut record = vec![0; 8];
    for (key, value) in rows {
        record.push(key.len() as u8);
        record.extend_from_slice(key);
        record.push(value.len() as u8);
        record.extend_from_slice(value);
    }
    let length = record.len() as u32;
    record[..4].copy_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c(&record[8..]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record
}
