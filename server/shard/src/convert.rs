//! Rows as the state machine knows them, to and from rows as they are stored.

use std::sync::Arc;

use bytes::Bytes;
use ordermill_journal as stored;
use ordermill_journal::{Unreadable, decode};
use ordermill_order::command::CancelOutcome;
use ordermill_order::hold::{Backorder, Claim, Hold, Message, Report, Units};
use ordermill_order::order::{Cancellation, Fulfillment, InFlight, LineUnits, Return};
use ordermill_order::payment::{Payment, Terms};
use ordermill_order::rows::{Idempotency, Referenced, Remembered, Timer};
use ordermill_order::{Item, Line, Order, OrderId, Reason, Reservation, Status};
use ordermill_store::keys::{Key, Kind};
use prost::Message as _;

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

fn id_of(what: &'static str, bytes: &[u8]) -> Result<OrderId, Unreadable> {
    let bytes = bytes.try_into().map_err(|_| unreadable(what, "an order id has 16 bytes"))?;
    Ok(OrderId(u128::from_be_bytes(bytes)))
}

fn id_to(id: OrderId) -> Vec<u8> {
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
        Row::Item(_) => 100,
        Row::Order(order) => 120 + order.lines.iter().map(|line| 40 + line.sku.len()).sum::<usize>(),
        Row::Hold(hold) => 80 + hold.sku.len(),
        Row::Outbox(Message::Claim(claim)) => 90 + claim.sku.len(),
        Row::Outbox(Message::Report(_)) | Row::Idempotency(_) => 90,
        Row::Backorder(_) | Row::Reference(_) | Row::Timer(_) => 60,
    }
}

