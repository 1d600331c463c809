//! The router: finds the shard, asks it, waits.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::{Mail, Peers};
use ordermill_members::range_of;
use ordermill_order::{
    Action, Command, IdempotencyKey, Item, NewOrder, Order, OrderId, Outcome, Partition, Refusal, preview,
};
use ordermill_shard::{Handle, Keys, Reply, Row, Service, Unflushed, decode_row};
use ordermill_station::measure::Station;
use ordermill_station::{clock, limits};
use ordermill_store::keys::RowKey;
use ordermill_store::{ShardId, Store, keys};
use quick_cache::sync::Cache;
use tokio::sync::{oneshot, watch};

use crate::Error;

/// What a router and its shards need to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster: the first part of every key.
    pub cluster: u32,
    /// How many shards; must be what the store was made with.
    pub shards: u32,
    /// Bytes of clean rows kept in memory by all shards.
    pub cache_bytes: u64,
    /// Bytes of changed rows of all shards at which a flush begins.
    pub flush_bytes: usize,
    /// Longest time a changed row waits for a flush.
    pub flush_interval: Duration,
    /// How long journal records stay after the checkpoint.
    pub journal_retention: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency_retention: Duration,
}

/// Whether requests can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// All shards are read back and serve.
    Serving = 0,
    /// Some shard is still reading its journal.
    Recovering = 1,
    /// The process is about to stop.
    Draining = 2,
    /// Some shard has stopped: its store is in an unknown state.
    Stopped = 3,
}

/// The way into the shards; cheap to clone.
#[derive(Clone, Debug)]
pub struct Router {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) keys: Keys,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: clock::Shared,
    map: Arc<ShardMap>,
    status: Arc<AtomicU8>,
    ready: watch::Receiver<Option<Result<(), Error>>>,
    /// Items that are known to exist; items are never deleted.
    known: Cache<RowKey, ()>,
    station: Station,
}

/// Items whose existence is remembered.
const KNOWN_ITEMS: usize = 200_000;

/// The shards by slot, all of this process. Set once they all exist: they speak to each other
/// through it.
#[derive(Debug)]
struct ShardMap {
    keys: Keys,
    handles: OnceLock<Vec<Handle>>,
}

impl ShardMap {
    fn handles(&self) -> &[Handle] {
        self.handles.get().map_or(&[], Vec::as_slice)
    }

    fn of(&self, slot: u16) -> &Handle {
        let handles = self.handles();
        &handles[usize::from(slot) * handles.len() / limits::SLOTS as usize]
    }
}

impl Peers for ShardMap {
    fn deliver(&self, mail: Mail) {
        self.of(mail.slot).post(mail);
    }

    fn has_heard<'a>(
        &'a self,
        tenant: &'a str,
        order: OrderId,
        line: u16,
        operation: u32,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let key = self.keys.order(tenant, order);
            match self.of(order.slot()).get(key.clone()).await {
                Ok(Some(value)) => match decoded(&key, &value) {
                    Ok(Row::Order(order)) => order
                        .lines
                        .get(usize::from(line))
                        .is_some_and(|line| line.in_flight.is_none() && line.operation >= operation),
                    _ => false,
                },
                _ => false,
            }
        })
    }
}

/// Decodes a stored row.
pub(crate) fn decoded(key: &[u8], value: &Bytes) -> Result<Row, Error> {
    let unreadable = |why: String| Error::Unavailable(format!("a stored row cannot be read: {why}"));
    let parts = keys::decode(key).ok_or_else(|| unreadable("its key is not one".into()))?;
    decode_row(&parts, value).map_err(|error| unreadable(error.to_string()))
}

impl From<ordermill_shard::Error> for Error {
    fn from(error: ordermill_shard::Error) -> Self {
        match error {
            ordermill_shard::Error::Refused(refusal) => Self::Refused(refusal),
            ordermill_shard::Error::Busy => Self::Busy,
            ordermill_shard::Error::Unavailable(text) => Self::Unavailable(text),
            ordermill_shard::Error::Full(text) => Self::Full(text),
        }
    }
}

