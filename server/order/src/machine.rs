//! Applies one command to the rows of one shard.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::command::{Action, CancelOutcome, Command, Halt, IdempotencyKey, NewOrder, Outcome, Refusal};
use crate::hold::{Message, Report, Units};
use crate::memory::Memory;
use crate::order::Order;
use crate::rows::{Event, Idempotency, Missing, Remembered, Rows, Timer, TimerKind};
use crate::{Item, OrderId, Partition, SlotRange};

/// What a command needs to know besides the rows.
#[derive(Debug)]
pub struct Context<'a> {
    /// The shard's time, milliseconds since the Unix epoch; never goes back.
    pub now_ms: u64,
    /// The slots whose rows are here; anything else takes a message.
    pub range: SlotRange,
    /// The shard's sequence: the number of the next order.
    pub sequence: &'a mut u64,
    /// How long idempotency keys are remembered, milliseconds.
    pub idempotency_ms: u64,
    /// Backordered lines that one command may fill; the rest follow by timer.
    pub fill_steps: usize,
}

/// Applies `command`. After a [`Halt`] the rows' changes must be thrown away.
pub fn apply(rows: &mut impl Rows, context: &mut Context<'_>, command: &Command) -> Result<Outcome, Halt> {
    let mut machine = Machine { rows, context, tenant: &command.tenant, unasked: VecDeque::new() };
    let slot = machine.home(&command.action);
    if let Some(key) = command.idempotency
        && let Some(known) = machine.recall(slot, key)?
    {
        return machine.replay(known, &command.action);
    }
    let done = machine.act(&command.action)?;
    machine.deliver_unasked()?;
    if let Some(key) = command.idempotency {
        machine.remember(slot, key, &done);
    }
    machine.outcome(done)
}

/// What placing `new` would bring if `items` were all there is; nothing is changed. The order has
/// the id 0.
pub fn preview(
    new: &NewOrder,
    items: impl IntoIterator<Item = (Box<str>, Item)>,
    now_ms: u64,
) -> Result<Order, Refusal> {
    let mut rows = Memory::default();
    for (sku, item) in items {
        rows.put_item(&sku, item);
    }
    let mut context = Context { now_ms, range: SlotRange::ALL, sequence: &mut 0, idempotency_ms: 0, fill_steps: 0 };
    let action = Action::Create(Box::new(new.clone()));
    match apply(&mut rows, &mut context, &Command { tenant: "".into(), idempotency: None, action }) {
        // An order that is not there has no id.
        Ok(Outcome::Order { order, .. }) => Ok(Order { id: OrderId(0), ..Arc::unwrap_or_clone(order) }),
        Ok(other) => unreachable!("placing an order cannot end as {other:?}"),
        Err(Halt::Refused(refusal)) => Err(refusal),
        Err(Halt::Missing) => unreachable!("rows in memory are never missing"),
    }
}

/// What was done, before it is read back for the answer.
pub(crate) enum Done {
    Order(OrderId),
    Cancel(OrderId, CancelOutcome),
    Item { sku: Box<str>, created: bool },
    Other(Outcome),
}

/// One command under way.
pub(crate) struct Machine<'a, 'b, R> {
    pub(crate) rows: &'a mut R,
    pub(crate) context: &'a mut Context<'b>,
    pub(crate) tenant: &'a str,
    /// Reports about lines whose orders have not heard of them yet, with the item's SKU.
    pub(crate) unasked: VecDeque<(Box<str>, Report)>,
}

impl<R: Rows> Machine<'_, '_, R> {
    fn home(&self, action: &Action) -> u16 {
        match action {
            Action::Create(new) => new.partition.slot,
            Action::Step { id, .. } => id.slot(),
            Action::Credit(credit) => credit.partition.slot,
            Action::PutItem { sku, .. } | Action::AdjustItem { sku, .. } => self.slot_of(sku),
            Action::Claim(claim) => self.slot_of(&claim.sku),
            Action::Report(report) => report.order.slot(),
            Action::Noted { slot, .. } => *slot,
            Action::Timer(timer) => timer.slot,
        }
    }

    pub(crate) fn slot_of(&self, sku: &str) -> u16 {
        Partition::of_item(self.tenant, sku).slot
    }

    pub(crate) fn is_local(&self, slot: u16) -> bool {
        self.context.range.contains(slot)
    }

