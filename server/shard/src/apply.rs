//! One batch: what has queued, the rows that it needs, every command applied in turn.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use ordermill_order::{Action, Command, Context, Halt, OrderId, Outcome, Partition, Refusal, apply};
use ordermill_station::limits;
use ordermill_store::keys::RowKey;
use ordermill_store::{Error as StoreError, keys};

use crate::batch::Batch;
use crate::handle::merge;
use crate::keys::order_of;
use crate::rows::{View, decoded, hints, hints_of_order};
use crate::state::Found;
use crate::task::{Appending, Service, Waiting};

impl Service {
    /// Takes what has queued: messages first, then steps, then creates, up to a batch.
    fn gather(&mut self) {
        let mut bytes: usize = self.backlog.iter().take(limits::BATCH_COMMANDS).map(|w| weight(&w.command)).sum();
        loop {
            let before = self.backlog.len();
            if before >= limits::BATCH_COMMANDS || bytes >= limits::BATCH_BYTES {
                return;
            }
            let room = self.has_room();
            let queued = self.lanes.messages.try_recv().or_else(|_| self.lanes.steps.try_recv());
            let queued = queued.or_else(|error| if room { self.lanes.creates.try_recv() } else { Err(error) });
            match queued {
                Ok(queued) => self.enqueue(queued),
                Err(_) => return,
            }
            bytes += self.backlog.iter().skip(before).map(|waiting| weight(&waiting.command)).sum::<usize>();
        }
    }

