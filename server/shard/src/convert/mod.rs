//! Rows as the state machine knows them, to and from rows as they are stored. What travels between
//! members takes the same form.

mod hold;
mod order;

use std::sync::Arc;

use bytes::Bytes;
use ordermill_journal as stored;
use ordermill_journal::{Unreadable, decode};
use ordermill_order::command::CancelOutcome;
use ordermill_order::hold::{Backorder, Hold, Message};
use ordermill_order::rows::{Idempotency, Referenced, Remembered, Timer};
use ordermill_order::{Item, Order, OrderId, Reason};
use ordermill_store::keys::{Key, Kind};
use prost::Message as _;

pub(crate) use self::hold::units_to;
use self::hold::{hold_of, hold_to};
pub use self::hold::{message_of, message_to};
pub(crate) use self::order::reservation_to;
pub use self::order::{
    currency_of, currency_to, line_units_of, line_units_to, order_of, order_to, status_code, status_of, terms_of,
    terms_to,
};
use crate::keys;

/// Any row, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// An item.
    Item(Item),
    /// An order.
    Order(Arc<Order>),
    /// The item's side of a line.
    Hold(Arc<Hold>),
    /// A place in an item's queue.
    Backorder(Backorder),
    /// An idempotency key.
    Idempotency(Idempotency),
    /// A reference.
    Reference(Referenced),
    /// A timer; its key says it all.
    Timer(Timer),
    /// A message without an answer.
    Outbox(Message),
}

fn unreadable(what: &'static str, why: &str) -> Unreadable {
    Unreadable { what, why: why.to_owned() }
}

/// Reads an order's id, 16 bytes big-endian; `what` names what it stands in, for the error.
pub fn id_of(what: &'static str, bytes: &[u8]) -> Result<OrderId, Unreadable> {
    let bytes = bytes.try_into().map_err(|_| unreadable(what, "an order id has 16 bytes"))?;
    Ok(OrderId(u128::from_be_bytes(bytes)))
}

/// The bytes of an order's id.
pub fn id_to(id: OrderId) -> Vec<u8> {
    id.0.to_be_bytes().to_vec()
}

/// Reads the row stored under `key`.
pub fn decode_row(key: &Key<'_>, value: &Bytes) -> Result<Row, Unreadable> {
    let bytes = value.as_ref();
    Ok(match key.kind {
        Kind::Item => Row::Item(item_of(decode("an item", bytes)?)),
        Kind::Order => {
            let id = keys::order_of(key).ok_or_else(|| unreadable("an order's key", "it has another length"))?;
            Row::Order(Arc::new(order_of(id, decode("an order", bytes)?)?))
        }
        Kind::Hold => Row::Hold(Arc::new(hold_of(decode("a hold", bytes)?)?)),
        Kind::Backorder => {
            let row: stored::BackorderRow = decode("a backorder", bytes)?;
            Row::Backorder(Backorder { order: id_of("a backorder", &row.order)?, line: row.line as u16 })
        }
        Kind::Idempotency => Row::Idempotency(idempotency_of(decode("an idempotency key", bytes)?)?),
        Kind::Reference => {
            let row: stored::ReferenceRow = decode("a reference", bytes)?;
            Row::Reference(match row.order {
                Some(id) => Referenced::Order(id_of("a reference", &id)?),
                None => Referenced::Credit,
            })
        }
        Kind::Timer => Row::Timer(keys::timer_of(key).ok_or_else(|| unreadable("a timer's key", "it names no timer"))?),
        Kind::Outbox => {
            let (_, order, line) =
                keys::outbox_of(key).ok_or_else(|| unreadable("an outbox key", "it has another length"))?;
            Row::Outbox(message_of(order, line, decode("a message", bytes)?)?)
        }
    })
}

/// Writes a row behind what is in `out`.
pub(crate) fn encode_row(row: &Row, out: &mut Vec<u8>) {
    let done = match row {
        Row::Item(item) => item_to(item).encode(out),
        Row::Order(order) => order_to(order).encode(out),
        Row::Hold(hold) => hold_to(hold).encode(out),
        Row::Backorder(place) => {
            stored::BackorderRow { order: id_to(place.order), line: u32::from(place.line) }.encode(out)
        }
        Row::Idempotency(known) => idempotency_to(known).encode(out),
        Row::Reference(Referenced::Order(id)) => stored::ReferenceRow { order: Some(id_to(*id)) }.encode(out),
        Row::Reference(Referenced::Credit) => stored::ReferenceRow { order: None }.encode(out),
        Row::Timer(_) => Ok(()),
        Row::Outbox(message) => message_to(message).encode(out),
    };
    done.expect("a growing buffer has room");
}

