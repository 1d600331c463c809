//! The state machine's view of a batch: typed rows over keys and bytes.

use std::sync::Arc;

use bytes::Bytes;
use ordermill_delivery::{Entry, Outstanding};
use ordermill_order::hold::{Backorder, Hold, Message};
use ordermill_order::rows::{Event, Fetch, Idempotency, Missing, Referenced, Rows, Timer};
use ordermill_order::{Action, Command, Item, Order, OrderId, Partition, SlotRange};
use ordermill_store::keys::{self, RowKey};

use crate::Keys;
use crate::batch::Batch;
use crate::convert::{Row, decode_row};
use crate::state::{Committed, Found};

/// Rows of one tenant, as a batch sees them.
pub(crate) struct View<'a> {
    pub(crate) keys: Keys,
    pub(crate) tenant: &'a Arc<str>,
    pub(crate) batch: &'a mut Batch,
    pub(crate) committed: &'a mut Committed,
    pub(crate) outstanding: &'a Outstanding,
    /// Keys that are not in memory.
    pub(crate) wanted: &'a mut Vec<RowKey>,
}

/// Decodes a stored row; a row that cannot be read stops the shard, whatever it was to be used for.
pub(crate) fn decoded(key: &[u8], value: &Bytes) -> Row {
    let parts = keys::decode(key).unwrap_or_else(|| panic!("the key {key:?} cannot be read"));
    decode_row(&parts, value).unwrap_or_else(|error| panic!("the row {key:?} cannot be read: {error}"))
}

impl View<'_> {
    fn row(&mut self, key: RowKey) -> Fetch<&Row> {
        if self.batch.get(&key).is_none() {
            let row = match self.committed.get(&key) {
                Found::Row(value) => Some(decoded(&key, &value)),
                Found::Deleted => None,
                Found::Elsewhere => {
                    self.wanted.push(key);
                    return Err(Missing);
                }
            };
            self.batch.load(key.clone(), row);
        }
        Ok(self.batch.get(&key).flatten())
    }
}

macro_rules! fetch {
    ($self:ident, $key:expr, $kind:ident, $row:ident => $value:expr) => {
        match $self.row($key)? {
            Some(Row::$kind($row)) => Ok(Some($value)),
            None => Ok(None),
            Some(other) => unreachable!("the key of a row says what it is: {other:?}"),
        }
    };
}