    fn act(&mut self, action: &Action) -> Result<Done, Halt> {
        match action {
            Action::Create(new) => self.create(new).map(Done::Order),
            Action::Step { id, if_version, step } => self.step(*id, *if_version, step),
            Action::Credit(credit) => self.credit(credit).map(Done::Other),
            Action::PutItem { sku, on_hand, backorder, if_version } => {
                let created = self.put_item(sku, *on_hand, *backorder, *if_version)?;
                Ok(Done::Item { sku: sku.clone(), created })
            }
            Action::AdjustItem { sku, delta } => {
                self.adjust_item(sku, *delta)?;
                Ok(Done::Item { sku: sku.clone(), created: false })
            }
            Action::Claim(claim) => Ok(Done::Other(Outcome::Report(self.carry_out(claim, false)?))),
            Action::Report(report) => {
                self.hear(report)?;
                Ok(Done::Other(Outcome::Done))
            }
            Action::Noted { slot, order, line, revision } => {
                self.rows.noted(*slot, *order, *line, *revision);
                Ok(Done::Other(Outcome::Done))
            }
            // The clock was set back after somebody looked: the timer stays, and is looked at again.
            Action::Timer(timer) if timer.due_ms > self.context.now_ms => Ok(Done::Other(Outcome::Done)),
            Action::Timer(timer) => {
                self.rows.clear_timer(timer);
                match &timer.what {
                    TimerKind::Expire(id) => self.expire(*id)?,
                    TimerKind::Fill(sku) => self.go_on_filling(sku)?,
                }
                Ok(Done::Other(Outcome::Done))
            }
        }
    }

    /// Tells the orders of lines that were filled: here at once, elsewhere by message.
    fn deliver_unasked(&mut self) -> Result<(), Missing> {
        while let Some((sku, report)) = self.unasked.pop_front() {
            if self.is_local(report.order.slot()) {
                self.hear(&report)?;
            } else {
                let slot = self.slot_of(&sku);
                self.rows.send(slot, Message::Report(report));
            }
        }
        Ok(())
    }

    /// Puts a changed order back, with claims for what changed on its lines. `known` says what the
    /// item's side holds for a line that has no claim under way.
    pub(crate) fn finish(
        &mut self,
        mut order: Order,
        old: Option<&Order>,
        known: impl Fn(usize) -> Units,
    ) -> Result<(), Missing> {
        self.claim_changes(&mut order, known)?;
        let status = order.status();
        if let Some(expires_ms) = order.expires_ms
            && (order.has_ended() || order.is_secured())
        {
            order.expires_ms = None;
            let timer = Timer { due_ms: expires_ms, slot: order.id.slot(), what: TimerKind::Expire(order.id) };
            self.rows.clear_timer(&timer);
        }
        if old.is_none_or(|old| order.differs_visibly_from(old)) {
            order.version += 1;
            order.updated_ms = self.context.now_ms;
            let entered = old.is_none_or(|old| old.status() != status);
            self.rows.emit(Event::Order { id: order.id, version: order.version, status, entered });
        }
        order.check();
        self.rows.put_order(Arc::new(order));
        Ok(())
    }

    fn recall(&mut self, slot: u16, key: IdempotencyKey) -> Result<Option<Remembered>, Halt> {
        match self.rows.idempotency(slot, key.key)? {
            Some(known) if known.expires_ms <= self.context.now_ms => Ok(None),
            Some(known) if known.fingerprint != key.fingerprint => Err(Refusal::KeyReused.into()),
            Some(known) => Ok(Some(known.result)),
            None => Ok(None),
        }
    }

    fn remember(&mut self, slot: u16, key: IdempotencyKey, done: &Done) {
        let result = match done {
            Done::Order(id) => Remembered::Order(*id),
            Done::Cancel(id, outcome) => Remembered::Cancel(*id, *outcome),
            Done::Item { .. } => Remembered::Item,
            Done::Other(_) => return,
        };
        let expires_ms = self.context.now_ms + self.context.idempotency_ms;
        self.rows.put_idempotency(slot, key.key, Idempotency { fingerprint: key.fingerprint, result, expires_ms });
    }

    fn replay(&mut self, known: Remembered, action: &Action) -> Result<Outcome, Halt> {
        match (known, action) {
            (Remembered::Order(id), _) => Ok(Outcome::Order { order: self.order(id)?, replayed: true }),
            (Remembered::Cancel(id, outcome), _) => {
                Ok(Outcome::Cancelled { order: self.order(id)?, outcome, replayed: true })
            }
            (Remembered::Item, Action::PutItem { sku, .. } | Action::AdjustItem { sku, .. }) => {
                Ok(Outcome::Item { item: self.item(sku)?, replayed: true, created: false })
            }
            (Remembered::Item, _) => Err(Refusal::KeyReused.into()),
        }
    }

    fn outcome(&mut self, done: Done) -> Result<Outcome, Halt> {
        Ok(match done {
            Done::Order(id) => Outcome::Order { order: self.order(id)?, replayed: false },
            Done::Cancel(id, outcome) => Outcome::Cancelled { order: self.order(id)?, outcome, replayed: false },
            Done::Item { sku, created } => Outcome::Item { item: self.item(&sku)?, replayed: false, created },
            Done::Other(outcome) => outcome,
        })
    }

    pub(crate) fn order(&mut self, id: OrderId) -> Result<Arc<Order>, Halt> {
        self.rows.order(id)?.ok_or_else(|| Refusal::NotFound.into())
    }

    pub(crate) fn item(&mut self, sku: &str) -> Result<Item, Halt> {
        self.rows.item(sku)?.ok_or_else(|| Refusal::UnknownSku { line: None }.into())
    }
}
