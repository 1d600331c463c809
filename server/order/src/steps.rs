//! Steps on an accepted order: pay, fulfil, cancel, return, expire.

use std::sync::Arc;

use ordermill_station::limits::STEPS_PER_ORDER;

use crate::OrderId;
use crate::command::{CancelOutcome, Halt, Refusal, Step};
use crate::machine::{Done, Machine};
use crate::order::{Cancellation, Fulfillment, Line, LineUnits, Order, Reservation, Return};
use crate::payment::Terms;
use crate::rows::{Rows, Timer, TimerKind};

/// How long an expiry is put off while the outcome of a payment is unknown.
const UNKNOWN_PAYMENT_GRACE_MS: u64 = 60_000;

impl<R: Rows> Machine<'_, '_, R> {
    /// Takes a step on an order.
    pub(crate) fn step(&mut self, id: OrderId, if_version: Option<u64>, step: &Step) -> Result<Done, Halt> {
        let old = self.order(id)?;
        if if_version.is_some_and(|version| version != old.version) {
            return Err(Refusal::VersionMismatch { current: old.version }.into());
        }
        let mut order = Order::clone(&old);
        let now_ms = self.context.now_ms;
        let mut done = Done::Order(id);
        match step {
            Step::Cancel { reason } => {
                let outcome = order.cancel(reason.as_deref(), now_ms)?;
                done = Done::Cancel(id, outcome);
                if outcome != CancelOutcome::Done {
                    return Ok(done);
                }
            }
            Step::Pay(payment, currency) => order.pay(*payment, *currency)?,
            Step::Fulfil { lines, tracking } => {
                let lines = order.fulfillable(lines.as_deref())?;
                order.fulfil(&lines);
                order.fulfillments.push(Fulfillment { lines, tracking: tracking.clone(), at_ms: now_ms });
            }
            Step::Return { lines, restock, reason } => {
                let lines = order.returnable(lines.as_deref())?;
                for units in &lines {
                    order.lines[usize::from(units.line)].take_back(units.units, *restock);
                }
                let reason = reason.clone();
                order.returns.push(Return { lines, restocked: *restock, reason, at_ms: now_ms });
            }
        }
        let old = Arc::clone(&old);
        self.finish(order, Some(&old), |line| old.lines[line].desired())?;
        Ok(done)
    }

    /// Ends the reservation of an order that is still unpaid when its time has come.
    pub(crate) fn expire(&mut self, id: OrderId) -> Result<(), Halt> {
        let Some(old) = self.rows.order(id)? else { return Ok(()) };
        if old.expires_ms.is_none_or(|expires_ms| expires_ms > self.context.now_ms) {
            return Ok(());
        }
        let mut order = Order::clone(&old);
        if order.payment.unknown {
            let due_ms = self.context.now_ms + UNKNOWN_PAYMENT_GRACE_MS;
            order.expires_ms = Some(due_ms);
            self.rows.set_timer(&Timer { due_ms, slot: id.slot(), what: TimerKind::Expire(id) });
        } else {
            order.expires_ms = None;
            order.end_open(Reservation::Expired);
        }
        let old = Arc::clone(&old);
        Ok(self.finish(order, Some(&old), |line| old.lines[line].desired())?)
    }
}

impl Order {
    /// Cancels every open unit; the reservation ends as `ending` if nothing has left.
    pub(crate) fn end_open(&mut self, ending: Reservation) {
        for line in &mut self.lines {
            line.cancel(line.open());
        }
        if self.sum(|line| line.fulfilled) == 0 {
            self.reservation = ending;
        }
    }

    fn cancel(&mut self, reason: Option<&str>, now_ms: u64) -> Result<CancelOutcome, Refusal> {
        if self.has_ended() || (self.cancellation.is_some() && self.sum(Line::open) == 0) {
            return Ok(CancelOutcome::Already);
        }
        if self.sum(Line::open) == 0 {
            return Ok(CancelOutcome::TooLate);
        }
        if self.payment.unknown {
            return Err(Refusal::Conflict(
                "the outcome of the last payment attempt is unknown: resolve it first".into(),
            ));
        }
        self.end_open(Reservation::Cancelled);
        self.cancellation = Some(Cancellation { reason: reason.map(Into::into), at_ms: now_ms });
        Ok(CancelOutcome::Done)
    }

    fn pay(&mut self, step: crate::payment::PaymentStep, currency: Option<[u8; 3]>) -> Result<(), Refusal> {
        if self.reservation == Reservation::Undecided {
            return Err(Refusal::Conflict("the order is pending: its stock is being decided".into()));
        }
        if currency.is_some_and(|currency| currency != self.currency) {
            return Err(Refusal::Invalid {
                field: "amount.currency".into(),
                reason: "is not the currency of the order".into(),
            });
        }
        let (total, ended) = (self.total, self.has_ended());
        self.payment.apply(step, total, ended)
    }

    fn fulfillable(&self, wanted: Option<&[LineUnits]>) -> Result<Vec<LineUnits>, Refusal> {
        match self.reservation {
            Reservation::Undecided => {
                return Err(Refusal::Conflict("the order is pending: its stock is being decided".into()));
            }
            Reservation::Held => {}
            _ => return Err(Refusal::Conflict("the order has ended: nothing can be fulfilled".into())),
        }
        if self.terms == Terms::Prepaid && (self.payment.unknown || !self.payment.covers(self.total)) {
            return Err(Refusal::Conflict("the order is prepaid and not authorized in full".into()));
        }
        if self.fulfillments.len() >= STEPS_PER_ORDER {
            return Err(Refusal::Conflict("the order has as many fulfillments as an order can have".into()));
        }
        let Some(wanted) = wanted else {
            let held = self.held_units();
            return if held.is_empty() {
                Err(Refusal::Conflict("nothing is held that could leave".into()))
            } else {
                Ok(held)
            };
        };
        self.check_units(wanted, |line| line.held, "is more than is held for the line")
    }

    fn returnable(&self, wanted: Option<&[LineUnits]>) -> Result<Vec<LineUnits>, Refusal> {
        if self.returns.len() >= STEPS_PER_ORDER {
            return Err(Refusal::Conflict("the order has as many returns as an order can have".into()));
        }
        let away = |line: &Line| line.fulfilled - line.returned;
        let Some(wanted) = wanted else {
            let all = self.lines.iter().enumerate().filter(|(_, line)| away(line) > 0);
            let all: Vec<_> = all.map(|(index, line)| LineUnits { line: index as u16, units: away(line) }).collect();
            return if all.is_empty() {
                Err(Refusal::Conflict("nothing has left that could come back".into()))
            } else {
                Ok(all)
            };
        };
        if self.sum(away) == 0 {
            return Err(Refusal::Conflict("nothing has left that could come back".into()));
        }
        self.check_units(wanted, away, "is more than has left and not come back")
    }

    /// Checks units by line against what there is; a line named twice counts together.
    fn check_units(
        &self,
        wanted: &[LineUnits],
        there: impl Fn(&Line) -> u64,
        reason: &'static str,
    ) -> Result<Vec<LineUnits>, Refusal> {
        let mut left: Vec<u64> = self.lines.iter().map(there).collect();
        for (index, units) in wanted.iter().enumerate() {
            let Some(left) = left.get_mut(usize::from(units.line)) else {
                let field = format!("lines[{index}].line");
                return Err(Refusal::Invalid { field, reason: "the order has no such line".into() });
            };
            if units.units > *left {
                return Err(Refusal::Invalid { field: format!("lines[{index}].quantity"), reason: reason.into() });
            }
            *left -= units.units;
        }
        Ok(wanted.to_vec())
    }
}
