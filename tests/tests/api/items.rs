//! Items over HTTP: set under conditions, adjusted once, and never sold twice.

use futures::future::join_all;
use ordermill_api::{Item, ItemPage, Order, ProblemKind, Status};
use ordermill_tests::process::{Http, problem, until};
use reqwest::Method;
use serde_json::json;

use super::{SHARDS, Shop, order};

/// Connections that want the same item.
const CONNECTIONS: usize = 16;
/// Orders of each.
const ORDERS: usize = 25;
/// Units of the item: about half of what they want.
const UNITS: u64 = 400;

#[tokio::test]
async fn items_are_set_and_adjusted_once() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        let put = |name: &'static str, value: &'static str| {
            let request = shop.http.request(Method::PUT, "/v1/items/tea").json(&json!({"on_hand": 12}));
            let request = request.header(name, value);
            async { shop.http.send(request).await.expect("the server answers") }
        };
        assert_eq!(problem(&put("if-none-match", "*").await), ProblemKind::VersionMismatch);
        assert_eq!(problem(&put("if-match", "\"7\"").await), ProblemKind::VersionMismatch);
        assert_eq!(put("if-match", "\"1\"").await.expect(200).header("etag"), "\"2\"");

        let adjust = async |key: &str, delta: i64| {
            let body = json!({"delta": delta, "reason": "a delivery"});
            shop.http.post("/v1/items/tea/adjustments", &body, &[("idempotency-key", key)]).await
        };
        let first = adjust("k-1", 5).await.expect(200);
        assert_eq!((first.json::<Item>().on_hand, first.header("idempotent-replayed")), (17, ""));
        let again = adjust("k-1", 5).await.expect(200);
        assert_eq!((again.json::<Item>(), again.header("idempotent-replayed")), (first.json(), "true"));
        assert_eq!(problem(&adjust("k-1", 6).await), ProblemKind::IdempotencyKeyReused);
        assert_eq!(adjust("k-2", -3).await.expect(200).json::<Item>().on_hand, 14);

        // What is held stays.
        shop.place(&order("ann", &[("tea", 4)])).await;
        assert_eq!(problem(&adjust("k-3", -11).await), ProblemKind::StateConflict);
        let less = shop.http.put("/v1/items/tea", &json!({"on_hand": 3})).await;
        assert_eq!(problem(&less), ProblemKind::StateConflict);
        assert_eq!(shop.stock("tea").await, (14, 4, 10, 0));

        let missing = shop.http.post("/v1/items/none/adjustments", &json!({"delta": 1}), &[]).await;
        assert_eq!(problem(&missing), ProblemKind::NotFound);
        let tag = shop.http.get("/v1/items/tea").await.header("etag").to_owned();
        let request = shop.http.request(Method::GET, "/v1/items/tea").header("if-none-match", tag);
        assert_eq!(shop.http.send(request).await.expect("the server answers").expect(304).body, "");
        shop.close().await;
    }
}

#[tokio::test]
async fn items_are_listed_page_by_page() {
    for shards in SHARDS {
        let names: Vec<String> = (0..57).map(|number| format!("sku-{number:02}")).collect();
        let items: Vec<_> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let shop = Shop::open(shards, &items).await;
        let (mut listed, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = shop.http.get(&format!("/v1/items?page_size=10&page_token={token}")).await.expect(200);
            let page: ItemPage = page.json();
            assert!(page.items.len() <= 10);
            pages += 1;
            listed.extend(page.items.into_iter().map(|item| item.sku));
            let Some(next) = page.next_page_token else { break };
            token = next;
        }
        listed.sort();
        assert_eq!(listed, names, "every item once");
        assert!(pages >= 6);
        shop.close().await;
    }
}

/// Wants units until the orders are through; returns how many it was promised.
async fn buy(http: Http, buyer: usize) -> u64 {
    let mut promised = 0;
    for number in 0..ORDERS {
        let body = order(&format!("buyer-{buyer}"), &[("hot", (buyer + number) as u64 % 3 + 1)]);
        let key = format!("{buyer}-{number}");
        let place = || async {
            let answer = http.post("/v1/orders", &body, &[("idempotency-key", &key)]).await;
            // A busy server may ask for patience.
            if answer.status == 503 { Err(answer.body) } else { Ok(answer.expect(201).json::<Order>()) }
        };
        let placed = until("a decision", place).await;
        match placed.status {
            Status::Confirmed => promised += placed.lines[0].held,
            Status::Rejected => assert_eq!(placed.lines[0].reason.as_deref(), Some("insufficient_stock")),
            other => panic!("{other:?}"),
        }
    }
    promised
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_item_is_never_oversold() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("hot", UNITS)]).await;
        // A client each, so that each has a connection of its own.
        let buyers = (0..CONNECTIONS).map(|buyer| tokio::spawn(buy(shop.server.http(), buyer)));
        let promised = join_all(buyers).await.into_iter().map(|buyer| buyer.expect("no buyer fails")).sum::<u64>();
        let (on_hand, held, available, _) = shop.stock("hot").await;
        assert_eq!((on_hand, held, held + available), (UNITS, promised, UNITS), "what is promised is held");
        assert_eq!(available, 0, "single units were wanted to the end: all are sold");
        shop.close().await;
    }
}
