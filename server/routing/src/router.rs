//! The router: finds the shard, asks it, waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_journal::FORMAT;
use ordermill_members::{Formats, Incarnation, Member, Parent};
use ordermill_order::{
    Action, Command, IdempotencyKey, Item, NewOrder, Order, OrderId, Outcome, Partition, Refusal, Reservation, preview,
};
use ordermill_peer::Peers;
use ordermill_shard::{Keys, Row, Unflushed, decode_row};
use ordermill_station::measure::Station;
use ordermill_station::{clock, limits};
use ordermill_store::keys::RowKey;
use ordermill_store::{Store, keys};
use quick_cache::sync::Cache;

use crate::Error;
use crate::cluster::{Cluster, Lines};
use crate::member::{Busy, Follower, Reporter};
use crate::retention;
use crate::served::{Common, State};
use crate::shards::Shards;
use crate::stale::Behind;
use crate::timing::Timing;

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
    /// The step that a test leaves out.
    #[cfg(feature = "planted-faults")]
    pub planted: Option<ordermill_shard::Planted>,
}

/// Whether requests can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// All shards of this process are read back and serve.
    Serving,
    /// Some shard is still reading its journal.
    Recovering,
    /// The process is about to stop.
    Draining,
    /// Some shard has stopped: its store is in an unknown state.
    Stopped,
    /// The machine's clock is too far from the store's.
    ClockOff,
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
    pub(crate) shards: Arc<Shards>,
    /// What this process tells of itself.
    pub(crate) reporter: Arc<Reporter>,
    /// The members; of a process that is alone, itself.
    pub(crate) roll: ordermill_members::Handle,
    pub(crate) formats: Arc<ordermill_shard::Formats>,
    draining: AtomicBool,
    /// Items that are known to exist; items are never deleted.
    known: Cache<RowKey, ()>,
    /// Records behind the marks of shards that were looked at.
    pub(crate) behind: Behind,
    timing: Arc<Timing>,
    station: Station,
    #[cfg(feature = "planted-faults")]
    pub(crate) planted: Option<ordermill_shard::Planted>,
}

/// Items whose existence is remembered.
const KNOWN_ITEMS: usize = 200_000;

/// The slot that a command goes to.
pub(crate) fn slot_of(command: &Command) -> u16 {
    let of_item = |sku: &str| Partition::of_item(&command.tenant, sku).slot;
    match &command.action {
        Action::Create(new) => new.partition.slot,
        Action::Credit(credit) => credit.partition.slot,
        Action::Step { id, .. } => id.slot(),
        Action::PutItem { sku, .. } | Action::AdjustItem { sku, .. } => of_item(sku),
        Action::Claim(claim) => of_item(&claim.sku),
        Action::Report(report) => report.order.slot(),
        Action::Noted { slot, .. } => *slot,
        Action::Timer(timer) => timer.slot,
    }
}

/// Decodes a stored row.
pub(crate) fn decoded(key: &[u8], value: &Bytes) -> Result<Row, Error> {
    let unreadable = |why: String| Error::Unavailable(format!("a stored row cannot be read: {why}"));
    let parts = keys::decode(key).ok_or_else(|| unreadable("its key is not one".into()))?;
    decode_row(&parts, value).map_err(|error| unreadable(error.to_string()))
}

impl Router {
    /// Opens all shards of a store that this process has for itself; returns at once, see
    /// [`Router::ready`]. Panics outside a tokio runtime, or with no shards or more than slots.
    pub fn open(config: Config, store: Arc<dyn Store>, clock: clock::Shared) -> Self {
        let shards = Arc::new(Shards::new(Keys { cluster: config.cluster }, clock.clone(), None));
        let timing = Timing::of(store.clone(), clock.clone());
        let me = Incarnation(clock.now_ms());
        let formats = Formats { min: FORMAT, max: FORMAT };
        let member = Member { incarnation: me, name: String::new(), address: String::new(), formats };
        let roll = ordermill_members::Handle::alone(config.shards, member, clock.clone());
        let map = roll.current();
        let reporter = Reporter::new(Arc::new(|| 0), clock.clone());
        reporter.tell_of(&shards);
        let formats = Arc::new(ordermill_shard::Formats::new(FORMAT, map.format));
        let router = Self::new(&config, store.clone(), timing, shards.clone(), reporter, roll, formats.clone());
        let common = Arc::new(Common { store, clock, peers: shards.clone(), members: None });
        Follower::new(me, common, Template::of(&config, me.0, formats), shards).follow(&map);
        router
    }

