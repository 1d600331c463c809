//! Placing an order.

use crate::command::{Halt, NewOrder, Refusal};
use crate::hold::{Backorder, Hold, Units};
use crate::machine::Machine;
use crate::order::{Line, Order, Reason, Reservation};
use crate::payment::Payment;
use crate::rows::{Missing, Referenced, Rows, Timer, TimerKind};
use crate::{Item, OrderId};

impl<R: Rows> Machine<'_, '_, R> {
    /// Places an order. Lines whose items live here are decided at once; if one of them is refused
    /// the order is rejected and nobody else is asked. Other lines are claimed by message.
    pub(crate) fn create(&mut self, new: &NewOrder) -> Result<OrderId, Halt> {
        self.check_reference(new)?;
        let mut lines: Vec<Line> =
            new.lines.iter().map(|line| Line::new(line.sku.clone(), line.quantity, line.unit_price)).collect();
        let rejected = self.decide_here(&mut lines)?;
        let everything_here = lines.iter().all(|line| line.requested == 0);

        let id = OrderId::new(self.context.now_ms, new.partition, *self.context.sequence);
        *self.context.sequence += 1;
        let total = lines.iter().map(|line| line.quantity * line.unit_price).sum();
        let mut order = Order {
            id,
            customer: new.customer.clone(),
            reference: new.reference.as_ref().map(|(text, _)| text.clone()),
            currency: new.currency,
            lines,
            total,
            reservation: Reservation::Undecided,
            terms: new.terms,
            payment: Payment::default(),
            fulfillments: Vec::new(),
            returns: Vec::new(),
            cancellation: None,
            fulfil_at_once: new.fulfilled,
            expires_ms: None,
            version: 0,
            created_ms: new.placed_ms.unwrap_or(self.context.now_ms),
            updated_ms: self.context.now_ms,
        };
        if let Some((_, identity)) = &new.reference {
            self.rows.put_reference(new.partition.slot, *identity, Referenced::Order(id));
        }
        if rejected {
            order.reject();
        } else {
            self.queue_waiting(&mut order)?;
            if let Some(expires_in_ms) = new.expires_in_ms {
                let due_ms = self.context.now_ms + expires_in_ms;
                order.expires_ms = Some(due_ms);
                self.rows.set_timer(&Timer { due_ms, slot: id.slot(), what: TimerKind::Expire(id) });
            }
        }
        // What was held here just now is known; the rest has to be claimed.
        let known = |line: &Line| Units { open: line.held + line.backordered, ..Units::default() };
        let known: Vec<Units> = order.lines.iter().map(known).collect();
        if everything_here && !rejected {
            order.accept();
        }
        self.finish(order, None, |line| known[line])?;
        Ok(id)
    }

    fn check_reference(&mut self, new: &NewOrder) -> Result<(), Halt> {
        let Some((_, identity)) = &new.reference else { return Ok(()) };
        match self.rows.reference(new.partition.slot, *identity)? {
            None => Ok(()),
            Some(Referenced::Credit) => Err(Refusal::ReferenceTaken { order: None }.into()),
            Some(Referenced::Order(id)) => {
                let status = self.order(id)?.status();
                Err(Refusal::ReferenceTaken { order: Some((id, status)) }.into())
            }
        }
    }

    /// Holds what can be held of the lines whose items live here; says whether a line was refused,
    /// in which case nothing is held. Lines with the same SKU count together.
    fn decide_here(&mut self, lines: &mut [Line]) -> Result<bool, Halt> {
        let mut before: Vec<(usize, Item)> = Vec::with_capacity(lines.len());
        let mut refused = false;
        for (index, line) in lines.iter_mut().enumerate() {
            if !self.is_local(self.slot_of(&line.sku)) {
                continue;
            }
            let Some(item) = self.rows.item(&line.sku)? else {
                return Err(Refusal::UnknownSku { line: Some(index as u16) }.into());
            };
            let Some((held, backordered)) = item.decide(line.quantity) else {
                line.reason = Some(Reason::InsufficientStock);
                refused = true;
                continue;
            };
            let mut changed = item;
            changed.hold(held);
            changed.backordered += backordered;
            changed.version += 1;
            changed.updated_ms = self.context.now_ms;
            self.rows.put_item(&line.sku, changed);
            before.push((index, item));
            (line.requested, line.held, line.backordered) = (0, held, backordered);
        }
        if refused {
            for (index, item) in before.into_iter().rev() {
                let line = &mut lines[index];
                self.rows.put_item(&line.sku, item);
                (line.requested, line.held, line.backordered) = (line.quantity, 0, 0);
            }
        }
        Ok(refused)
    }

    /// Gives lines that wait a place in their item's queue.
    fn queue_waiting(&mut self, order: &mut Order) -> Result<(), Missing> {
        let id = order.id;
        for (index, line) in order.lines.iter_mut().enumerate() {
            if line.backordered == 0 {
                continue;
            }
            let number = self.enter_queue(&line.sku, Backorder { order: id, line: index as u16 })?;
            (line.operation, line.revision) = (1, 1);
            let hold = Hold {
                sku: line.sku.clone(),
                operation: 1,
                revision: 1,
                held: line.held,
                backordered: line.backordered,
                fulfilled: 0,
                restocked: 0,
                refused: None,
                queued: Some(number),
                updated_ms: self.context.now_ms,
            };
            self.rows.put_hold(&line.sku, id, index as u16, Some(hold));
        }
        Ok(())
    }

    fn enter_queue(&mut self, sku: &str, place: Backorder) -> Result<u64, Missing> {
        let mut item = self.rows.item(sku)?.expect("the line's item was there when it was decided");
        let number = item.queue_tail;
        item.queue_tail += 1;
        self.rows.put_item(sku, item);
        self.rows.put_backorder(sku, number, Some(place));
        Ok(number)
    }
}
