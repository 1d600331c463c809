//! `orderctl migrate`, from outside: a directory full of orders in all states, whose server was killed, into a
//! TiKV cluster whose members go on with them.

use ordermill_api::{CancelResult, EventPage, Item, Order, ProblemKind, Status};
use ordermill_tests::cluster::{Cluster, shared};
use ordermill_tests::load::Load;
use ordermill_tests::process::{Everything, Http, Orderctl, Server, Settings, audit, problem};
use ordermill_tests::seed;
use serde_json::json;

/// Shards of the directory, and of the cluster.
const BEFORE: u32 = 3;
const AFTER: u32 = 12;
const CUSTOMERS: usize = 6;

/// The arguments of a move from `dir` into `cluster_id`.
fn migrate<'a>(dir: &'a str, pd: &'a str, cluster_id: &'a str, shards: &'a str) -> Vec<&'a str> {
    vec!["migrate", "--data-dir", dir, "--pd-endpoints", pd, "--cluster-id", cluster_id, "--shards", shards]
}

/// `orderctl` without a server: what it asks is what it starts.
async fn orderctl(arguments: &[&str]) -> ordermill_tests::process::Ended {
    Orderctl::run("http://127.0.0.1:1", arguments).await
}

fn sorted(mut all: Everything) -> (Vec<Item>, Vec<Order>) {
    all.items.sort_by(|a, b| a.sku.cmp(&b.sku));
    all.orders.sort_by(|a, b| a.id.cmp(&b.id));
    (all.items, all.orders)
}

