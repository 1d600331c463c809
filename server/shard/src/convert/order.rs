//! Orders, their lines and payments.

use ordermill_journal as stored;
use ordermill_journal::Unreadable;
use ordermill_order::order::{Cancellation, Fulfillment, InFlight, LineUnits, Return};
use ordermill_order::payment::{Payment, Terms};
use ordermill_order::{Line, Order, OrderId, Reservation, Status};

use super::hold::{units_of, units_to};
use super::{reason_of, reason_to, unreadable};

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

/// Units by line, as stored.
pub fn line_units_of(rows: Vec<stored::LineUnitsRow>) -> Vec<LineUnits> {
    rows.into_iter().map(|row| LineUnits { line: row.line as u16, units: row.units }).collect()
}

/// Units by line, to be stored.
pub fn line_units_to(lines: &[LineUnits]) -> Vec<stored::LineUnitsRow> {
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

/// The order `id` that is stored as `row`.
pub fn order_of(id: OrderId, row: stored::OrderRow) -> Result<Order, Unreadable> {
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
        currency: currency_of(row.currency),
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
        terms: terms_of(row.terms)?,
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

/// The currency that is stored as `code`.
pub fn currency_of(code: u32) -> [u8; 3] {
    let [_, currency @ ..] = code.to_be_bytes();
    currency
}

/// The currency as it is stored.
pub fn currency_to([a, b, c]: [u8; 3]) -> u32 {
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

/// The terms that are stored as `code`.
pub fn terms_of(code: u32) -> Result<Terms, Unreadable> {
    match code {
        0 => Ok(Terms::OnAccount),
        1 => Ok(Terms::Prepaid),
        _ => Err(unreadable("an order", "the code of its terms is not known")),
    }
}

/// The terms as they are stored.
pub fn terms_to(terms: Terms) -> u32 {
    match terms {
        Terms::OnAccount => 0,
        Terms::Prepaid => 1,
    }
}

/// The order as it is stored; its id stands in its key.
pub fn order_to(order: &Order) -> stored::OrderRow {
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

/// The status as an event stores it.
pub fn status_code(status: Status) -> u32 {
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
