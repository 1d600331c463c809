//! The item's side of a line, and what the two sides tell each other.

use ordermill_journal as stored;
use ordermill_journal::Unreadable;
use ordermill_order::OrderId;
use ordermill_order::hold::{Claim, Hold, Message, Report, Units};

use super::{reason_of, reason_to, unreadable};

pub(super) fn units_of(row: stored::UnitsRow) -> Units {
    Units { open: row.open, fulfilled: row.fulfilled, restocked: row.restocked }
}

pub(crate) fn units_to(units: Units) -> stored::UnitsRow {
    stored::UnitsRow { open: units.open, fulfilled: units.fulfilled, restocked: units.restocked }
}

pub(super) fn hold_of(row: stored::HoldRow) -> Result<Hold, Unreadable> {
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

pub(super) fn hold_to(hold: &Hold) -> stored::HoldRow {
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

/// The message about a line of `order` that is stored as `row`.
pub fn message_of(order: OrderId, line: u16, row: stored::OutboxRow) -> Result<Message, Unreadable> {
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

/// The message as it is stored; its order and line stand elsewhere.
pub fn message_to(message: &Message) -> stored::OutboxRow {
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