    /// Joins the cluster whose store this is as the member `me`, which others reach through what
    /// [`Router::service`] answers. The member takes part once the service that comes with it runs.
    pub async fn join(
        config: Config,
        store: Arc<dyn Store>,
        clock: clock::Shared,
        me: Member,
        peers: Peers,
        busy: Busy,
    ) -> Result<(Self, ordermill_members::Service), ordermill_members::Error> {
        let timing = Timing::of(store.clone(), clock);
        let clock = timing.clock();
        timing.look().await.map_err(|error| ordermill_members::Error::Unavailable(error.to_string()))?;
        if let Some(fault) = timing.fault() {
            return Err(ordermill_members::Error::Refused(fault));
        }
        let reporter = Reporter::new(busy, clock.clone());
        let lines = Arc::new(Lines(peers.clone()));
        let (incarnation, newest) = (me.incarnation, me.formats.max);
        let joining = ordermill_members::Config { me, shards: config.shards, seed: incarnation.0 };
        let (members, service) =
            ordermill_members::Service::join(joining, store.clone(), lines, reporter.clone(), clock.clone()).await?;
        let cluster = Cluster { members: members.clone(), peers };
        let shards = Arc::new(Shards::new(Keys { cluster: config.cluster }, clock.clone(), Some(cluster)));
        reporter.tell_of(&shards);
        tokio::spawn(Timing::watch(Arc::downgrade(&timing), members.clone()));
        let formats = Arc::new(ordermill_shard::Formats::new(newest, members.current().format));
        let handle = members.clone();
        let router = Self::new(&config, store.clone(), timing, shards.clone(), reporter, handle, formats.clone());
        let common = Arc::new(Common { store, clock, peers: shards.clone(), members: Some(members.clone()) });
        tokio::spawn(retention::watch(Arc::downgrade(&router.inner), members.clone(), config.journal_retention));
        let mut follower = Follower::new(incarnation, common, Template::of(&config, incarnation.0, formats), shards);
        let maps = members.map();
        follower.follow(&members.current());
        tokio::spawn(follower.run(maps));
        Ok((router, service))
    }

