//! Rows as of the last flush, read from the store by any member without asking who owns them.
//!
//! A row of a shard contains every record up to the shard's mark. What it may lack began with the first
//! record behind the mark that changes anything: the time since then is how old it may be. Where there is
//! none, it lacks nothing. Says nothing of when the row itself changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_journal::{Record, decode};
use ordermill_order::{Item, Order, OrderId, Partition};
use ordermill_shard::Row;
use ordermill_station::limits;
use ordermill_store::keys::RowKey;
use ordermill_store::{Error as StoreError, Known, ShardId};
use parking_lot::Mutex;

use crate::router::decoded;
use crate::{Error, Router};

/// Something as it was a while ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale<T> {
    /// What it was.
    pub value: T,
    /// Everything that was acknowledged before so long ago is contained, by the clock of the shard's owner.
    pub age: Duration,
}

/// What is known of records behind the marks of shards, so that none is read twice.
#[derive(Debug, Default)]
pub(crate) struct Behind(Mutex<BTreeMap<ShardId, (Known, u64)>>);

impl Behind {
    /// What is known of a shard, and the time of its first record that changes something.
    fn of(&self, shard: ShardId) -> (Known, u64) {
        self.0.lock().get(&shard).copied().unwrap_or_default()
    }

    /// A record behind the mark has this time, and changes something or not.
    fn learn(&self, shard: ShardId, number: u64, time_ms: u64, changes: bool) {
        let mut all = self.0.lock();
        let (known, first_ms) = all.entry(shard).or_default();
        if !changes {
            known.quiet = known.quiet.max(number);
        } else if number > known.first {
            (known.first, *first_ms) = (number, time_ms);
        }
    }
}

impl Router {
    /// Reads an order as of the last flush.
    pub async fn stale_order(&self, tenant: Arc<str>, id: OrderId) -> Result<Stale<Option<Arc<Order>>>, Error> {
        if !self.inner.store.is_shared() {
            return Ok(Stale { value: self.order(tenant, id).await?, age: Duration::ZERO });
        }
        let Stale { value, age } = self.stale_row(id.slot(), &self.inner.keys.order(&tenant, id)).await?;
        match value {
            Some(Row::Order(order)) => Ok(Stale { value: Some(order), age }),
            Some(other) => unreachable!("the key of a row says what it is: {other:?}"),
            None => Ok(Stale { value: None, age }),
        }
    }

    /// Reads an item as of the last flush.
    pub async fn stale_item(&self, tenant: Arc<str>, sku: &str) -> Result<Stale<Option<Item>>, Error> {
        if !self.inner.store.is_shared() {
            return Ok(Stale { value: self.item(tenant, sku).await?, age: Duration::ZERO });
        }
        let slot = Partition::of_item(&tenant, sku).slot;
        let Stale { value, age } = self.stale_row(slot, &self.inner.keys.item(&tenant, sku)).await?;
        match value {
            Some(Row::Item(item)) => Ok(Stale { value: Some(item), age }),
            Some(other) => unreachable!("the key of a row says what it is: {other:?}"),
            None => Ok(Stale { value: None, age }),
        }
    }

    async fn stale_row(&self, slot: u16, key: &RowKey) -> Result<Stale<Option<Row>>, Error> {
        let deadline = self.inner.clock.elapsed() + limits::OWNER_WAIT;
        let mut looks = 0;
        loop {
            let view = self.inner.shards.view();
            let shard = view.of(slot).id;
            looks += 1;
            let (known, first_ms) = self.inner.behind.of(shard);
            let peek = self.inner.store.peek(shard, key, known).await;
            let peek = match peek {
                Ok(peek) => peek,
                // The shard was split, and others write its rows, or soon will.
                Err(StoreError::Sealed(_)) if self.inner.shards.news_of(view.version, deadline).await.is_some() => {
                    looks = 0;
                    continue;
                }
                Err(error) => return Err(Error::Unavailable(error.to_string())),
            };
            let since_ms = match peek.behind {
                None => (known.first > peek.checkpoint).then_some(first_ms),
                Some(record) => {
                    let (time_ms, changes) = told_by(record.bytes)?;
                    self.inner.behind.learn(shard, record.number, time_ms, changes);
                    // An owner's first record, for example, changes nothing: what counts comes after it.
                    if !changes && looks < limits::STALE_LOOKS {
                        continue;
                    }
                    Some(time_ms)
                }
            };
            let age_ms = since_ms.map_or(0, |since_ms| peek.at_ms.saturating_sub(since_ms));
            let value = peek.row.map(|value| decoded(key, &value)).transpose()?;
            return Ok(Stale { value, age: Duration::from_millis(age_ms) });
        }
    }
}

/// The time of a record, and whether it changes any row.
fn told_by(bytes: Bytes) -> Result<(u64, bool), Error> {
    let record: Record = decode("a record", bytes).map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok((record.time_ms, !record.changes.is_empty()))
}
