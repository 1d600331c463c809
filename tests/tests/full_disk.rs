//! A full disk: changes are refused, reads go on, nothing that was acknowledged is lost, and once
//! there is room again the server takes changes by itself.
//!
//! Mounts a small file system to fill it, which needs root.

use ordermill_api::{EventPage, Health, ImportResult, Item, Order, ProblemKind};
use ordermill_tests::disk::SmallDisk;
use ordermill_tests::load::{Books, Load};
use ordermill_tests::process::{Http, Server, Settings, audit, in_time, problem, until};
use ordermill_tests::seed;
use reqwest::Method;
use serde_json::{Value, json};

/// Customers at work at the same time.
const CUSTOMERS: usize = 4;
/// Pieces of work before the disk is full, and after.
const WORK: u64 = 300;
/// More work than there is room for.
const TOO_MUCH_WORK: u64 = 200_000;
/// Room on the disk.
const DISK_MIB: u32 = 96;
/// What is left for the load to take.
const LEFT_BYTES: u64 = 2 << 20;

/// Who asks beside the load, and what it was told was done.
struct Asker {
    http: Http,
    placed: Vec<String>,
}

impl Asker {
    fn order(reference: &str) -> Value {
        json!({
            "customer": "asker", "reference": reference,
            "lines": [{"sku": "sku-00", "quantity": 1, "unit_price": {"amount": 250, "currency": "GBP"}}],
        })
    }

    /// Places one more order; an error if it was refused for want of room.
    async fn place(&mut self) -> Result<(), ()> {
        let reference = format!("asked-{}", self.placed.len());
        let answer = self.http.post("/v1/orders", &Self::order(&reference), &[("idempotency-key", &reference)]).await;
        if answer.status == 507 {
            assert_eq!(problem(&answer), ProblemKind::StorageFull);
            return Err(());
        }
        assert!(matches!(answer.status, 201 | 202), "{answer:?}");
        self.placed.push(reference);
        Ok(())
    }

    /// Places orders until one is refused, or until one is not.
    async fn place_until(&mut self, full: bool) {
        let asker = tokio::sync::Mutex::new(self);
        let what = if full { "an order to be refused for want of room" } else { "an order to be taken again" };
        until(what, || async {
            let refused = asker.lock().await.place().await.is_err();
            if refused == full { Ok(()) } else { Err(format!("refused: {refused}")) }
        })
        .await;
    }

    /// Every kind of change is refused, as a problem.
    async fn changes_are_refused(&mut self) {
        for _ in 0..10 {
            self.place().await.expect_err("the disk is full");
        }
        let order = self.http.get("/v1/orders?customer=asker").await.expect(200).json::<Value>()["orders"][0].clone();
        let cancel = format!("/v1/orders/{}/cancel", order["id"].as_str().expect("an order has an id"));
        let answers = [
            self.http.put("/v1/items/new", &json!({"on_hand": 1})).await,
            self.http.post("/v1/items/sku-00/adjustments", &json!({"delta": 1}), &[("idempotency-key", "a")]).await,
            self.http.post(&cancel, &json!({"reason": "late"}), &[("idempotency-key", "c")]).await,
        ];
        for answer in answers {
            assert_eq!((answer.status, problem(&answer)), (507, ProblemKind::StorageFull), "{answer:?}");
        }
        let import =
            self.http.request(Method::POST, "/v1/orders/import").header("content-type", "application/x-ndjson");
        let answer = self.http.send(import.body(format!("{}\n", Self::order("imported")))).await;
        let result: ImportResult = answer.expect("the server answers").expect(200).json();
        let kind = result.problem.as_deref().and_then(ProblemKind::from_uri);
        assert_eq!(kind, Some(ProblemKind::StorageFull), "{result:?}");
    }

    /// Everything that was acknowledged can be read.
    async fn reads_go_on(&self, books: &Books) {
        let orders = self.check(books, false).await;
        let one = orders.last().and_then(|order| order.id.clone()).expect("there are orders");
        let read: Order = self.http.get(&format!("/v1/orders/{one}")).await.expect(200).json();
        assert_eq!(read.id.as_deref(), Some(&*one));
        let item: Item = self.http.get("/v1/items/sku-00").await.expect(200).json();
        assert!(item.held <= item.on_hand, "{item:?}");
        let page: EventPage = self.http.get("/v1/events").await.expect(200).json();
        assert!(!page.events.is_empty(), "the feed has events");
        for path in ["/healthz", "/readyz"] {
            let health: Health = self.http.get(path).await.expect(200).json();
            assert_eq!(health.status, "ok", "{path}: reads can be served");
        }
    }

