//! The items' side: quantities set by hand, claims carried out, waiting lines filled in turn.

use ordermill_station::limits::ON_HAND_MAX;

use crate::Item;
use crate::command::{Halt, Refusal};
use crate::hold::{Backorder, Claim, Hold, Report};
use crate::machine::Machine;
use crate::order::Reason;
use crate::rows::{Event, Missing, Rows, Timer, TimerKind};

impl<R: Rows> Machine<'_, '_, R> {
    /// Sets an item; says whether it is new.
    pub(crate) fn put_item(
        &mut self,
        sku: &str,
        on_hand: u64,
        backorder: bool,
        if_version: Option<u64>,
    ) -> Result<bool, Halt> {
        let known = self.rows.item(sku)?;
        let mut item = known.unwrap_or_default();
        if if_version.is_some_and(|version| version != item.version) {
            return Err(Refusal::VersionMismatch { current: item.version }.into());
        }
        if on_hand < item.held {
            return Err(Refusal::Conflict("more units are held for orders than would be on hand".into()).into());
        }
        item.receive(on_hand as i64 - item.on_hand as i64);
        item.backorder = backorder;
        self.changed_by_hand(sku, item)?;
        Ok(known.is_none())
    }

    /// Adds units to an item, or takes them.
    pub(crate) fn adjust_item(&mut self, sku: &str, delta: i64) -> Result<(), Halt> {
        let mut item = self.item(sku)?;
        match item.on_hand.checked_add_signed(delta) {
            Some(on_hand) if on_hand > ON_HAND_MAX => {
                return Err(Refusal::Conflict("there would be more units than an item can have".into()).into());
            }
            Some(on_hand) if on_hand >= item.held => {}
            _ => return Err(Refusal::Conflict("fewer units would be on hand than are held for orders".into()).into()),
        }
        item.receive(delta);
        Ok(self.changed_by_hand(sku, item)?)
    }

    fn changed_by_hand(&mut self, sku: &str, mut item: Item) -> Result<(), Missing> {
        item.version += 1;
        item.updated_ms = self.context.now_ms;
        self.fill(sku, &mut item)?;
        self.rows.put_item(sku, item);
        self.rows.emit(Event::Item { sku: sku.into(), version: item.version });
        Ok(())
    }

    /// Carries out a claim, once however often it comes; `local` says that the order lives here
    /// too, so that a hold needs a row of its own only while units wait.
    pub(crate) fn carry_out(&mut self, claim: &Claim, local: bool) -> Result<Report, Missing> {
        // The first operation on a line that was decided here: no row can be there yet.
        let first = local && claim.operation == 1;
        let row = if first { None } else { self.rows.hold(&claim.sku, claim.order, claim.line)? };
        if let Some(done) = row.as_ref().filter(|hold| hold.operation >= claim.operation) {
            return Ok(done.report(claim.order, claim.line));
        }
        let Some(mut item) = self.rows.item(&claim.sku)? else { return Ok(self.refuse(claim, Reason::UnknownSku)) };
        let mut hold = row.as_ref().map_or_else(|| claim.known_hold(), |hold| Hold::clone(hold));
        let left = claim.to.fulfilled - hold.fulfilled;
        let back = claim.to.restocked - hold.restocked;
        let open = hold.held + hold.backordered - left;
        let mut freed = back > 0;

        if claim.to.open > open {
            let Some((held, waiting)) = item.decide(claim.to.open - open) else {
                return Ok(self.refuse(claim, Reason::InsufficientStock));
            };
            item.hold(held);
            item.backordered += waiting;
            hold.held += held;
            hold.backordered += waiting;
        }
        item.fulfil(left);
        hold.held -= left;
        hold.fulfilled += left;
        item.restock(back);
        hold.restocked += back;
        if claim.to.open < open {
            let waiting = (open - claim.to.open).min(hold.backordered);
            let held = open - claim.to.open - waiting;
            item.backordered -= waiting;
            hold.backordered -= waiting;
            item.release(held);
            hold.held -= held;
            freed |= held > 0;
        }
        item.version += 1;
        item.updated_ms = self.context.now_ms;
        (hold.operation, hold.updated_ms) = (claim.operation, self.context.now_ms);
        hold.revision += 1;
        self.keep_place(claim, &mut item, &mut hold);
        let report = hold.report(claim.order, claim.line);
        let needs_row = !local || hold.backordered > 0;
        if needs_row || row.is_some() {
            self.rows.put_hold(&claim.sku, claim.order, claim.line, needs_row.then_some(hold));
        }
        if freed || item.backordered > 0 {
            self.fill(&claim.sku, &mut item)?;
        }
        self.rows.put_item(&claim.sku, item);
        Ok(report)
    }