/// About how many bytes a row takes in a record, its key included; for closing a batch in time.
pub(crate) fn estimate(row: &Row) -> usize {
    match row {
        Row::Item(_) => 70,
        Row::Order(order) => 100 + order.lines.iter().map(|line| 30 + line.sku.len()).sum::<usize>(),
        Row::Hold(hold) => 80 + hold.sku.len(),
        Row::Outbox(Message::Claim(claim)) => 90 + claim.sku.len(),
        Row::Outbox(Message::Report(_)) | Row::Idempotency(_) => 90,
        Row::Backorder(_) | Row::Reference(_) | Row::Timer(_) => 60,
    }
}

/// The item that is stored as `row`.
pub fn item_of(row: stored::ItemRow) -> Item {
    let stored::ItemRow {
        on_hand,
        held,
        backorder,
        backordered,
        received,
        fulfilled,
        restocked,
        queue_head,
        queue_tail,
        version,
        updated_ms,
    } = row;
    Item {
        on_hand,
        held,
        backorder,
        backordered,
        received,
        fulfilled,
        restocked,
        queue_head,
        queue_tail,
        version,
        updated_ms,
    }
}

/// The item as it is stored.
pub fn item_to(item: &Item) -> stored::ItemRow {
    stored::ItemRow {
        on_hand: item.on_hand,
        held: item.held,
        backorder: item.backorder,
        backordered: item.backordered,
        received: item.received,
        fulfilled: item.fulfilled,
        restocked: item.restocked,
        queue_head: item.queue_head,
        queue_tail: item.queue_tail,
        version: item.version,
        updated_ms: item.updated_ms,
    }
}

fn reason_of(code: u32) -> Result<Option<Reason>, Unreadable> {
    match code {
        0 => Ok(None),
        1 => Ok(Some(Reason::InsufficientStock)),
        2 => Ok(Some(Reason::UnknownSku)),
        _ => Err(unreadable("a reason", "its code is not known")),
    }
}

pub(crate) fn reason_to(reason: Option<Reason>) -> u32 {
    match reason {
        None => 0,
        Some(Reason::InsufficientStock) => 1,
        Some(Reason::UnknownSku) => 2,
    }
}

fn idempotency_of(row: stored::IdempotencyRow) -> Result<Idempotency, Unreadable> {
    let what = "an idempotency key";
    let fingerprint = row.fingerprint.as_slice().try_into();
    let fingerprint = fingerprint.map_err(|_| unreadable(what, "a fingerprint has 16 bytes"))?;
    let id = row.order.map(|id| id_of(what, &id)).transpose()?;
    let result = match (id, row.cancel) {
        (None, 0) => Remembered::Item,
        (Some(id), 0) => Remembered::Order(id),
        (Some(id), 1) => Remembered::Cancel(id, CancelOutcome::Done),
        (Some(id), 2) => Remembered::Cancel(id, CancelOutcome::TooLate),
        (Some(id), 3) => Remembered::Cancel(id, CancelOutcome::Already),
        _ => return Err(unreadable(what, "the code of its outcome is not known")),
    };
    Ok(Idempotency { fingerprint: u128::from_be_bytes(fingerprint), result, expires_ms: row.expires_ms })
}

/// The order that a remembered request was about, and the code of its outcome.
pub(crate) fn remembered_to(result: Remembered) -> (Option<OrderId>, u32) {
    match result {
        Remembered::Item => (None, 0),
        Remembered::Order(id) => (Some(id), 0),
        Remembered::Cancel(id, CancelOutcome::Done) => (Some(id), 1),
        Remembered::Cancel(id, CancelOutcome::TooLate) => (Some(id), 2),
        Remembered::Cancel(id, CancelOutcome::Already) => (Some(id), 3),
    }
}

fn idempotency_to(known: &Idempotency) -> stored::IdempotencyRow {
    let (order, cancel) = remembered_to(known.result);
    stored::IdempotencyRow {
        fingerprint: known.fingerprint.to_be_bytes().to_vec(),
        order: order.map(id_to),
        cancel,
        expires_ms: known.expires_ms,
    }
}