    /// Applies what has queued and begins to append its record; answers at once what changes
    /// nothing.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<Appending>, StoreError> {
        loop {
            self.gather();
            if self.backlog.is_empty() && self.forgotten.is_empty() {
                return Ok(None);
            }
            let began = self.clock.elapsed();
            let mut batch = Batch::default();
            self.prefetch(&mut batch).await?;
            self.forget(&mut batch).await?;
            let time_ms = self.last_ms.max(self.clock.now_ms());
            let mut answers = Vec::with_capacity(self.backlog.len().min(limits::BATCH_COMMANDS));
            let mut placed = false;
            while batch.bytes() < limits::BATCH_BYTES && answers.len() < limits::BATCH_COMMANDS {
                // A credit looks at the customer's committed orders: none may be in this batch.
                let credit = |waiting: &Waiting| matches!(waiting.command.action, Action::Credit(_));
                if placed && self.backlog.front().is_some_and(credit) {
                    break;
                }
                let Some(mut waiting) = self.backlog.pop_front() else { break };
                placed |= matches!(waiting.command.action, Action::Create(_));
                let result = self.apply(&mut batch, &mut waiting.command, time_ms).await?;
                answers.push((waiting.sink, result));
            }
            let took = self.clock.elapsed().saturating_sub(began);
            self.order_station.called(answers.len() as u64);
            self.order_station.took(took);
            if batch.is_clean() {
                self.answer(answers);
                continue;
            }
            self.last_ms = time_ms;
            let closed = batch.close(time_ms, self.sequence, self.config.incarnation);
            let (store, id, number, bytes) =
                (self.store.clone(), self.config.id, self.number + 1, closed.bytes.clone());
            let done = Box::pin(async move { store.append(id, number, bytes).await });
            return Ok(Some(Appending { closed, answers, began, done }));
        }
    }

    async fn apply(
        &mut self,
        batch: &mut Batch,
        command: &mut Command,
        time_ms: u64,
    ) -> Result<Result<Outcome, Refusal>, StoreError> {
        let tenant = command.tenant.clone();
        if let Action::Credit(credit) = &mut command.action
            && credit.customer.is_some()
        {
            credit.candidates = self.orders_of(&tenant, credit.partition).await?;
        }
        let mut wanted = Vec::new();
        loop {
            batch.begin();
            let mut view = View {
                keys: self.keys,
                tenant: &tenant,
                batch,
                committed: &mut self.committed,
                outstanding: &self.outstanding,
                wanted: &mut wanted,
            };
            let mut context = Context {
                now_ms: time_ms,
                range: self.config.range,
                sequence: &mut self.sequence,
                idempotency_ms: self.config.idempotency_retention.as_millis() as u64,
                fill_steps: limits::FILL_STEPS,
            };
            match apply(&mut view, &mut context, command) {
                Ok(outcome) => return Ok(Ok(outcome)),
                Err(Halt::Refused(refusal)) => {
                    batch.roll_back();
                    return Ok(Err(refusal));
                }
                Err(Halt::Missing) => {
                    batch.roll_back();
                    self.hint_order(batch, command, &mut wanted);
                    self.fetch(batch, &mut wanted).await?;
                }
            }
        }
    }

    /// Once the order of a step is known, everything that the step may read is.
    fn hint_order(&self, batch: &Batch, command: &Command, wanted: &mut Vec<RowKey>) {
        let id = match &command.action {
            Action::Step { id, .. } => *id,
            Action::Report(report) => report.order,
            _ => return,
        };
        let key = self.keys.order(&command.tenant, id);
        if let Some(Some(crate::Row::Order(order))) = batch.get(&key) {
            hints_of_order(self.keys, self.config.range, &command.tenant, order, wanted);
        }
    }

    async fn prefetch(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let mut wanted = Vec::with_capacity(self.backlog.len() * 4);
        for waiting in self.backlog.iter().take(limits::BATCH_COMMANDS) {
            hints(self.keys, self.config.range, &waiting.command, &mut wanted);
        }
        self.fetch(batch, &mut wanted).await
    }

    /// Puts rows into the batch: from memory, and what is not there from the store in one call.
    async fn fetch(&mut self, batch: &mut Batch, wanted: &mut Vec<RowKey>) -> Result<(), StoreError> {
        let mut elsewhere = Vec::new();
        for key in wanted.drain(..) {
            if batch.get(&key).is_some() {
                continue;
            }
            match self.committed.get(&key) {
                Found::Row(value) => {
                    let row = decoded(&key, &value);
                    batch.load(key, Some(row));
                }
                Found::Deleted => batch.load(key, None),
                Found::Elsewhere => elsewhere.push(key),
            }
        }
        if elsewhere.is_empty() {
            return Ok(());
        }
        elsewhere.sort_unstable();
        elsewhere.dedup();
        let values = self.get_stored(&elsewhere.iter().map(RowKey::to_bytes).collect::<Vec<_>>()).await?;
        for (key, value) in elsewhere.into_iter().zip(values) {
            let row = value.as_ref().map(|value| decoded(&key, value));
            if let Some(value) = value {
                self.committed.keep(key.clone(), value);
            }
            batch.load(key, row);
        }
        Ok(())
    }

    /// Reads rows, again and again while the store is only unavailable.
    async fn get_stored(&self, wanted: &[Bytes]) -> Result<Vec<Option<Bytes>>, StoreError> {
        loop {
            match self.store.get(wanted).await {
                Err(StoreError::Unavailable(why)) => {
                    tracing::warn!(shard = %self.config.id, why, "rows cannot be read; trying again");
                    tokio::time::sleep(limits::TICK).await;
                }
                result => return result,
            }
        }
    }

    /// A customer's orders, newest first.
    async fn orders_of(&self, tenant: &str, partition: Partition) -> Result<Vec<OrderId>, StoreError> {
        let prefix = self.keys.orders_of(tenant, partition);
        let to = keys::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let mut from = Bound::Included(prefix);
        let mut orders = VecDeque::new();
        loop {
            let (changed, more) = self.committed.changed(from.clone(), to.clone(), limits::PAGE_MAX);
            let stored = self.store.scan(from, to.clone(), limits::PAGE_MAX).await?;
            let page = merge(changed, more, stored, limits::PAGE_MAX);
            for (key, _) in page.rows {
                orders.extend(keys::decode(&key).as_ref().and_then(order_of));
                if orders.len() > limits::CREDIT_ORDERS {
                    orders.pop_front();
                }
            }
            match page.next {
                Some(next) => from = Bound::Excluded(next),
                None => return Ok(orders.into_iter().rev().collect()),
            }
        }
    }

    /// Deletes rows that may be forgotten, if they are still as they were read.
    async fn forget(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.forgotten);
        let mut wanted = rows.iter().map(|(key, _)| key.clone()).collect();
        self.fetch(batch, &mut wanted).await?;
        for (key, value) in rows {
            let then = decoded(&key, &value);
            if batch.get(&key) == Some(Some(&then)) {
                batch.begin();
                batch.put(key, None);
            }
        }
        Ok(())
    }
}

/// About how many bytes a command adds to a record.
fn weight(command: &Command) -> usize {
    match &command.action {
        Action::Create(new) => 250 + new.lines.len() * 100,
        Action::Step { .. } | Action::Credit(_) => 500,
        _ => 200,
    }
}