impl Router {
    /// Opens all shards; returns at once, see [`Router::ready`]. Panics outside a tokio runtime, or
    /// with no shards or more than slots.
    pub fn open(config: Config, store: Arc<dyn Store>, clock: clock::Shared) -> Self {
        let shards = config.shards;
        assert!((1..=limits::SLOTS).contains(&shards), "there are 1 to {} shards", limits::SLOTS);
        let keys = Keys { cluster: config.cluster };
        let map = Arc::new(ShardMap { keys, handles: OnceLock::new() });
        let incarnation = clock.now_ms();
        let unflushed = Arc::new(Unflushed::new(config.flush_bytes, shards));
        let shard = |index: u32| {
            let config = ordermill_shard::Config {
                cluster: config.cluster,
                id: ShardId(index),
                range: range_of(index, shards),
                incarnation,
                cache_bytes: config.cache_bytes / u64::from(shards),
                unflushed: unflushed.clone(),
                flush_interval: config.flush_interval,
                journal_retention: config.journal_retention,
                idempotency_retention: config.idempotency_retention,
            };
            Service::new(config, store.clone(), clock.clone(), map.clone())
        };
        let (handles, services): (Vec<_>, Vec<_>) = (0..shards).map(shard).unzip();
        map.handles.set(handles).expect("the map was made here");
        let status = Arc::new(AtomicU8::new(Status::Recovering as u8));
        let ready = start(services, status.clone());
        let inner = Inner {
            keys,
            store,
            clock,
            map,
            status,
            ready,
            known: Cache::new(KNOWN_ITEMS),
            station: Station::new("routing"),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Waits until every shard serves, or says why one does not.
    pub async fn ready(&self) -> Result<(), Error> {
        let mut ready = self.inner.ready.clone();
        let ready = ready.wait_for(Option::is_some).await;
        let stopped = || Err(Error::Unavailable("the shards have stopped".into()));
        ready.map_or_else(|_| stopped(), |result| result.clone().unwrap_or_else(stopped))
    }

    /// Whether requests can be served.
    pub fn status(&self) -> Status {
        match self.inner.status.load(Ordering::Relaxed) {
            0 => Status::Serving,
            1 => Status::Recovering,
            2 => Status::Draining,
            _ => Status::Stopped,
        }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.handles().len()
    }

    /// How long commands have waited lately before a shard took them: the longest of all shards.
    pub fn queue_delay(&self) -> Duration {
        self.handles().iter().map(Handle::queue_delay).max().unwrap_or_default()
    }

    pub(crate) fn handles(&self) -> &[Handle] {
        self.inner.map.handles()
    }

    pub(crate) fn shard(&self, slot: u16) -> &Handle {
        self.inner.map.of(slot)
    }

    /// Places an order; waits up to `wait` for its decision and answers with it pending after that.
    pub async fn create(
        &self,
        tenant: Arc<str>,
        key: Option<IdempotencyKey>,
        new: NewOrder,
        wait: Duration,
    ) -> Result<Outcome, Error> {
        let began = self.inner.clock.elapsed();
        let result = self.checked_create(tenant, key, new, wait).await;
        self.measure(began, result.as_ref().err());
        result
    }

    async fn checked_create(
        &self,
        tenant: Arc<str>,
        key: Option<IdempotencyKey>,
        new: NewOrder,
        wait: Duration,
    ) -> Result<Outcome, Error> {
        self.check_items(&tenant, &new).await?;
        let shard = self.shard(new.partition.slot);
        let command = Command { tenant, idempotency: key, action: Action::Create(Box::new(new)) };
        settle(shard.call(command).await, wait).await
    }

    /// What placing an order would bring; changes nothing. The order has id 0.
    pub async fn preview(&self, tenant: Arc<str>, new: NewOrder) -> Result<Order, Error> {
        let mut items = Vec::with_capacity(new.lines.len());
        for line in &new.lines {
            if let Some(item) = self.item(tenant.clone(), &line.sku).await? {
                items.push((line.sku.clone(), item));
            }
        }
        Ok(preview(&new, items, self.inner.clock.now_ms())?)
    }

    /// Takes a step on an order, or sets or adjusts an item.
    pub async fn apply(&self, command: Command) -> Result<Outcome, Error> {
        let began = self.inner.clock.elapsed();
        let slot = match &command.action {
            Action::Create(new) => new.partition.slot,
            Action::Credit(credit) => credit.partition.slot,
            Action::Step { id, .. } => id.slot(),
            Action::PutItem { sku, .. } | Action::AdjustItem { sku, .. } => {
                Partition::of_item(&command.tenant, sku).slot
            }
            Action::Claim(_) | Action::Report(_) | Action::Noted { .. } | Action::Timer(_) => {
                unreachable!("messages between shards do not come through here")
            }
        };
        let result = settle(self.shard(slot).call(command).await, limits::SETTLE_WAIT).await;
        self.measure(began, result.as_ref().err());
        result
    }

    /// Applies many `Create` and `Credit` commands in their order, waits until every order is
    /// decided, and answers in the same order. Waits for room instead of answering `Busy`.
    pub async fn import(&self, commands: Vec<Command>) -> Vec<Result<Outcome, Error>> {
        let began = self.inner.clock.elapsed();
        let mut results: Vec<Option<Result<Outcome, Error>>> = (0..commands.len()).map(|_| None).collect();
        let mut per_shard: Vec<(Vec<usize>, Vec<Command>)> =
            self.handles().iter().map(|_| Default::default()).collect();
        for (index, command) in commands.into_iter().enumerate() {
            let slot = match &command.action {
                Action::Create(new) => match self.check_items(&command.tenant, new).await {
                    Ok(()) => new.partition.slot,
                    Err(error) => {
                        results[index] = Some(Err(error));
                        continue;
                    }
                },
                Action::Credit(credit) => credit.partition.slot,
                other => unreachable!("an import cannot contain {other:?}"),
            };
            let (indexes, commands) = &mut per_shard[self.shard(slot).id().0 as usize];
            indexes.push(index);
            commands.push(command);
        }
        let mut pending = Vec::new();
        for (shard, (indexes, commands)) in self.handles().iter().zip(per_shard) {
            if !commands.is_empty() {
                pending.push((indexes, shard.submit_many(commands).await));
            }
        }
        let gone = || Error::Unavailable("the shard has stopped".into());
        for (indexes, replies) in pending {
            let replies = match replies {
                Ok(replies) => replies.await.map_err(|_| gone()),
                Err(error) => Err(error.into()),
            };
            match replies {
                Ok(replies) => {
                    for (index, reply) in indexes.into_iter().zip(replies) {
                        results[index] = Some(settle(reply, limits::SETTLE_WAIT).await);
                    }
                }
                Err(error) => indexes.into_iter().for_each(|index| results[index] = Some(Err(error.clone()))),
            }
        }
        self.measure(began, None);
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(gone()))).collect()
    }

