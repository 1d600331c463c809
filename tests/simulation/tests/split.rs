//! Shards that are split, step by step, by one member over the store in memory: what lived together goes on
//! apart, the feed goes on, and what was cut before the split is cut anew.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use ordermill_journal::{Record, RecordParent, decode};
use ordermill_members::{Formats, Incarnation, Member};
use ordermill_order::id::Class;
use ordermill_order::payment::Terms;
use ordermill_order::{Action, Command, Item, NewLine, NewOrder, Order, OrderId, Outcome, Partition, Step};
use ordermill_peer::{Answer, Failure, Hello, Peers, Request, Tcp};
use ordermill_routing::administration::{Map, Request as Change};
use ordermill_routing::{Config, Error, OrderFilter, Router, Subject};
use ordermill_simulation::{Client, Mvcc, Plan, Virtual};
use ordermill_station::limits;
use ordermill_store::{Error as StoreError, ShardId, Store as _};
use ordermill_transactional::{Service, Transactional};
use tokio::time::{sleep, timeout};

const CLUSTER: u32 = 7;
const RETENTION: Duration = Duration::from_mins(2);
/// Far longer than anything here takes.
const LONG: Duration = Duration::from_mins(5);
const ROOT: ShardId = ShardId(0);

struct World {
    service: Arc<Mvcc>,
    clock: Arc<Virtual>,
    client: Client,
    router: Router,
    running: tokio::task::JoinHandle<Result<(), ordermill_members::Error>>,
}

fn store(service: Arc<dyn Service>, clock: &Arc<Virtual>, incarnation: u64) -> Transactional {
    let config = ordermill_transactional::Config::new(CLUSTER, incarnation);
    Transactional::new(config, service, clock.clone())
}

impl World {
    /// One member that serves all.
    async fn start(shards: u32) -> Self {
        Self::join(Arc::new(Mvcc::new(3)), Virtual::shared(), 5, shards).await
    }

    async fn join(service: Arc<Mvcc>, clock: Arc<Virtual>, incarnation: u64, shards: u32) -> Self {
        let hello = Hello { cluster: CLUSTER, incarnation, name: "pod-0".to_owned() };
        let network = Tcp::new(None).await.unwrap();
        let peers = Peers::new(ordermill_peer::Config::new(hello, clock.clone()), Arc::new(network));
        let (name, address) = ("pod-0".to_owned(), "127.0.0.1:1".to_owned());
        let me = Member { incarnation: Incarnation(incarnation), name, address, formats: Formats { min: 1, max: 1 } };
        let config = Config {
            cluster: CLUSTER,
            shards,
            cache_bytes: 1 << 20,
            flush_bytes: 1 << 20,
            flush_interval: limits::FLUSH_INTERVAL,
            journal_retention: RETENTION,
            idempotency_retention: limits::IDEMPOTENCY_RETENTION,
            #[cfg(feature = "planted-faults")]
            planted: None,
        };
        let client = Client::new(service.clone(), Plan::calm(), incarnation);
        let store = Arc::new(store(Arc::new(client.clone()), &clock, incarnation));
        let joined = Router::join(config, store, clock.clone(), me, peers, Arc::new(|| 0)).await;
        let (router, members) = joined.unwrap();
        Self { service, clock, client, router, running: tokio::spawn(members.run()) }
    }

    fn map(&self) -> Arc<Map> {
        self.router.members().unwrap().current()
    }

    async fn split(&self, shard: ShardId, at: Option<u16>) {
        until("the split to be taken on", async || self.router.administrate(Change::Split { shard, at }).await.is_ok())
            .await;
        until("the split to be done", async || self.map().was_split(shard).is_some()).await;
    }

    async fn apply(&self, action: Action) -> Outcome {
        let command = Command { tenant: "".into(), idempotency: None, action };
        self.router.apply(command).await.unwrap()
    }

    async fn set(&self, sku: &str, on_hand: u64, backorder: bool) {
        until("the item to be set", async || {
            let action = Action::PutItem { sku: sku.into(), on_hand, backorder, if_version: None };
            self.router.apply(Command { tenant: "".into(), idempotency: None, action }).await.is_ok()
        })
        .await;
    }

