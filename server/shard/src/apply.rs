//! One command: applied to a batch, and the rows that it turns out to need.

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
use crate::rows::{View, decoded, hints_of_order};
use crate::state::Found;
use crate::task::Service;

impl Service {
    pub(crate) async fn apply(
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

    /// Puts rows into the batch: from memory, and what is not there from the store in one call.
    pub(crate) async fn fetch(&mut self, batch: &mut Batch, wanted: &mut Vec<RowKey>) -> Result<(), StoreError> {
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
                Found::Elsewhere => match self.ahead.take(&key) {
                    Some(value) => self.loaded(batch, key, value),
                    None => elsewhere.push(key),
                },
            }
        }
        if elsewhere.is_empty() {
            return Ok(());
        }
        elsewhere.sort_unstable();
        elsewhere.dedup();
        let values = self.get_stored(&elsewhere.iter().map(RowKey::to_bytes).collect::<Vec<_>>()).await?;
        for (key, value) in elsewhere.into_iter().zip(values) {
            self.loaded(batch, key, value);
        }
        Ok(())
    }

    /// Puts a row that came from the store into the batch and the cache.
    fn loaded(&mut self, batch: &mut Batch, key: RowKey, value: Option<Bytes>) {
        let row = value.as_ref().map(|value| decoded(&key, value));
        if let Some(value) = value {
            self.committed.keep(key.clone(), value);
        }
        batch.load(key, row);
    }

    /// Reads rows, again and again while the store is only unavailable.
    async fn get_stored(&mut self, wanted: &[Bytes]) -> Result<Vec<Option<Bytes>>, StoreError> {
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
    async fn orders_of(&mut self, tenant: &str, partition: Partition) -> Result<Vec<OrderId>, StoreError> {
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
}