    /// Reads an order.
    pub async fn order(&self, tenant: Arc<str>, id: OrderId) -> Result<Option<Arc<Order>>, Error> {
        let key = self.inner.keys.order(&tenant, id);
        match self.shard(id.slot()).get(key.clone()).await? {
            Some(value) => match decoded(&key, &value)? {
                Row::Order(order) => Ok(Some(order)),
                other => unreachable!("the key of a row says what it is: {other:?}"),
            },
            None => Ok(None),
        }
    }

    /// Reads an item.
    pub async fn item(&self, tenant: Arc<str>, sku: &str) -> Result<Option<Item>, Error> {
        let key = self.inner.keys.item(&tenant, sku);
        match self.shard(Partition::of_item(&tenant, sku).slot).get(key.clone()).await? {
            Some(value) => match decoded(&key, &value)? {
                Row::Item(item) => Ok(Some(item)),
                other => unreachable!("the key of a row says what it is: {other:?}"),
            },
            None => Ok(None),
        }
    }

    /// Items that live in other shards than the order must be known to exist before the order is
    /// placed: an unknown SKU is an error of the request, not a decision about stock.
    async fn check_items(&self, tenant: &Arc<str>, new: &NewOrder) -> Result<(), Error> {
        let home = self.shard(new.partition.slot).id();
        for (index, line) in new.lines.iter().enumerate() {
            let partition = Partition::of_item(tenant, &line.sku);
            if self.shard(partition.slot).id() == home {
                continue;
            }
            let key = self.inner.keys.item(tenant, &line.sku);
            if self.inner.known.get(&key).is_some() {
                continue;
            }
            if self.item(tenant.clone(), &line.sku).await?.is_none() {
                return Err(Refusal::UnknownSku { line: Some(index as u16) }.into());
            }
            self.inner.known.insert(key, ());
        }
        Ok(())
    }

