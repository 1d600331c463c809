//! A few shards in memory, and everything that must be true of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::command::{Credit, IdempotencyKey};
use crate::hold::{Message, Report};
use crate::id::{Class, Partition, fingerprint, identity};
use crate::memory::Memory;
use crate::order::{Line, Order, Reservation};
use crate::payment::Terms;
use crate::rows::Timer;
use crate::{Action, Command, Context, Halt, NewLine, NewOrder, OrderId, Outcome, Refusal, SlotRange, Step, apply};

pub(super) const CUSTOMERS: [&str; 3] = ["ann", "bob", "cleo"];

/// A message on its way: to the slot's shard.
#[derive(Clone, Debug)]
enum Envelope {
    Message(Message),
    Answer(Report),
    Noted { slot: u16, report: Report },
}

pub(super) struct World {
    pub(super) shards: Vec<Shard>,
    network: Vec<Envelope>,
    pub(super) now_ms: u64,
}

pub(super) struct Shard {
    pub(super) range: SlotRange,
    pub(super) rows: Memory,
    sequence: u64,
}

pub(super) fn new_order(customer: &str, lines: &[(&str, u64)]) -> NewOrder {
    NewOrder {
        partition: Partition::of("", Class::Customer, customer),
        customer: Some(customer.into()),
        reference: None,
        lines: lines.iter().map(|&(sku, quantity)| NewLine { sku: sku.into(), quantity, unit_price: 100 }).collect(),
        currency: *b"GBP",
        terms: Terms::OnAccount,
        expires_in_ms: None,
        fulfilled: false,
        placed_ms: None,
    }
}

impl World {
    pub(super) fn new(shards: u32) -> Self {
        let size = 65_536 / shards;
        let shard = |index: u32| Shard {
            range: SlotRange { first: (index * size) as u16, last: ((index + 1) * size - 1) as u16 },
            rows: Memory::default(),
            sequence: 0,
        };
        let mut shards: Vec<_> = (0..shards).map(shard).collect();
        shards.last_mut().expect("there is a shard").range.last = u16::MAX;
        Self { shards, network: Vec::new(), now_ms: 1_700_000_000_000 }
    }

    fn shard(&mut self, slot: u16) -> &mut Shard {
        self.shards.iter_mut().find(|shard| shard.range.contains(slot)).expect("the ranges cover all slots")
    }

    fn apply(&mut self, slot: u16, idempotency: Option<IdempotencyKey>, action: Action) -> Result<Outcome, Refusal> {
        let now_ms = self.now_ms;
        let shard = self.shard(slot);
        let mut rows = shard.rows.clone();
        let before = rows.outbox.clone();
        let mut context = Context {
            now_ms,
            range: shard.range,
            sequence: &mut shard.sequence,
            idempotency_ms: 60_000,
            fill_steps: 2,
        };
        match apply(&mut rows, &mut context, &Command { tenant: "".into(), idempotency, action }) {
            Ok(outcome) => {
                let new = rows.outbox.iter().filter(|(key, message)| before.get(key) != Some(message));
                let new: Vec<_> = new.map(|(_, message)| Envelope::Message(message.clone())).collect();
                shard.rows = rows;
                self.network.extend(new);
                self.check_always();
                Ok(outcome)
            }
            Err(Halt::Refused(refusal)) => Err(refusal),
            Err(Halt::Missing) => unreachable!("rows in memory are never missing"),
        }
    }

    pub(super) fn put_item(&mut self, sku: &str, on_hand: u64, backorder: bool) -> Result<Outcome, Refusal> {
        let slot = Partition::of_item("", sku).slot;
        self.apply(slot, None, Action::PutItem { sku: sku.into(), on_hand, backorder, if_version: None })
    }

    pub(super) fn adjust(&mut self, sku: &str, delta: i64, key: Option<&str>) -> Result<Outcome, Refusal> {
        let partition = Partition::of_item("", sku);
        let body = fingerprint(&[sku.as_bytes(), &delta.to_be_bytes()]);
        let key = key.map(|key| IdempotencyKey { key: identity("", Class::Key, sku, key), fingerprint: body });
        self.apply(partition.slot, key, Action::AdjustItem { sku: sku.into(), delta })
    }

    pub(super) fn place(&mut self, new: NewOrder, key: Option<IdempotencyKey>) -> Result<Arc<Order>, Refusal> {
        match self.apply(new.partition.slot, key, Action::Create(Box::new(new)))? {
            Outcome::Order { order, .. } => Ok(order),
            other => panic!("placing an order ended as {other:?}"),
        }
    }

    pub(super) fn step(&mut self, id: OrderId, step: Step) -> Result<Outcome, Refusal> {
        self.apply(id.slot(), None, Action::Step { id, if_version: None, step })
    }