fn item_of(row: stored::ItemRow) -> Item {
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

fn item_to(item: &Item) -> stored::ItemRow {
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

fn units_of(row: stored::UnitsRow) -> Units {
    Units { open: row.open, fulfilled: row.fulfilled, restocked: row.restocked }
}

pub(crate) fn units_to(units: Units) -> stored::UnitsRow {
    stored::UnitsRow { open: units.open, fulfilled: units.fulfilled, restocked: units.restocked }
}

fn line_of(row: stored::LineRow) -> Result<Line, Unreadable> {
    let in_flight = match (row.claim_from, row.claim_to) {
        (Some(from), Some(to)) => Some(InFlight { from: units_of(from), to: units_of(to) }),
        (None, None) => None,
        _ => return Err(unreadable("a line", "half a claim is under way")),
    };
    Ok(Line {
        sku: row.sku.into(),
        quantity: row.quantity,
        unit_price: row.unit_price,
        requested: row.requested,
        held: row.held,
        backordered: row.backordered,
        fulfilled: row.fulfilled,
        cancelled: row.cancelled,
        returned: row.returned,
        restocked: row.restocked,
        reason: reason_of(row.reason)?,
        operation: row.operation,
        revision: row.revision,
        in_flight,
    })
}

fn line_to(line: &Line) -> stored::LineRow {
    stored::LineRow {
        sku: line.sku.to_string(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        requested: line.requested,
        held: line.held,
        backordered: line.backordered,
        fulfilled: line.fulfilled,
        cancelled: line.cancelled,
        returned: line.returned,
        restocked: line.restocked,
        reason: reason_to(line.reason),
        operation: line.operation,
        revision: line.revision,
        claim_from: line.in_flight.map(|claim| units_to(claim.from)),
        claim_to: line.in_flight.map(|claim| units_to(claim.to)),
    }
}

fn line_units_of(rows: Vec<stored::LineUnitsRow>) -> Vec<LineUnits> {
    rows.into_iter().map(|row| LineUnits { line: row.line as u16, units: row.units }).collect()
}

fn line_units_to(lines: &[LineUnits]) -> Vec<stored::LineUnitsRow> {
    lines.iter().map(|units| stored::LineUnitsRow { line: u32::from(units.line), units: units.units }).collect()
}

fn text_of(text: Option<String>) -> Option<Box<str>> {
    text.map(Into::into)
}

fn text_to(text: Option<&str>) -> Option<String> {
    text.map(ToOwned::to_owned)
}

fn payment_of(row: stored::PaymentRow) -> Payment {
    let stored::PaymentRow { authorized, captured, refunded, voided, failed, unknown } = row;
    Payment { authorized, captured, refunded, voided, failed, unknown }
}

fn payment_to(payment: &Payment) -> Option<stored::PaymentRow> {
    let Payment { authorized, captured, refunded, voided, failed, unknown } = *payment;
    (*payment != Payment::default()).then_some(stored::PaymentRow {
        authorized,
        captured,
        refunded,
        voided,
        failed,
        unknown,
    })
}

fn order_of(id: OrderId, row: stored::OrderRow) -> Result<Order, Unreadable> {
    let [_, currency @ ..] = row.currency.to_be_bytes();
    let lines = row.lines.into_iter().map(line_of).collect::<Result<Vec<_>, _>>()?;
    let shipment = |row: stored::ShipmentRow| Fulfillment {
        lines: line_units_of(row.lines),
        tracking: text_of(row.tracking),
        at_ms: row.at_ms,
    };
    let returned = |row: stored::ReturnRow| Return {
        lines: line_units_of(row.lines),
        restocked: row.restocked,
        reason: text_of(row.reason),
        at_ms: row.at_ms,
    };
    Ok(Order {
        id,
        customer: text_of(row.customer),
        reference: text_of(row.reference),
        currency,
        total: lines.iter().map(|line| line.quantity * line.unit_price).sum(),
        lines,
        reservation: match row.reservation {
            0 => Reservation::Held,
            1 => Reservation::Undecided,
            2 => Reservation::Rejected,
            3 => Reservation::Cancelled,
            4 => Reservation::Expired,
            _ => return Err(unreadable("an order", "the code of its reservation is not known")),
        },
        terms: match row.terms {
            0 => Terms::OnAccount,
            1 => Terms::Prepaid,
            _ => return Err(unreadable("an order", "the code of its terms is not known")),
        },
        payment: row.payment.map(payment_of).unwrap_or_default(),
        fulfillments: row.fulfillments.into_iter().map(shipment).collect(),
        returns: row.returns.into_iter().map(returned).collect(),
        cancellation: row.cancellation.map(|row| Cancellation { reason: text_of(row.reason), at_ms: row.at_ms }),
        fulfil_at_once: row.fulfil_at_once,
        expires_ms: row.expires_ms,
        version: row.version,
        created_ms: row.created_ms,
        updated_ms: row.created_ms.saturating_add_signed(row.updated_after_ms),
    })
}

pub(crate) fn currency_to([a, b, c]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

pub(crate) fn reservation_to(reservation: Reservation) -> u32 {
    match reservation {
        Reservation::Held => 0,
        Reservation::Undecided => 1,
        Reservation::Rejected => 2,
        Reservation::Cancelled => 3,
        Reservation::Expired => 4,
    }
}

pub(crate) fn terms_to(terms: Terms) -> u32 {
    match terms {
        Terms::OnAccount => 0,
        Terms::Prepaid => 1,
    }
}

fn order_to(order: &Order) -> stored::OrderRow {
    stored::OrderRow {
        customer: text_to(order.customer.as_deref()),
        reference: text_to(order.reference.as_deref()),
        currency: currency_to(order.currency),
        lines: order.lines.iter().map(line_to).collect(),
        reservation: reservation_to(order.reservation),
        terms: terms_to(order.terms),
        payment: payment_to(&order.payment),
        fulfillments: order
            .fulfillments
            .iter()
            .map(|shipment| stored::ShipmentRow {
                lines: line_units_to(&shipment.lines),
                tracking: text_to(shipment.tracking.as_deref()),
                at_ms: shipment.at_ms,
            })
            .collect(),
        returns: order
            .returns
            .iter()
            .map(|returned| stored::ReturnRow {
                lines: line_units_to(&returned.lines),
                restocked: returned.restocked,
                reason: text_to(returned.reason.as_deref()),
                at_ms: returned.at_ms,
            })
            .collect(),
        cancellation: order
            .cancellation
            .as_ref()
            .map(|done| stored::CancellationRow { reason: text_to(done.reason.as_deref()), at_ms: done.at_ms }),
        fulfil_at_once: order.fulfil_at_once,
        expires_ms: order.expires_ms,
        version: order.version,
        created_ms: order.created_ms,
        updated_after_ms: order.updated_ms.wrapping_sub(order.created_ms) as i64,
    }
}

fn hold_of(row: stored::HoldRow) -> Result<Hold, Unreadable> {
    Ok(Hold {
        sku: row.sku.into(),
        operation: row.operation,
        revision: row.revision,
        held: row.held,
        backordered: row.backordered,
        fulfilled: row.fulfilled,
        restocked: row.restocked,
        refused: reason_of(row.refused)?,
        queued: row.queued,
        updated_ms: row.updated_ms,
    })
}

fn hold_to(hold: &Hold) -> stored::HoldRow {
    stored::HoldRow {
        sku: hold.sku.to_string(),
        operation: hold.operation,
        revision: hold.revision,
        held: hold.held,
        backordered: hold.backordered,
        fulfilled: hold.fulfilled,
        restocked: hold.restocked,
        refused: reason_to(hold.refused),
        queued: hold.queued,
        updated_ms: hold.updated_ms,
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

fn message_of(order: OrderId, line: u16, row: stored::OutboxRow) -> Result<Message, Unreadable> {
    match (row.claim, row.report) {
        (Some(claim), None) => Ok(Message::Claim(Claim {
            order,
            line,
            sku: claim.sku.into(),
            operation: claim.operation,
            revision: claim.revision,
            from: claim.from.map(units_of).unwrap_or_default(),
            to: claim.to.map(units_of).unwrap_or_default(),
        })),
        (None, Some(report)) => Ok(Message::Report(Report {
            order,
            line,
            operation: report.operation,
            revision: report.revision,
            held: report.held,
            backordered: report.backordered,
            fulfilled: report.fulfilled,
            restocked: report.restocked,
            refused: reason_of(report.refused)?,
        })),
        _ => Err(unreadable("a message", "it is neither a claim nor a report")),
    }
}

fn message_to(message: &Message) -> stored::OutboxRow {
    match message {
        Message::Claim(claim) => stored::OutboxRow {
            claim: Some(stored::ClaimRow {
                sku: claim.sku.to_string(),
                operation: claim.operation,
                revision: claim.revision,
                from: Some(units_to(claim.from)),
                to: Some(units_to(claim.to)),
            }),
            report: None,
        },
        Message::Report(report) => stored::OutboxRow {
            claim: None,
            report: Some(stored::ReportRow {
                operation: report.operation,
                revision: report.revision,
                held: report.held,
                backordered: report.backordered,
                fulfilled: report.fulfilled,
                restocked: report.restocked,
                refused: reason_to(report.refused),
            }),
        },
    }
}

/// The status as an event stores it.
pub(crate) fn status_code(status: Status) -> u32 {
    match status {
        Status::Pending => 1,
        Status::Confirmed => 2,
        Status::Backordered => 3,
        Status::Rejected => 4,
        Status::Cancelled => 5,
        Status::Expired => 6,
        Status::PartiallyFulfilled => 7,
        Status::Fulfilled => 8,
        Status::Completed => 9,
        Status::Returned => 10,
    }
}

/// The status that an event stores as `code`.
pub fn status_of(code: u32) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status_code(*status) == code)
}