    /// Refuses a claim for good: a tombstone answers it should it come again when there is stock.
    fn refuse(&mut self, claim: &Claim, reason: Reason) -> Report {
        let hold = Hold {
            operation: claim.operation,
            refused: Some(reason),
            updated_ms: self.context.now_ms,
            ..claim.known_hold()
        };
        let report = hold.report(claim.order, claim.line);
        self.rows.put_hold(&claim.sku, claim.order, claim.line, Some(hold));
        report
    }

    /// Takes a place in the item's queue while units wait, and gives it up afterwards.
    fn keep_place(&mut self, claim: &Claim, item: &mut Item, hold: &mut Hold) {
        match hold.queued {
            None if hold.backordered > 0 => {
                let place = Backorder { order: claim.order, line: claim.line };
                self.rows.put_backorder(&claim.sku, item.queue_tail, Some(place));
                hold.queued = Some(item.queue_tail);
                item.queue_tail += 1;
            }
            Some(number) if hold.backordered == 0 => {
                self.rows.put_backorder(&claim.sku, number, None);
                hold.queued = None;
            }
            _ => {}
        }
    }

    /// Gives available units to the lines that wait, in turn; a long queue goes on by timer.
    fn fill(&mut self, sku: &str, item: &mut Item) -> Result<(), Missing> {
        for _ in 0..self.context.fill_steps {
            if item.backordered == 0 || item.available() == 0 {
                return Ok(());
            }
            assert!(item.queue_head < item.queue_tail, "{} units wait outside the queue", item.backordered);
            let Some(place) = self.rows.backorder(sku, item.queue_head)? else {
                item.queue_head += 1;
                continue;
            };
            let Some(hold) = self.rows.hold(sku, place.order, place.line)? else {
                panic!("a place in the queue of {sku} has no hold");
            };
            let mut hold = Hold::clone(&hold);
            let units = item.available().min(hold.backordered);
            item.hold(units);
            item.backordered -= units;
            hold.held += units;
            hold.backordered -= units;
            hold.revision += 1;
            hold.updated_ms = self.context.now_ms;
            self.unasked.push_back((sku.into(), hold.report(place.order, place.line)));
            if hold.backordered == 0 {
                hold.queued = None;
                self.rows.put_backorder(sku, item.queue_head, None);
                item.queue_head += 1;
            }
            // The row stays until the next claim: its revision tells old reports from new ones.
            self.rows.put_hold(sku, place.order, place.line, Some(hold));
        }
        if item.backordered > 0 && item.available() > 0 {
            let timer =
                Timer { due_ms: self.context.now_ms, slot: self.slot_of(sku), what: TimerKind::Fill(sku.into()) };
            self.rows.set_timer(&timer);
        }
        Ok(())
    }

    /// Goes on filling where a command before has stopped.
    pub(crate) fn go_on_filling(&mut self, sku: &str) -> Result<(), Missing> {
        let Some(mut item) = self.rows.item(sku)? else { return Ok(()) };
        self.fill(sku, &mut item)?;
        self.rows.put_item(sku, item);
        Ok(())
    }
}

impl Claim {
    /// The hold as the order's shard knows it, for where no row tells: before the first claim,
    /// after the row was forgotten, or when order and item lived in one shard.
    fn known_hold(&self) -> Hold {
        Hold {
            sku: self.sku.clone(),
            operation: 0,
            revision: self.revision,
            held: self.from.open,
            backordered: 0,
            fulfilled: self.from.fulfilled,
            restocked: self.from.restocked,
            refused: None,
            queued: None,
            updated_ms: 0,
        }
    }
}
