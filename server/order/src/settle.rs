//! Settling an order with the items' side: claims out, reports in, one decision.

use std::sync::Arc;

use crate::hold::{Claim, Message, Report, Units};
use crate::machine::Machine;
use crate::order::{Fulfillment, InFlight, Line, LineUnits, Order, Reservation};
use crate::rows::{Missing, Rows};

impl<R: Rows> Machine<'_, '_, R> {
    /// Claims what lines want and the items' side does not hold yet: here at once, elsewhere by
    /// message, one claim per line at a time.
    pub(crate) fn claim_changes(&mut self, order: &mut Order, known: impl Fn(usize) -> Units) -> Result<(), Missing> {
        let id = order.id;
        for (index, line) in order.lines.iter_mut().enumerate() {
            let (from, to) = (known(index), line.desired());
            // Of a refused line nothing is held, and nothing will be.
            if line.in_flight.is_some() || line.reason.is_some() || from == to {
                continue;
            }
            line.operation += 1;
            let claim = Claim {
                order: id,
                line: index as u16,
                sku: line.sku.clone(),
                operation: line.operation,
                revision: line.revision,
                from,
                to,
            };
            if self.is_local(self.slot_of(&line.sku)) {
                let report = self.carry_out(&claim, true)?;
                assert!(report.refused.is_none(), "a claim that asks for no more units cannot be refused");
                line.adopt(&report);
            } else {
                line.in_flight = Some(InFlight { from, to });
                self.rows.send(id.slot(), Message::Claim(claim));
            }
        }
        Ok(())
    }

    /// Hears what the item's side holds for a line. Reports may come late, twice and out of order.
    pub(crate) fn hear(&mut self, report: &Report) -> Result<(), Missing> {
        let Some(old) = self.rows.order(report.order)? else { return Ok(()) };
        let index = usize::from(report.line);
        let Some(line) = old.lines.get(index) else { return Ok(()) };
        let answers = line.in_flight.is_some() && report.operation == line.operation;
        let news = match report.refused {
            Some(_) => answers && line.revision == 0,
            None => report.operation <= line.operation && report.revision > line.revision,
        };
        if !news {
            return Ok(());
        }
        let mut order = Order::clone(&old);
        let line = &mut order.lines[index];
        if answers {
            line.in_flight = None;
            self.rows.answered(order.id.slot(), order.id, report.line);
        }
        let reported = if report.refused.is_some() {
            line.reason = report.refused;
            Units::default()
        } else {
            line.adopt(report);
            Units { open: report.held + report.backordered, fulfilled: report.fulfilled, restocked: report.restocked }
        };
        if order.reservation == Reservation::Undecided && order.lines.iter().all(Line::is_answered) {
            if order.lines.iter().any(|line| line.reason.is_some()) {
                order.reject();
            } else {
                order.accept();
            }
        }
        let old = Arc::clone(&old);
        self.finish(order, Some(&old), |line| if line == index { reported } else { old.lines[line].desired() })
    }
}

impl Line {
    fn is_answered(&self) -> bool {
        self.in_flight.is_none() && (self.requested == 0 || self.reason.is_some())
    }

    /// Takes over how the item's side splits the open units, unless the order has changed its mind
    /// since; the next claim's report will tell then.
    fn adopt(&mut self, report: &Report) {
        self.revision = report.revision;
        if self.open() == report.held + report.backordered {
            (self.requested, self.held, self.backordered) = (0, report.held, report.backordered);
        }
    }
}

impl Order {
    /// Rejects the order: every open unit is cancelled.
    pub(crate) fn reject(&mut self) {
        self.reservation = Reservation::Rejected;
        for line in &mut self.lines {
            line.cancel(line.open());
        }
    }

    /// Every unit is held or waits: the order stands, and what should leave at once leaves.
    pub(crate) fn accept(&mut self) {
        self.reservation = Reservation::Held;
        let held = self.held_units();
        if self.fulfil_at_once && !held.is_empty() {
            self.fulfil(&held);
            self.fulfillments.push(Fulfillment { lines: held, tracking: None, at_ms: self.created_ms });
        }
    }

    /// All held units, by line.
    pub(crate) fn held_units(&self) -> Vec<LineUnits> {
        let held = |(index, line): (usize, &Line)| {
            (line.held > 0).then_some(LineUnits { line: index as u16, units: line.held })
        };
        self.lines.iter().enumerate().filter_map(held).collect()
    }

    /// Lets held units leave; the caller has checked that they are held.
    pub(crate) fn fulfil(&mut self, units: &[LineUnits]) {
        for &LineUnits { line, units } in units {
            let line = &mut self.lines[usize::from(line)];
            line.held -= units;
            line.fulfilled += units;
        }
    }

    /// Whether the reservation needs no end any more: paid for, being paid for, or on its way.
    pub(crate) fn is_secured(&self) -> bool {
        self.payment.captured > 0
            || (self.total > 0 && self.payment.covers(self.total))
            || self.sum(|line| line.fulfilled) > 0
    }

    /// Whether a reader of the API sees a difference; progress of an undecided order is none.
    pub(crate) fn differs_visibly_from(&self, old: &Self) -> bool {
        if self.reservation == Reservation::Undecided && old.reservation == Reservation::Undecided {
            return self.payment != old.payment;
        }
        let units = |line: &Line| (line.desired(), line.held, line.backordered, line.cancelled, line.returned);
        self.reservation != old.reservation
            || self.payment != old.payment
            || self.cancellation != old.cancellation
            || self.fulfillments.len() != old.fulfillments.len()
            || self.returns.len() != old.returns.len()
            || self.expires_ms != old.expires_ms
            || self.lines.iter().map(units).ne(old.lines.iter().map(units))
    }
}
