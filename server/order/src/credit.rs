//! Credits: units of a customer's earlier orders that were cancelled or came back.

use std::sync::Arc;

use crate::OrderId;
use crate::command::{Credit, Credited, Halt, Outcome, Refusal};
use crate::machine::Machine;
use crate::order::{Cancellation, LineUnits, Order, Reservation, Return};
use crate::rows::{Referenced, Rows};

impl<R: Rows> Machine<'_, '_, R> {
    /// Takes units from the candidates in their order: what is open is cancelled, what has left is
    /// returned. Orders that are still being decided are passed over.
    pub(crate) fn credit(&mut self, credit: &Credit) -> Result<Outcome, Halt> {
        let slot = credit.partition.slot;
        match self.rows.reference(slot, credit.reference)? {
            None => {}
            Some(Referenced::Credit) => return Err(Refusal::ReferenceTaken { order: None }.into()),
            Some(Referenced::Order(id)) => {
                let status = self.order(id)?.status();
                return Err(Refusal::ReferenceTaken { order: Some((id, status)) }.into());
            }
        }
        self.rows.put_reference(slot, credit.reference, Referenced::Credit);
        let mut left = credit.lines.clone();
        let mut from = Vec::new();
        for &id in &credit.candidates {
            if left.iter().all(|(_, units)| *units == 0) {
                break;
            }
            let old = self.order(id)?;
            if old.customer != credit.customer || old.reservation == Reservation::Undecided {
                continue;
            }
            from.extend(self.credit_one(&old, &mut left, credit.restock, id)?);
        }
        Ok(Outcome::Credited { from, unmatched: left.iter().map(|(_, units)| units).sum() })
    }

    fn credit_one(
        &mut self,
        old: &Arc<Order>,
        left: &mut [(Box<str>, u64)],
        restock: bool,
        id: OrderId,
    ) -> Result<Option<Credited>, Halt> {
        let mut order = Order::clone(old);
        let mut credited = Credited { order: id, cancelled: Vec::new(), returned: Vec::new() };
        for (index, line) in order.lines.iter_mut().enumerate() {
            for (sku, wanted) in left.iter_mut() {
                if *wanted == 0 || *sku != line.sku {
                    continue;
                }
                let cancelled = line.cancel(*wanted);
                let returned = line.take_back(*wanted - cancelled, restock);
                *wanted -= cancelled + returned;
                note(&mut credited.cancelled, index, cancelled);
                note(&mut credited.returned, index, returned);
            }
        }
        if credited.cancelled.is_empty() && credited.returned.is_empty() {
            return Ok(None);
        }
        let at_ms = self.context.now_ms;
        if !credited.returned.is_empty() {
            let lines = credited.returned.clone();
            order.returns.push(Return { lines, restocked: restock, reason: Some("credit".into()), at_ms });
        }
        if order.sum(crate::Line::open) == 0 && !credited.cancelled.is_empty() {
            order.cancellation = Some(Cancellation { reason: Some("credit".into()), at_ms });
            if order.sum(|line| line.fulfilled) == 0 {
                order.reservation = Reservation::Cancelled;
            }
        }
        self.finish(order, Some(old), |line| old.lines[line].desired())?;
        Ok(Some(credited))
    }
}

fn note(list: &mut Vec<LineUnits>, index: usize, units: u64) {
    if units > 0 {
        list.push(LineUnits { line: index as u16, units });
    }
}