    /// Places orders until the server tells that more than `bytes` are free: it asks the file system
    /// when it writes, and not every time.
    async fn place_until_told(&mut self, bytes: u64) {
        while self.http.measured("ordermill_store_free_bytes").await.expect("the server answers") <= bytes as f64 {
            self.place().await.expect("there is room");
        }
    }

    /// What the load and this one were told is there; returns all orders.
    async fn check(&self, books: &Books, exactly: bool) -> Vec<Order> {
        let (orders, items) = (self.http.orders().await, self.http.items().await);
        let (mine, others): (Vec<Order>, Vec<Order>) =
            orders.into_iter().partition(|order| order.customer.as_deref() == Some("asker"));
        let mut references: Vec<String> = mine.iter().filter_map(|order| order.reference.clone()).collect();
        let mut placed = self.placed.clone();
        references.sort_unstable();
        placed.sort_unstable();
        assert_eq!(references, placed);
        if exactly {
            books.check_exactly(&others, &items);
        } else {
            books.check(&others, &items);
        }
        others
    }
}

/// A server that keeps `kept_mib` free: with none it meets the end of the disk itself.
async fn a_full_disk_loses_nothing(shards: u32, kept_mib: u64) {
    let seed = seed();
    println!("{shards} shards, {kept_mib} MiB kept, ORDERMILL_SEED={seed}");
    let disk = SmallDisk::mount(DISK_MIB);
    let settings = Settings::new(disk.path().join("data"), shards)
        .with(&["--segment-mib", "1", "--flush-mib", "1", "--cache-mib", "1"])
        .with(&["--min-free-mib", &kept_mib.to_string()]);
    let mut server = Server::start(settings).await;
    let (url, http) = (server.url(), server.http());
    let mut asker = Asker { http: http.clone(), placed: Vec::new() };
    let load = Load::start(http.clone(), CUSTOMERS, seed).await;
    load.more(WORK).await;
    asker.place().await.expect("there is room");

    let kept = kept_mib << 20;
    let ballast = disk.fill(kept + LEFT_BYTES);
    tokio::select! {
        () = load.more(TOO_MUCH_WORK) => panic!("the disk takes everything"),
        () = asker.place_until(true) => {}
    }
    println!("full after {} pieces of work, {} bytes are free", load.acknowledged(), disk.free_bytes());
    asker.reads_go_on(&load.books()).await;
    let metrics = http.get("/metrics").await.expect(200).body;
    assert!(metrics.lines().any(|line| line.contains(r#"kind="full""#) && !line.ends_with(" 0")), "{metrics}");
    if kept > 0 {
        let told = http.measured("ordermill_store_free_bytes").await.expect("the server answers");
        assert!(told < kept as f64, "{told} bytes are told to be free");
        asker.changes_are_refused().await;
        // Neither does a start need room that is not there.
        let books = load.books();
        server.kill().await;
        server.restart().await;
        asker.changes_are_refused().await;
        asker.reads_go_on(&books).await;
    }

    let before = load.acknowledged();
    drop(ballast);
    asker.place_until(false).await;
    load.more(WORK).await;
    assert!(load.acknowledged() >= before + WORK);
    let books = load.finish().await;
    in_time("the room to be told", asker.place_until_told(kept + LEFT_BYTES)).await;
    let orders = (books.orders() + asker.placed.len()) as u64;
    assert_eq!(audit(&url).await["orders"], orders);
    asker.check(&books, true).await;
    server.terminate();
    let settings = server.settings();
    server.ended().await.well();
    let again = Server::start(settings).await;
    assert_eq!(audit(&url).await["orders"], orders);
    asker.check(&books, true).await;
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_that_keeps_room_loses_nothing() {
    a_full_disk_loses_nothing(1, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_shards_that_keep_room_lose_nothing() {
    a_full_disk_loses_nothing(64, 16).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_at_the_end_of_the_disk_loses_nothing() {
    a_full_disk_loses_nothing(1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_shards_at_the_end_of_the_disk_lose_nothing() {
    a_full_disk_loses_nothing(64, 0).await;
}
