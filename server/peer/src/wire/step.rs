//! Steps on an order.

use ordermill_journal as stored;
use ordermill_journal::Unreadable;
use ordermill_order::order::LineUnits;
use ordermill_order::payment::PaymentStep;
use ordermill_order::{OrderId, Step};
use ordermill_shard::convert::{currency_of, currency_to, id_of, id_to, line_units_of, line_units_to};

use super::{present, unreadable};

/// A step.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StepWire {
    /// Order id, 16 bytes big-endian.
    #[prost(bytes = "vec", tag = "1")]
    order: Vec<u8>,
    /// Refused unless the order has this version.
    #[prost(uint64, optional, tag = "2")]
    if_version: Option<u64>,
    /// Exactly one.
    #[prost(oneof = "StepKind", tags = "3, 4, 5, 6")]
    kind: Option<StepKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum StepKind {
    #[prost(message, tag = "3")]
    Cancel(CancelWire),
    #[prost(message, tag = "4")]
    Pay(PayWire),
    #[prost(message, tag = "5")]
    Fulfil(FulfilWire),
    #[prost(message, tag = "6")]
    Return(ReturnWire),
}

/// A cancellation.
#[derive(Clone, PartialEq, prost::Message)]
struct CancelWire {
    #[prost(string, optional, tag = "1")]
    reason: Option<String>,
}

/// What happened to the payment.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct PayWire {
    /// 0 authorize, 1 capture, 2 void, 3 refund, 4 fail, 5 unknown.
    #[prost(uint32, tag = "1")]
    code: u32,
    /// Minor units, where the step has an amount.
    #[prost(uint64, tag = "2")]
    amount: u64,
    /// ISO 4217 code, three letters, big-endian in the low 24 bits.
    #[prost(fixed32, optional, tag = "3")]
    currency: Option<u32>,
}

/// Units by line.
#[derive(Clone, PartialEq, prost::Message)]
struct LinesWire {
    #[prost(message, repeated, tag = "1")]
    lines: Vec<stored::LineUnitsRow>,
}

/// A shipment.
#[derive(Clone, PartialEq, prost::Message)]
struct FulfilWire {
    /// Absent: all that is held.
    #[prost(message, optional, tag = "1")]
    lines: Option<LinesWire>,
    #[prost(string, optional, tag = "2")]
    tracking: Option<String>,
}

/// A return.
#[derive(Clone, PartialEq, prost::Message)]
struct ReturnWire {
    /// Absent: all that has left.
    #[prost(message, optional, tag = "1")]
    lines: Option<LinesWire>,
    #[prost(bool, tag = "2")]
    restock: bool,
    #[prost(string, optional, tag = "3")]
    reason: Option<String>,
}

fn lines_of(wire: Option<LinesWire>) -> Option<Vec<LineUnits>> {
    wire.map(|wire| line_units_of(wire.lines))
}

fn lines_to(lines: Option<Vec<LineUnits>>) -> Option<LinesWire> {
    lines.map(|lines| LinesWire { lines: line_units_to(&lines) })
}

pub(super) fn step_of(wire: StepWire) -> Result<(OrderId, Option<u64>, Step), Unreadable> {
    let what = "a step";
    let step = match present(what, wire.kind)? {
        StepKind::Cancel(CancelWire { reason }) => Step::Cancel { reason: reason.map(Into::into) },
        StepKind::Pay(PayWire { code, amount, currency }) => {
            let step = match code {
                0 => PaymentStep::Authorize(amount),
                1 => PaymentStep::Capture(amount),
                2 => PaymentStep::Void,
                3 => PaymentStep::Refund(amount),
                4 => PaymentStep::Fail,
                5 => PaymentStep::Unknown,
                _ => return Err(unreadable(what, "the code of its payment is not known")),
            };
            Step::Pay(step, currency.map(currency_of))
        }
        StepKind::Fulfil(FulfilWire { lines, tracking }) => {
            Step::Fulfil { lines: lines_of(lines), tracking: tracking.map(Into::into) }
        }
        StepKind::Return(ReturnWire { lines, restock, reason }) => {
            Step::Return { lines: lines_of(lines), restock, reason: reason.map(Into::into) }
        }
    };
    Ok((id_of(what, &wire.order)?, wire.if_version, step))
}

pub(super) fn step_to(id: OrderId, if_version: Option<u64>, step: Step) -> StepWire {
    let kind = match step {
        Step::Cancel { reason } => StepKind::Cancel(CancelWire { reason: reason.map(Into::into) }),
        Step::Pay(step, currency) => {
            let (code, amount) = match step {
                PaymentStep::Authorize(amount) => (0, amount),
                PaymentStep::Capture(amount) => (1, amount),
                PaymentStep::Void => (2, 0),
                PaymentStep::Refund(amount) => (3, amount),
                PaymentStep::Fail => (4, 0),
                PaymentStep::Unknown => (5, 0),
            };
            StepKind::Pay(PayWire { code, amount, currency: currency.map(currency_to) })
        }
        Step::Fulfil { lines, tracking } => {
            StepKind::Fulfil(FulfilWire { lines: lines_to(lines), tracking: tracking.map(Into::into) })
        }
        Step::Return { lines, restock, reason } => {
            StepKind::Return(ReturnWire { lines: lines_to(lines), restock, reason: reason.map(Into::into) })
        }
    };
    StepWire { order: id_to(id), if_version, kind: Some(kind) }
}
