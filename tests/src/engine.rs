//! The engine in this process, without HTTP: a router over an embedded store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ordermill_embedded::{Config, Embedded};
use ordermill_order::id::{Class, Partition, fingerprint, identity};
use ordermill_order::payment::Terms;
use ordermill_order::{
    Action, Command, IdempotencyKey, Item, Line, NewLine, NewOrder, Order, OrderId, Outcome, Reservation, Step,
};
use ordermill_routing::{Error, OrderFilter, Router};
use ordermill_station::clock;
use ordermill_store::Store;

/// An engine and where it keeps its data.
#[derive(Debug)]
pub struct Engine {
    /// The way in.
    pub router: Router,
    /// The store under it.
    pub store: Arc<dyn Store>,
    /// The data directory.
    pub data_dir: PathBuf,
}

/// How long tests wait for anything.
pub const DEADLINE: Duration = Duration::from_mins(1);

impl Engine {
    /// Opens the engine in `data_dir` with settings small enough for flushes to happen in a test.
    pub async fn open(data_dir: &Path, shards: u32) -> Self {
        Self::over(open_store(data_dir, shards), data_dir, shards).await
    }

    /// The same over a store that is open already.
    pub async fn over(store: Arc<dyn Store>, data_dir: &Path, shards: u32) -> Self {
        let config = ordermill_routing::Config {
            cluster: 1,
            shards,
            cache_bytes: 1 << 20,
            flush_bytes: 256 << 10,
            flush_interval: Duration::from_millis(200),
            journal_retention: Duration::from_hours(1),
            idempotency_retention: Duration::from_hours(1),
        };
        let router = Router::open(config, store.clone(), clock::System::shared());
        tokio::time::timeout(DEADLINE, router.ready()).await.expect("recovery ends").expect("recovery succeeds");
        Self { router, store, data_dir: data_dir.to_owned() }
    }

    /// Opens a copy of the data directory as it is at this instant: what a crash would leave.
    pub async fn crashed_copy(&self, to: &Path, shards: u32) -> Self {
        copy(&self.data_dir, to);
        Self::open(to, shards).await
    }

    /// Sets an item.
    pub async fn put_item(&self, sku: &str, on_hand: u64, backorder: bool) {
        let action = Action::PutItem { sku: sku.into(), on_hand, backorder, if_version: None };
        self.apply(action).await.expect("a new item is never refused");
    }

    /// Applies a step or a change of an item.
    pub async fn apply(&self, action: Action) -> Result<Outcome, Error> {
        self.router.apply(Command { tenant: "".into(), idempotency: None, action }).await
    }

    /// Takes a step on an order.
    pub async fn step(&self, id: OrderId, step: Step) -> Result<Outcome, Error> {
        self.apply(Action::Step { id, if_version: None, step }).await
    }

    /// Places an order and waits for its decision.
    pub async fn place(&self, new: NewOrder, key: Option<IdempotencyKey>) -> Result<(Arc<Order>, bool), Error> {
        match self.router.create("".into(), key, new, DEADLINE).await? {
            Outcome::Order { order, replayed } => Ok((order, replayed)),
            other => panic!("placing an order ended as {other:?}"),
        }
    }

    /// All orders, page by page.
    pub async fn orders(&self) -> Vec<Arc<Order>> {
        let (mut all, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = self.router.orders("".into(), &OrderFilter::default(), 37, token.as_deref()).await;
            let page = page.expect("a list is answered");
            all.extend(page.orders);
            match page.next {
                Some(next) => token = Some(next),
                None => return all,
            }
        }
    }

    /// All items, page by page.
    pub async fn items(&self) -> BTreeMap<Box<str>, Item> {
        let (mut all, mut token) = (BTreeMap::new(), None::<String>);
        loop {
            let page = self.router.items("".into(), 7, token.as_deref()).await.expect("a list is answered");
            all.extend(page.items);
            match page.next {
                Some(next) => token = Some(next),
                None => return all,
            }
        }
    }

    /// Waits until no order is pending and no message is under way, then checks that both sides
    /// tell the same.
    pub async fn audit(&self) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let (orders, items) = (self.orders().await, self.items().await);
            let quiet = |order: &Arc<Order>| {
                order.reservation != Reservation::Undecided && order.lines.iter().all(|line| line.in_flight.is_none())
            };
            let differences =
                if orders.iter().all(quiet) { differences(&orders, &items) } else { vec!["pending".into()] };
            if differences.is_empty() {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "the sides differ: {differences:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Finishes, flushes and lets go of the directory.
    pub async fn close(self) {
        self.router.close().await.expect("the engine closes");
    }
}

/// Opens the store in `data_dir` with segments small enough for several of them in a test.
pub fn open_store(data_dir: &Path, shards: u32) -> Arc<dyn Store> {
    let config = Config { free_bytes_min: 1 << 20, segment_bytes: 4 << 20, ..Config::new(data_dir, 1, shards) };
    Arc::new(Embedded::open(config, clock::System::shared()).expect("the store opens"))
}

fn differences(orders: &[Arc<Order>], items: &BTreeMap<Box<str>, Item>) -> Vec<String> {
    let mut sums: BTreeMap<&str, [u64; 4]> = BTreeMap::new();
    for order in orders {
        order.check();
        for Line { sku, held, backordered, fulfilled, restocked, .. } in &order.lines {
            let sum = sums.entry(sku).or_default();
            sum.iter_mut().zip([held, backordered, fulfilled, restocked]).for_each(|(sum, units)| *sum += units);
        }
    }
    let told = |item: &Item| [item.held, item.backordered, item.fulfilled, item.restocked];
    let differs = items.iter().filter_map(|(sku, item)| {
        item.check();
        let orders = sums.get(&**sku).copied().unwrap_or_default();
        (told(item) != orders).then(|| format!("{sku}: item {:?}, orders {orders:?}", told(item)))
    });
    differs.collect()
}

/// An order of `customer` at 100 minor units per unit.
pub fn new_order(customer: &str, lines: &[(&str, u64)]) -> NewOrder {
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

/// An idempotency key of `customer`, for a body.
pub fn key(customer: &str, key: &str, body: &str) -> IdempotencyKey {
    IdempotencyKey { key: identity("", Class::Key, customer, key), fingerprint: fingerprint(&[body.as_bytes()]) }
}

/// Copies a directory tree.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory can be made");
    for entry in std::fs::read_dir(from).expect("a directory can be read") {
        let entry = entry.expect("a directory can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file has a type").is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            // A table that was merged away meanwhile is not needed.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}