    async fn item(&self, sku: &str) -> Item {
        self.router.item("".into(), sku).await.unwrap().unwrap()
    }

    /// How many units of an item are there, held, waited for and gone.
    async fn units(&self, sku: &str) -> [u64; 4] {
        let Item { on_hand, held, backordered, fulfilled, .. } = self.item(sku).await;
        [on_hand, held, backordered, fulfilled]
    }

    async fn place(&self, customer: &str, sku: &str, quantity: u64) -> Arc<Order> {
        match self.router.create("".into(), None, order(customer, sku, quantity), LONG).await.unwrap() {
            Outcome::Order { order, .. } => order,
            other => panic!("{other:?}"),
        }
    }

    async fn step(&self, id: OrderId, step: Step) {
        self.apply(Action::Step { id, if_version: None, step }).await;
    }

    /// The order once no message about it is under way.
    async fn settled(&self, id: OrderId) -> Arc<Order> {
        let quiet = |order: &Order| order.lines.iter().all(|line| line.in_flight.is_none());
        until("the order to settle", async || quiet(&self.router.order("".into(), id).await.unwrap().unwrap())).await;
        self.router.order("".into(), id).await.unwrap().unwrap()
    }

    /// The versions of orders that the feed has from `cursor` on, page by page, and where it ends.
    async fn read(&self, mut cursor: Option<String>, size: usize) -> (Vec<(OrderId, u64)>, String) {
        let mut all = Vec::new();
        loop {
            let page = self.router.events("".into(), cursor.as_deref(), size).await.unwrap();
            let end = page.events.is_empty();
            all.extend(page.events.iter().filter_map(|event| match &event.subject {
                Subject::Order { order, .. } => Some((order.id, order.version)),
                Subject::Item { .. } => None,
            }));
            if end {
                return (all, page.next);
            }
            cursor = Some(page.next);
        }
    }
}

fn order(customer: &str, sku: &str, quantity: u64) -> NewOrder {
    NewOrder {
        partition: Partition::of("", Class::Customer, customer),
        customer: Some(customer.into()),
        reference: None,
        lines: vec![NewLine { sku: sku.into(), quantity, unit_price: 100 }],
        currency: *b"GBP",
        terms: Terms::OnAccount,
        expires_in_ms: None,
        fulfilled: false,
        placed_ms: None,
    }
}