    fn new(
        config: &Config,
        store: Arc<dyn Store>,
        timing: Arc<Timing>,
        shards: Arc<Shards>,
        reporter: Arc<Reporter>,
        roll: ordermill_members::Handle,
        formats: Arc<ordermill_shard::Formats>,
    ) -> Self {
        let inner = Inner {
            keys: Keys { cluster: config.cluster },
            store,
            clock: timing.clock(),
            shards,
            reporter,
            roll,
            formats,
            draining: AtomicBool::new(false),
            known: Cache::new(KNOWN_ITEMS),
            behind: Behind::default(),
            timing,
            station: Station::new("routing"),
            #[cfg(feature = "planted-faults")]
            planted: config.planted,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What answers other members.
    pub fn service(&self) -> Arc<dyn ordermill_peer::Service> {
        self.inner.shards.clone()
    }

    /// This process's place among the members; none when it is alone.
    pub fn members(&self) -> Option<&ordermill_members::Handle> {
        self.inner.shards.cluster().map(|cluster| &cluster.members)
    }

    /// Waits until every shard that is this process's serves, or says why one does not.
    pub async fn ready(&self) -> Result<(), Error> {
        for served in self.inner.shards.view().here() {
            let settled = |state: &State| !matches!(state, State::Starting | State::Ending);
            if let State::Failed(error) = served.wait_for(settled).await {
                return Err(Error::Unavailable(error.to_string()));
            }
        }
        Ok(())
    }

    /// Whether requests can be served. A member of a cluster answers for the shards of others too, and has its own come
    /// and go: it can as long as it serves one of them, or has none.
    pub fn status(&self) -> Status {
        let view = self.inner.shards.view();
        let states = || view.here().map(|served| served.state());
        let serves_some = self.members().is_some() && states().any(|state| matches!(state, State::Serving(_)));
        if !serves_some && states().any(|state| matches!(state, State::Failed(_))) {
            Status::Stopped
        } else if self.inner.draining.load(Ordering::Relaxed) {
            Status::Draining
        } else if self.clock_fault().is_some() {
            Status::ClockOff
        } else if !serves_some && states().any(|state| matches!(state, State::Starting)) {
            Status::Recovering
        } else {
            Status::Serving
        }
    }

    /// What is wrong with this machine's clock: then clients are refused here, and other members are
    /// served until they have taken the shards.
    pub fn clock_fault(&self) -> Option<String> {
        self.inner.timing.fault()
    }

    /// Returns when this process stood still for so long that it must not go on: what refuses its late
    /// writes is kept for twice as long.
    pub async fn stood_still(&self) {
        self.inner.timing.away().await;
    }

    /// How long commands have waited lately before a shard took them: the longest of all shards
    /// that are served here.
    pub fn queue_delay(&self) -> Duration {
        self.inner.shards.view().here().map(|served| served.queue_delay()).max().unwrap_or_default()
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
        let slot = new.partition.slot;
        let command = Command { tenant, idempotency: key, action: Action::Create(Box::new(new)) };
        self.decided(slot, command, wait).await
    }

    /// Applies a command and waits up to `wait` for the decision about an order, wherever its shard
    /// moves meanwhile.
    pub(crate) async fn decided(&self, slot: u16, command: Command, wait: Duration) -> Result<Outcome, Error> {
        let deadline = self.inner.clock.elapsed() + wait;
        let tenant = command.tenant.clone();
        match self.inner.shards.apply(slot, command, wait).await? {
            Outcome::Order { order, replayed } => self.decision(&tenant, order, replayed, deadline).await,
            other => Ok(other),
        }
    }

    /// The order once it is decided, or as it is at `deadline`.
    pub(crate) async fn decision(
        &self,
        tenant: &str,
        mut order: Arc<Order>,
        replayed: bool,
        deadline: Duration,
    ) -> Result<Outcome, Error> {
        while order.reservation == Reservation::Undecided && self.inner.clock.elapsed() < deadline {
            // Whoever was asked serves the shard no more: its new owner decides.
            tokio::time::sleep(limits::LOOK_FOR_OWNER).await;
            match self.inner.shards.order(tenant, order.id).await? {
                Some(now) => order = now,
                None => break,
            }
        }
        Ok(Outcome::Order { order, replayed })
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
        let slot = slot_of(&command);
        let item = match &command.action {
            Action::PutItem { sku, .. } | Action::AdjustItem { sku, .. } => {
                Some(self.inner.keys.item(&command.tenant, sku))
            }
            _ => None,
        };
        let result = self.decided(slot, command, limits::SETTLE_WAIT).await;
        if let Some(item) = item.filter(|_| result.is_ok()) {
            self.inner.known.insert(item, ());
        }
        self.measure(began, result.as_ref().err());
        result
    }

    /// Reads an order.
    pub async fn order(&self, tenant: Arc<str>, id: OrderId) -> Result<Option<Arc<Order>>, Error> {
        self.inner.shards.order(&tenant, id).await
    }

    /// Reads an item.
    pub async fn item(&self, tenant: Arc<str>, sku: &str) -> Result<Option<Item>, Error> {
        let key = self.inner.keys.item(&tenant, sku);
        match self.inner.shards.row(Partition::of_item(&tenant, sku).slot, &key).await? {
            Some(Row::Item(item)) => Ok(Some(item)),
            Some(other) => unreachable!("the key of a row says what it is: {other:?}"),
            None => Ok(None),
        }
    }

    /// Items that live in other shards than the order must be known to exist before the order is
    /// placed: an unknown SKU is an error of the request, not a decision about stock.
    pub(crate) async fn check_items(&self, tenant: &Arc<str>, new: &NewOrder) -> Result<(), Error> {
        let view = self.inner.shards.view();
        let home = view.index_of(new.partition.slot);
        for (index, line) in new.lines.iter().enumerate() {
            let partition = Partition::of_item(tenant, &line.sku);
            if view.index_of(partition.slot) == home {
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

    pub(crate) fn measure(&self, began: Duration, error: Option<&Error>) {
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

    /// Hands the shards over to other members where there are any; takes no more commands, finishes what
    /// has queued, flushes, closes the store.
    pub async fn close(&self) -> Result<(), Error> {
        self.inner.draining.store(true, Ordering::Relaxed);
        if let Some(members) = self.members() {
            let drained = members.drain_me(limits::DRAIN).await;
            tracing::info!(?drained, "shards handed over");
        }
        self.inner.shards.begin_to_close();
        let view = self.inner.shards.view();
        let ended = |state: &State| matches!(state, State::Away | State::Failed(_) | State::Sealed(_));
        let closing = futures::future::join_all(view.here().map(|served| served.wait_for(ended)));
        let closed = tokio::time::timeout(limits::DRAIN, closing).await;
        let late =
            |_| Error::Unavailable("the shards did not stop in time; the journal has all that was answered".into());
        let closed = closed.map_err(late)?;
        if let Some(members) = self.members() {
            members.close().await;
        }
        self.inner.store.close().await.map_err(|error| Error::Unavailable(error.to_string()))?;
        match closed.into_iter().find_map(|state| if let State::Failed(error) = state { Some(error) } else { None }) {
            Some(error) => Err(Error::Unavailable(error.to_string())),
            None => Ok(()),
        }
    }
}

/// What the shards of a process are told alike.
pub(crate) struct Template {
    config: Config,
    unflushed: Arc<Unflushed>,
    incarnation: u64,
    pub(crate) formats: Arc<ordermill_shard::Formats>,
}

impl Template {
    fn of(config: &Config, incarnation: u64, formats: Arc<ordermill_shard::Formats>) -> Self {
        let unflushed = Arc::new(Unflushed::new(config.flush_bytes, config.shards));
        Self { config: config.clone(), unflushed, incarnation, formats }
    }

    /// What `shard` is told, one of `count`.
    pub(crate) fn shard(&self, shard: &ordermill_members::Shard, count: usize) -> ordermill_shard::Config {
        let config = &self.config;
        ordermill_shard::Config {
            cluster: config.cluster,
            id: shard.id,
            range: shard.range,
            parent: shard.parent.map(|Parent { shard, number }| ordermill_shard::Parent { shard, number }),
            incarnation: self.incarnation,
            formats: self.formats.clone(),
            cache_bytes: config.cache_bytes / (count as u64).max(u64::from(config.shards)),
            unflushed: self.unflushed.clone(),
            flush_interval: config.flush_interval,
            journal_retention: config.journal_retention,
            idempotency_retention: config.idempotency_retention,
            #[cfg(feature = "planted-faults")]
            planted: config.planted,
        }
    }
}