fn first<'a>(orders: &'a [Order], what: &str, is: impl Fn(&Order) -> bool) -> &'a Order {
    orders.iter().find(|order| is(order)).unwrap_or_else(|| panic!("the load has left no order that is {what}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_go_on_where_they_were_moved_to() {
    let seed = seed();
    println!("ORDERMILL_SEED={seed}");
    let dir = tempfile::tempdir().expect("a directory can be made");
    let data_dir = dir.path().to_str().expect("the path is UTF-8");
    let mut old = Server::start(Settings::small(dir.path(), BEFORE)).await;
    let load = Load::start(old.http(), CUSTOMERS, seed).await;
    load.more(1_200).await;
    let books = load.finish().await;
    let repeated = [("idempotency-key", "sent-before-and-after")];
    let order = json!({"customer": "mover", "lines": [{"sku": "other", "quantity": 1,
                       "unit_price": {"amount": 255, "currency": "GBP"}}]});
    old.http().put("/v1/items/other", &json!({"on_hand": 5})).await.expect(201);
    let placed: Order = old.http().post("/v1/orders", &order, &repeated).await.expect(201).json();
    audit(&old.url()).await;
    let all = Everything::read(&old.http()).await;
    let cursor = all.events.last().expect("there are events").cursor.clone();
    // Killed: the journal has what the rows have not.
    old.kill().await;
    let before = sorted(all);
    assert!(before.1.len() > 1_000, "{} orders", before.1.len());

    let cluster = Cluster::start().await;
    let (pd, shards) = (cluster.pd_endpoints().join(","), AFTER.to_string());
    let arguments = migrate(data_dir, &pd, "1", &shards);
    let mut broken_off = Orderctl::start_program("ordermill", &arguments);
    broken_off.says("copied", 2).await;
    broken_off.kill().await;
    let pd_endpoints = cluster.pd_endpoints();
    let member = |number: usize| Settings::member(&pd_endpoints, &format!("member-{number}"), 64);
    let refused = Server::try_start(member(0)).await.expect_err("nobody serves half of the data");
    assert!(refused.stderr.contains("orderctl migrate"), "{refused:?}");

    let moved = orderctl(&arguments).await;
    assert!(moved.stderr.contains("goes on behind"), "{moved:?}");
    let lines = moved.well().json();
    let (copied, audited) = (&lines[0], &lines[1]);
    assert_eq!(copied["deleted"], 0, "{copied}");
    assert!(copied["written"].as_u64() < copied["rows"].as_u64(), "some were there from the run before: {copied}");
    assert_eq!(audited["orders"].as_u64(), Some(before.1.len() as u64), "{audited}");
    let again = orderctl(&arguments).await.well().json();
    assert_eq!(again[0], json!({"done_before": true}));
    let refused = Server::try_start(old.settings()).await.expect_err("what was moved is not served twice");
    assert!(refused.stderr.contains("MOVED"), "{refused:?}");

    let mut members = Vec::new();
    for number in 0..3 {
        members.push(Server::start(member(number)).await);
    }
    let http = Http::among(&members.iter().map(Server::url).collect::<Vec<_>>());
    let after = sorted(Everything { items: http.items().await, orders: http.orders().await, events: Vec::new() });
    assert!(before == after, "what was moved is as it was");
    let mut of_the_load = after.clone();
    of_the_load.0.retain(|item| item.sku != "other");
    of_the_load.1.retain(|order| order.customer.as_deref() != Some("mover"));
    books.check_exactly(&of_the_load.1, &of_the_load.0);
    let expired = http.get(&format!("/v1/events?after={cursor}")).await;
    assert_eq!(problem(&expired), ProblemKind::CursorExpired);

    // What was remembered is remembered.
    let replayed = http.post("/v1/orders", &order, &repeated).await.expect(201);
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert_eq!(replayed.json::<Order>().id, placed.id);
    go_on(&http, &after.1).await;
    audit(&members[2].url()).await;
    for member in members {
        member.stop().await;
    }
}

/// Takes the next step on orders that were placed before the move.
async fn go_on(http: &Http, orders: &[Order]) {
    let id = |order: &Order| order.id.clone().expect("an order has an id");
    let held = |order: &Order| {
        order.status == Status::Confirmed
            && order.payment.authorized == 0
            && order.lines.iter().all(|line| line.held > 0)
    };
    let cancelled = first(orders, "confirmed", held);
    let answer = http.post(&format!("/v1/orders/{}/cancel", id(cancelled)), &json!({}), &[]).await.expect(200);
    assert_eq!(answer.json::<CancelResult>().order.status, Status::Cancelled);
    let paid = first(orders, "confirmed, and another", |order| held(order) && order.id != cancelled.id);
    let path = format!("/v1/orders/{}", id(paid));
    let amount = json!({"action": "capture", "amount": {"amount": 100, "currency": "GBP"}});
    let authorized = json!({"action": "authorize", "amount": paid.total});
    http.post(&format!("{path}/payments"), &authorized, &[]).await.expect(200);
    let answer: Order = http.post(&format!("{path}/payments"), &amount, &[]).await.expect(200).json();
    assert_eq!(answer.payment.captured, paid.payment.captured + 100);
    let shipped = json!({"lines": [{"line": 1, "quantity": 1}]});
    http.post(&format!("{path}/fulfillments"), &shipped, &[]).await.expect(200);
    let waiting = first(orders, "waiting for stock", |order| order.lines.iter().any(|line| line.backordered > 0));
    let line = waiting.lines.iter().find(|line| line.backordered > 0).expect("one line waits");
    let adjustment = json!({"delta": 100_000});
    http.post(&format!("/v1/items/{}/adjustments", line.sku), &adjustment, &[]).await.expect(200);
    ordermill_tests::process::until("stock for a line that waited", || async {
        let now: Order = http.get(&format!("/v1/orders/{}", id(waiting))).await.expect(200).json();
        let waits = now.lines.iter().any(|other| other.sku == line.sku && other.backordered > 0);
        if waits { Err(format!("{now:?}")) } else { Ok(()) }
    })
    .await;
    let new = json!({"customer": "mover", "lines": [{"sku": "sku-00", "quantity": 1,
                     "unit_price": {"amount": 255, "currency": "GBP"}}]});
    let new: Order = http.post("/v1/orders", &new, &[]).await.expect(201).json();
    assert!(orders.iter().all(|order| order.id != new.id), "ids go on behind those of before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_moved_is_said_and_nothing_is_lost() {
    let cluster = shared().await;
    let pd = cluster.pd_endpoints().join(",");
    let dir = tempfile::tempdir().expect("a directory can be made");
    let data_dir = dir.path().to_str().expect("the path is UTF-8");
    let refused = async |arguments: &[&str], why: &str| {
        let ended = orderctl(arguments).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(why), "{why}: {ended:?}");
        assert!(ended.stderr.contains("the data were not moved"), "{ended:?}");
    };
    refused(&migrate(data_dir, &pd, "70", "4"), "holds no data").await;

    let server = Server::start(Settings::new(dir.path(), 4)).await;
    server.http().put("/v1/items/tea", &json!({"on_hand": 5})).await.expect(201);
    let events: EventPage = server.http().get("/v1/events").await.expect(200).json();
    refused(&migrate(data_dir, &pd, "70", "4"), "is in use by process").await;
    server.stop().await;
    refused(&migrate(data_dir, "127.0.0.1:1", "70", "4"), "PD at 127.0.0.1:1 cannot be used").await;

    // A cluster that members have served, and one that is filled from elsewhere.
    let served = Settings::member(&cluster.pd_endpoints(), "member", 2).with(&["--cluster-id", "71"]);
    Server::start(served).await.stop().await;
    refused(&migrate(data_dir, &pd, "71", "4"), "is served by members, or was").await;
    let other = tempfile::tempdir().expect("a directory can be made");
    let other_dir = other.path().to_str().expect("the path is UTF-8");
    Server::start(Settings::new(other.path(), 1)).await.stop().await;
    orderctl(&migrate(other_dir, &pd, "72", "4")).await.well();
    refused(&migrate(data_dir, &pd, "72", "4"), "was filled from another data directory").await;

    // Nothing of it has kept the directory from being served, or from being moved in the end.
    let server = Server::start(Settings::new(dir.path(), 4)).await;
    let item: Item = server.http().get("/v1/items/tea").await.expect(200).json();
    assert_eq!(item.on_hand, 5);
    server.stop().await;
    orderctl(&migrate(data_dir, &pd, "70", "4")).await.well();

    // As many shards as before, and yet no place in the old feed is one in the new.
    let member = Settings::member(&cluster.pd_endpoints(), "member", 4).with(&["--cluster-id", "70"]);
    let member = Server::start(member).await;
    let expired = member.http().get(&format!("/v1/events?after={}", events.next)).await;
    assert_eq!(problem(&expired), ProblemKind::CursorExpired);
    let item: Item = member.http().get("/v1/items/tea").await.expect(200).json();
    assert_eq!(item.on_hand, 5);
    member.stop().await;
}