    fn measure(&self, began: Duration, error: Option<&Error>) {
        let station = &self.inner.station;
        station.called(1);
        station.took(self.inner.clock.elapsed().saturating_sub(began));
        match error {
            None => {}
            Some(Error::Refused(_)) => station.failed("refused"),
            Some(Error::Busy) => station.failed("busy"),
            Some(_) => station.failed("unavailable"),
        }
    }

    /// Takes no more commands, finishes what has queued, flushes, closes the store.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.status.store(Status::Draining as u8, Ordering::Relaxed);
        let closing = futures::future::join_all(self.handles().iter().map(Handle::close));
        let closed = tokio::time::timeout(limits::DRAIN, closing).await;
        let late =
            |_| Error::Unavailable("the shards did not stop in time; the journal has all that was answered".into());
        let closed = closed.map_err(late)?.into_iter().collect::<Result<Vec<()>, _>>();
        self.inner.store.close().await.map_err(|error| Error::Unavailable(error.to_string()))?;
        closed?;
        Ok(())
    }
}

/// Runs the shards; tells when all of them serve.
fn start(services: Vec<Service>, status: Arc<AtomicU8>) -> watch::Receiver<Option<Result<(), Error>>> {
    let (ready, all_ready) = watch::channel(None);
    let mut recovered = Vec::with_capacity(services.len());
    for service in services {
        let (one_ready, one) = oneshot::channel();
        recovered.push(one);
        let status = status.clone();
        tokio::spawn(async move {
            if let Err(error) = service.run(one_ready).await {
                tracing::error!(%error, "a shard has stopped");
                status.store(Status::Stopped as u8, Ordering::Relaxed);
            }
        });
    }
    tokio::spawn(async move {
        for one in recovered {
            let result =
                one.await.unwrap_or_else(|_| Err(ordermill_store::Error::Unknown("a shard has failed".into())));
            if let Err(error) = result {
                ready.send_replace(Some(Err(Error::Unavailable(error.to_string()))));
                return;
            }
        }
        let to = (Status::Recovering as u8, Status::Serving as u8);
        // A router that was closed meanwhile stays so.
        let _ = status.compare_exchange(to.0, to.1, Ordering::Relaxed, Ordering::Relaxed);
        ready.send_replace(Some(Ok(())));
    });
    all_ready
}

/// Waits up to `wait` for the decision about an order.
async fn settle(reply: Reply, wait: Duration) -> Result<Outcome, Error> {
    let outcome = reply.outcome?;
    let (Some(settled), Outcome::Order { replayed, .. }) = (reply.settled, &outcome) else { return Ok(outcome) };
    let replayed = *replayed;
    match tokio::time::timeout(wait, settled).await {
        Ok(Ok(order)) => Ok(Outcome::Order { order, replayed }),
        _ => Ok(outcome),
    }
}