impl Rows for View<'_> {
    fn item(&mut self, sku: &str) -> Fetch<Item> {
        fetch!(self, self.keys.item(self.tenant, sku), Item, item => *item)
    }

    fn put_item(&mut self, sku: &str, item: Item) {
        self.batch.put(self.keys.item(self.tenant, sku), Some(Row::Item(item)));
    }

    fn order(&mut self, id: OrderId) -> Fetch<Arc<Order>> {
        fetch!(self, self.keys.order(self.tenant, id), Order, order => order.clone())
    }

    fn put_order(&mut self, order: Arc<Order>) {
        self.batch.put(self.keys.order(self.tenant, order.id), Some(Row::Order(order)));
    }

    fn hold(&mut self, sku: &str, order: OrderId, line: u16) -> Fetch<Arc<Hold>> {
        fetch!(self, self.keys.hold(self.tenant, sku, order, line), Hold, hold => hold.clone())
    }

    fn put_hold(&mut self, sku: &str, order: OrderId, line: u16, hold: Option<Hold>) {
        let key = self.keys.hold(self.tenant, sku, order, line);
        self.batch.put(key, hold.map(|hold| Row::Hold(Arc::new(hold))));
    }

    fn backorder(&mut self, sku: &str, number: u64) -> Fetch<Backorder> {
        fetch!(self, self.keys.backorder(self.tenant, sku, number), Backorder, place => *place)
    }

    fn put_backorder(&mut self, sku: &str, number: u64, place: Option<Backorder>) {
        self.batch.put(self.keys.backorder(self.tenant, sku, number), place.map(Row::Backorder));
    }

    fn idempotency(&mut self, slot: u16, key: u128) -> Fetch<Idempotency> {
        fetch!(self, self.keys.idempotency(self.tenant, slot, key), Idempotency, known => *known)
    }

    fn put_idempotency(&mut self, slot: u16, key: u128, value: Idempotency) {
        self.batch.put(self.keys.idempotency(self.tenant, slot, key), Some(Row::Idempotency(value)));
    }

    fn reference(&mut self, slot: u16, reference: u128) -> Fetch<Referenced> {
        fetch!(self, self.keys.reference(self.tenant, slot, reference), Reference, known => *known)
    }

    fn put_reference(&mut self, slot: u16, reference: u128, value: Referenced) {
        self.batch.put(self.keys.reference(self.tenant, slot, reference), Some(Row::Reference(value)));
    }

    fn set_timer(&mut self, timer: &Timer) {
        self.batch.put(self.keys.timer(self.tenant, timer), Some(Row::Timer(timer.clone())));
    }

    fn clear_timer(&mut self, timer: &Timer) {
        self.batch.put(self.keys.timer(self.tenant, timer), None);
    }

    fn send(&mut self, slot: u16, message: Message) {
        let claim = matches!(message, Message::Claim(_));
        let key = self.keys.outbox(self.tenant, slot, message.order(), message.line(), claim);
        self.batch.put(key.clone(), Some(Row::Outbox(message.clone())));
        self.batch.send(key, Entry { tenant: self.tenant.clone(), from: slot, message });
    }

    fn answered(&mut self, slot: u16, order: OrderId, line: u16) {
        self.batch.put(self.keys.outbox(self.tenant, slot, order, line, true), None);
    }

    fn noted(&mut self, slot: u16, order: OrderId, line: u16, revision: u32) {
        let key = self.keys.outbox(self.tenant, slot, order, line, false);
        let message = match self.batch.get(&key) {
            Some(Some(Row::Outbox(message))) => Some(message),
            Some(_) => None,
            None => self.outstanding.get(&key),
        };
        if matches!(message, Some(Message::Report(report)) if report.revision <= revision) {
            self.batch.put(key, None);
        }
    }

    fn emit(&mut self, event: Event) {
        let key = match &event {
            Event::Order { id, .. } => self.keys.order(self.tenant, *id),
            Event::Item { sku, .. } => self.keys.item(self.tenant, sku),
        };
        self.batch.emit(key, &event);
    }
}

/// The keys that a command is sure to read, so that a batch can fetch them together.
pub(crate) fn hints(keys: Keys, range: SlotRange, command: &Command, wanted: &mut Vec<RowKey>) {
    let tenant = &command.tenant;
    let slot = match &command.action {
        Action::Create(new) => {
            if let Some((_, identity)) = &new.reference {
                wanted.push(keys.reference(tenant, new.partition.slot, *identity));
            }
            let here = |sku: &str| range.contains(Partition::of_item(tenant, sku).slot);
            wanted.extend(new.lines.iter().filter(|line| here(&line.sku)).map(|line| keys.item(tenant, &line.sku)));
            new.partition.slot
        }
        Action::Step { id, .. } => {
            wanted.push(keys.order(tenant, *id));
            id.slot()
        }
        Action::Credit(credit) => {
            wanted.push(keys.reference(tenant, credit.partition.slot, credit.reference));
            wanted.extend(credit.candidates.iter().map(|id| keys.order(tenant, *id)));
            credit.partition.slot
        }
        Action::PutItem { sku, .. } | Action::AdjustItem { sku, .. } => {
            wanted.push(keys.item(tenant, sku));
            Partition::of_item(tenant, sku).slot
        }
        Action::Claim(claim) => {
            wanted.push(keys.item(tenant, &claim.sku));
            wanted.push(keys.hold(tenant, &claim.sku, claim.order, claim.line));
            return;
        }
        Action::Report(report) => {
            wanted.push(keys.order(tenant, report.order));
            return;
        }
        Action::Noted { .. } | Action::Timer(_) => return,
    };
    if let Some(key) = command.idempotency {
        wanted.push(keys.idempotency(tenant, slot, key.key));
    }
}

/// The keys that a step on `order` may read besides the order.
pub(crate) fn hints_of_order(keys: Keys, range: SlotRange, tenant: &str, order: &Order, wanted: &mut Vec<RowKey>) {
    for (index, line) in order.lines.iter().enumerate() {
        if range.contains(Partition::of_item(tenant, &line.sku).slot) {
            wanted.push(keys.item(tenant, &line.sku));
            if line.operation > 0 {
                wanted.push(keys.hold(tenant, &line.sku, order.id, index as u16));
            }
        }
    }
}