/// Waits until `enough`.
async fn until(what: &str, mut enough: impl AsyncFnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !enough().await {
            sleep(Duration::from_millis(100)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited for {what}"));
}

/// A customer and an item, one with a slot before `at` and the other not.
fn apart(at: u16) -> (String, String) {
    let sku = "tea".to_owned();
    let low = Partition::of_item("", &sku).slot < at;
    let customer = (0..).map(|number| format!("c-{number}"));
    let mut customer = customer.filter(|name| (Partition::of("", Class::Customer, name).slot < at) != low);
    (customer.next().unwrap(), sku)
}

#[tokio::test(start_paused = true)]
async fn what_lived_in_one_shard_goes_on_in_two() {
    let world = World::start(1).await;
    let (customer, sku) = apart(32_768);
    world.set(&sku, 10, true).await;
    // Held whole, without a row; partly waiting, with one; cancelled before; fulfilled in part.
    let held = world.place(&customer, &sku, 4).await;
    let waiting = world.place(&customer, &sku, 8).await;
    let gone = world.place(&customer, &sku, 1).await;
    world.step(gone.id, Step::Cancel { reason: None }).await;
    let lines = |units| Some(vec![ordermill_order::order::LineUnits { line: 0, units }]);
    world.step(waiting.id, Step::Fulfil { lines: lines(1), tracking: None }).await;
    assert_eq!(world.units(&sku).await, [9, 9, 2, 1]);

    world.split(ROOT, None).await;
    let map = world.map();
    assert_eq!(map.shards.iter().map(|shard| shard.id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(world.units(&sku).await, [9, 9, 2, 1]);
    // The journals of the children begin where that of their parent ended.
    let ended = map.was_split(ROOT).unwrap().number;
    let read = async |shard, after| {
        let read = world.router_store().read(shard, after, 1).await.unwrap().remove(0);
        decode::<Record>("a record", read.bytes).unwrap()
    };
    let last = read(ROOT, ended - 1).await;
    assert_eq!((last.sequence, last.parent), (4, None));
    for child in [1, 2] {
        let first = read(ShardId(child), 0).await;
        assert_eq!(first.parent, Some(RecordParent { shard: 0, number: ended }));
        assert!(first.time_ms >= last.time_ms && first.sequence == 4, "{first:?} after {last:?}");
    }

    // Every kind of step, now over two shards.
    world.step(held.id, Step::Fulfil { lines: lines(2), tracking: None }).await;
    assert_eq!(world.settled(held.id).await.lines[0].fulfilled, 2);
    assert_eq!(world.units(&sku).await, [7, 7, 2, 3]);
    world.step(held.id, Step::Return { lines: lines(1), restock: true, reason: None }).await;
    until("the returned unit to be given on", async || world.settled(waiting.id).await.lines[0].backordered == 1).await;
    assert_eq!(world.units(&sku).await, [8, 8, 1, 3]);
    world.step(held.id, Step::Cancel { reason: None }).await;
    world.settled(held.id).await;
    until("all to be held", async || world.settled(waiting.id).await.lines[0].held == 7).await;
    assert_eq!(world.units(&sku).await, [8, 7, 0, 3]);
    let new = world.place(&customer, &sku, 1).await;
    assert_eq!((new.lines[0].held, new.id.sequence()), (1, 4));
    assert_eq!(world.units(&sku).await, [8, 8, 0, 3]);
    let all = world.router.orders("".into(), &OrderFilter::default(), 100, None).await.unwrap().orders;
    let mut ids: Vec<_> = all.iter().map(|order| order.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    // What is so already is done by asking for it.
    assert_eq!(world.router.administrate(Change::Split { shard: ROOT, at: None }).await, Ok(world.map().version));
}

impl World {
    /// The store as another process sees it.
    fn router_store(&self) -> Transactional {
        store(self.service.clone(), &self.clock, 99)
    }
}

#[tokio::test(start_paused = true)]
async fn the_feed_goes_on_across_splits_and_old_journals_are_let_go() {
    let world = World::start(2).await;
    world.set("tea", 1_000, false).await;
    let place = async |from: usize, count: usize| {
        let mut placed = Vec::new();
        for number in from..from + count {
            placed.push(world.place(&format!("c-{number}"), "tea", 1).await.id);
        }
        placed
    };
    let mut placed = place(0, 20).await;
    let (mut seen, in_the_middle) = {
        let page = world.router.events("".into(), None, 7).await.unwrap();
        let seen = page.events.iter().filter_map(|event| match &event.subject {
            Subject::Order { order, .. } => Some((order.id, order.version)),
            Subject::Item { .. } => None,
        });
        (seen.collect::<Vec<_>>(), page.next)
    };
    // A cursor as it was made before shards could be split: of both shards the first record.
    let first = base64_of(&[1, 0, 0, 0, 0]);
    world.split(ShardId(1), None).await;
    placed.extend(place(20, 20).await);
    let children: Vec<ShardId> = world.map().shards.iter().map(|shard| shard.id).collect();
    assert_eq!(children, [0, 2, 3].map(ShardId));
    world.split(ShardId(3), Some(60_000)).await;
    world.split(ROOT, None).await;
    placed.extend(place(40, 20).await);
    let (rest, end) = world.read(Some(in_the_middle.clone()), 5).await;
    seen.extend(rest);
    let whole = world.read(None, 7).await.0;
    let by_old = world.read(Some(first.clone()), 1_000).await.0;
    for events in [&seen, &whole, &by_old] {
        let mut orders: Vec<OrderId> = events.iter().map(|(id, _)| *id).collect();
        assert!(placed.iter().all(|id| orders.contains(id)));
        orders.sort_unstable();
        let count = orders.len();
        orders.dedup();
        // An order over two shards is told once when it is decided, and once when it is placed.
        let mut versions: Vec<_> = (*events).clone();
        versions.sort_unstable();
        versions.dedup();
        assert_eq!((versions.len(), orders.len()), (count, placed.len()), "nothing is told twice");
    }
    let sorted = |events: &[(OrderId, u64)]| {
        let mut events = events.to_vec();
        events.sort_unstable();
        events
    };
    assert_eq!(sorted(&seen), sorted(&whole));
    assert_eq!(sorted(&by_old), sorted(&whole));

    // Cursors that cannot be followed say so.
    for nonsense in ["", "AQ", "BAAA", &base64_of(&[2, 1, 9, 1, 0]), &base64_of(&[2, 1, 0, 1, 0, 2, 1, 0])] {
        let refused = world.router.events("".into(), Some(nonsense), 5).await;
        assert!(matches!(refused, Err(Error::BadToken(_) | Error::CursorExpired)), "{nonsense}: {refused:?}");
    }
    let newer = world.router.events("".into(), Some(&base64_of(&[2, 0xFF, 1, 0, 1, 0, 1, 1, 0])), 5).await;
    assert!(matches!(newer, Err(Error::BadToken(_))), "{newer:?}");

    // After the retention the journals of split shards are trimmed by the coordinator; the feed begins later.
    let other = world.router_store();
    until("the journals of split shards to be trimmed", async || {
        let mut trimmed = true;
        for one in &world.map().split {
            let first = other.read(one.id, one.number - 1, 1).await.unwrap().remove(0);
            assert_eq!(first.number, one.number, "the last record stays");
            trimmed &= matches!(other.read(one.id, 0, 1).await, Err(StoreError::Invalid(_))) || one.number == 1;
        }
        trimmed
    })
    .await;
    for old in [&first, &in_the_middle] {
        let expired = world.router.events("".into(), Some(old), 5).await;
        assert!(matches!(expired, Err(Error::CursorExpired)), "{expired:?}");
    }
    let rest = world.read(None, 100).await.0;
    assert!(!rest.is_empty() && rest.len() < whole.len(), "{} of {}", rest.len(), whole.len());
    assert_eq!(world.read(Some(end), 5).await.0, []);
}

fn base64_of(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let number =
            part.iter().chain(&[0; 2][..3 - part.len()]).fold(0_usize, |all, byte| all << 8 | usize::from(*byte));
        let digits = (0..=part.len()).map(|at| char::from(DIGITS[number >> (18 - 6 * at) & 63]));
        text.extend(digits);
    }
    text
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_before_a_split_is_cut_anew() {
    let world = World::start(1).await;
    world.set("tea", 1_000, false).await;
    let customers: Vec<String> = (0..40).map(|number| format!("c-{number}")).collect();
    for customer in &customers {
        world.place(customer, "tea", 1).await;
    }
    let list = async |token: Option<String>, size| {
        world.router.orders("".into(), &OrderFilter::default(), size, token.as_deref()).await.unwrap()
    };
    let before = list(None, 15).await;
    world.split(ROOT, Some(20_000)).await;
    world.split(ShardId(2), None).await;
    let mut orders = before.orders;
    let mut token = before.next;
    while let Some(next) = token {
        let page = list(Some(next), 7).await;
        orders.extend(page.orders);
        token = page.next;
    }
    assert!(orders.iter().map(|order| order.id.slot()).is_sorted());
    assert_eq!(orders.len(), customers.len());
    assert_eq!(world.router.items("".into(), 10, None).await.unwrap().items.len(), 1);

    // Another member still takes them for one shard.
    let slots = |customer: &String| Partition::of("", Class::Customer, customer).slot;
    let (low, high): (Vec<_>, Vec<_>) = customers.iter().partition(|customer| slots(customer) < 20_000);
    assert!(low.len() > 3 && high.len() > 3);
    let service = world.router.service();
    let hello = Hello { cluster: CLUSTER, incarnation: 6, name: "pod-1".to_owned() };
    let create = |customer: &String| Command {
        tenant: "".into(),
        idempotency: None,
        action: Action::Create(Box::new(order(customer, "tea", 1))),
    };
    let commands: Vec<_> = customers.iter().map(create).collect();
    let many = Request::ApplyMany { slot: slots(low[0]), hops: 0, wait: LONG, commands };
    let Answer::AppliedMany(Ok(outcomes)) = service.answer(&hello, many, LONG).await else { panic!("no answer") };
    for (outcome, customer) in outcomes.iter().zip(&customers) {
        let here = slots(customer) < 20_000;
        assert_eq!(outcome.is_ok(), here, "{customer}: {outcome:?}");
        assert!(here || matches!(outcome, Err(Failure::NotOwner { .. })), "{outcome:?}");
    }
    assert_eq!(world.units("tea").await[1], (customers.len() + low.len()) as u64);
    let scan = |slot, from| Request::Scan { slot, hops: 0, from, to: Bound::Unbounded, limit: 1_000 };
    let (mut rows, mut from, mut slot) = (0, Bound::Unbounded, 0);
    loop {
        let Answer::Page(Ok(page)) = service.answer(&hello, scan(slot, from), LONG).await else { panic!("no answer") };
        rows += page.rows.iter().filter(|(key, _)| key[6] == 2).count();
        assert!(page.rows.iter().all(|(key, _)| key[4..6] >= slot.to_be_bytes()[..]));
        let Some(next) = page.next else { break };
        slot = u16::from_be_bytes([next[4], next[5]]) + u16::from(next[6] == u8::MAX);
        from = Bound::Excluded(next);
    }
    assert_eq!(rows, customers.len() + low.len());

    // Imports sort by shard themselves, also when that has just changed.
    let commands: Vec<_> = customers.iter().map(create).collect();
    let (results, ()) = futures::join!(world.router.import(commands), world.split(ShardId(1), None));
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(world.units("tea").await[1], (2 * customers.len() + low.len()) as u64);
}

#[tokio::test(start_paused = true)]
async fn a_split_goes_on_wherever_it_was_broken_off() {
    let mut world = World::start(2).await;
    world.set("tea", 100, false).await;
    let mut held = 0;
    for (incarnation, break_at) in (6..).zip([0, 5, 20, 50, 100, 200, 400, 1_000]) {
        world.place("c", "tea", 1).await;
        held += 1;
        let shard = world.map().shards.last().unwrap().id;
        until("the split to be taken on", async || {
            world.router.administrate(Change::Split { shard, at: None }).await.is_ok()
        })
        .await;
        // The only member, which owns all and coordinates, ends as by kill -9.
        sleep(Duration::from_millis(break_at)).await;
        world.client.freeze(LONG * 100);
        world.running.abort();
        let (service, clock) = (world.service.clone(), world.clock.clone());
        drop(world);
        world = World::join(service, clock, incarnation, 2).await;
        until("the split to be done", async || world.map().was_split(shard).is_some()).await;
        until("all to be served", async || world.router.item("".into(), "tea").await.is_ok()).await;
        assert_eq!(world.units("tea").await[1], held);
        assert_eq!(world.map().split.len() as u64, incarnation - 5);
    }
    // Once its journal has ended nobody serves a shard, and its rows are all there.
    let sealed = world.map().split[0];
    let again = world.router_store().take_over(sealed.id, &|_| Ok("late".into())).await;
    assert!(matches!(again, Err(StoreError::Sealed(number)) if number == sealed.number), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_of_a_split_shard_finds_its_children() {
    let world = World::start(1).await;
    world.set("tea", 5, false).await;
    world.split(ROOT, None).await;
    world.set("tea", 7, false).await;
    until("the row to be flushed", async || {
        let stale = world.router.stale_item("".into(), "tea").await.unwrap();
        assert!(stale.value.is_some());
        stale.value.unwrap().on_hand == 7
    })
    .await;
    let key = ordermill_store::keys::Key {
        cluster: CLUSTER,
        slot: Partition::of_item("", "tea").slot,
        kind: ordermill_store::keys::Kind::Item,
        tenant: "",
        rest: b"tea",
    };
    let peeked = world.router_store().peek(ROOT, &key.encode(), ordermill_store::Known::default()).await;
    assert!(matches!(peeked, Err(StoreError::Sealed(_))), "{peeked:?}");
}