    pub(super) fn credit(
        &mut self,
        customer: &str,
        reference: &str,
        lines: &[(&str, u64)],
    ) -> Result<Outcome, Refusal> {
        let partition = Partition::of("", Class::Customer, customer);
        let mut candidates: Vec<_> =
            self.orders().filter(|o| o.customer.as_deref() == Some(customer)).map(|o| o.id).collect();
        candidates.reverse();
        let credit = Credit {
            partition,
            customer: Some(customer.into()),
            reference: identity("", Class::Reference, customer, reference),
            lines: lines.iter().map(|&(sku, units)| (sku.into(), units)).collect(),
            restock: true,
            candidates,
        };
        self.apply(partition.slot, None, Action::Credit(Box::new(credit)))
    }

    /// Fires a timer, due or not.
    pub(super) fn step_timer(&mut self, timer: Timer) {
        self.apply(timer.slot, None, Action::Timer(timer)).expect("a timer is never refused");
    }

    /// Fires every timer that is due after `by_ms` more.
    pub(super) fn pass(&mut self, by_ms: u64) {
        self.now_ms += by_ms;
        for _ in 0..10_000 {
            let now_ms = self.now_ms;
            let due = self.shards.iter().find_map(|s| s.rows.timers.iter().find(|t| t.due_ms <= now_ms).cloned());
            let Some(timer) = due else { return };
            self.step_timer(timer);
        }
        let timers: Vec<_> = self.shards.iter().flat_map(|shard| shard.rows.timers.iter()).collect();
        panic!("timers do not come to an end: {timers:?}");
    }

    /// Delivers the `pick`-th message on its way; with `twice` it stays on its way.
    pub(super) fn deliver(&mut self, pick: usize, twice: bool) {
        if self.network.is_empty() {
            return;
        }
        let index = pick % self.network.len();
        let envelope = if twice { self.network[index].clone() } else { self.network.swap_remove(index) };
        match envelope {
            Envelope::Message(Message::Claim(claim)) => {
                let slot = Partition::of_item("", &claim.sku).slot;
                match self.apply(slot, None, Action::Claim(claim)) {
                    Ok(Outcome::Report(report)) => self.network.push(Envelope::Answer(report)),
                    other => panic!("a claim ended as {other:?}"),
                }
            }
            Envelope::Message(Message::Report(report)) => {
                self.apply(report.order.slot(), None, Action::Report(report.clone()))
                    .expect("a report is never refused");
                let sku =
                    self.orders().find(|o| o.id == report.order).map(|o| o.lines[usize::from(report.line)].sku.clone());
                let slot = Partition::of_item("", &sku.expect("a report is about an order")).slot;
                self.network.push(Envelope::Noted { slot, report });
            }
            Envelope::Answer(report) => {
                self.apply(report.order.slot(), None, Action::Report(report)).expect("a report is never refused");
            }
            Envelope::Noted { slot, report } => {
                let Report { order, line, revision, .. } = report;
                self.apply(slot, None, Action::Noted { slot, order, line, revision }).expect("a note is never refused");
            }
        }
    }

    /// Loses everything on its way; what is in an outbox is sent again, until nothing is left.
    pub(super) fn settle(&mut self) {
        self.network.clear();
        for _ in 0..200 {
            self.pass(0);
            let again: Vec<_> = self.shards.iter().flat_map(|shard| shard.rows.outbox.values().cloned()).collect();
            if again.is_empty() {
                self.check_settled();
                return;
            }
            self.network = again.into_iter().map(Envelope::Message).collect();
            for _ in 0..10_000 {
                self.deliver(0, false);
            }
            assert!(self.network.is_empty(), "messages do not come to an end: {:?}", self.network);
        }
        panic!("the shards do not settle");
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = &Arc<Order>> {
        self.shards.iter().flat_map(|shard| shard.rows.orders.values())
    }

    fn check_always(&self) {
        for shard in &self.shards {
            shard.rows.items.values().for_each(crate::Item::check);
            shard.rows.orders.values().for_each(|order| order.check());
        }
    }

    /// What must be true once no message is under way: both sides tell the same.
    fn check_settled(&self) {
        let mut sums: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
        for order in self.orders() {
            assert_ne!(order.reservation, Reservation::Undecided, "an order stays pending");
            for line in &order.lines {
                assert_eq!((line.requested, line.in_flight), (0, None));
                let sum = sums.entry(&line.sku).or_default();
                let units = [line.held, line.backordered, line.fulfilled, line.restocked];
                sum.iter_mut().zip(units).for_each(|(sum, units)| *sum += units);
            }
            assert_eq!(order.sum(|line| line.fulfilled), shipped(order), "fulfilments and lines differ");
        }
        for (sku, item) in self.shards.iter().flat_map(|shard| &shard.rows.items) {
            let orders = sums.get(&**sku).copied().unwrap_or_default();
            assert_eq!([item.held, item.backordered, item.fulfilled, item.restocked], orders, "sides differ on {sku}");
            assert!(item.backordered == 0 || item.available() == 0, "units of {sku} lie idle while lines wait");
        }
    }
}

fn shipped(order: &Order) -> u64 {
    order.fulfillments.iter().flat_map(|shipment| &shipment.lines).map(|line| line.units).sum()
}

pub(super) fn lines(order: &Order) -> Vec<(u64, u64, u64, u64)> {
    let units = |line: &Line| (line.held, line.backordered, line.fulfilled, line.cancelled);
    order.lines.iter().map(units).collect()
}
