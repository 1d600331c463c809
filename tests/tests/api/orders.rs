//! Orders over HTTP: placed once, read under conditions, listed.

use std::collections::BTreeSet;

use ordermill_api::{Order, OrderPage, ProblemKind, Status};
use ordermill_tests::process::{Everything, problem};
use reqwest::Method;
use serde_json::json;

use super::{SHARDS, Shop, order, path, pence};

#[tokio::test]
async fn an_order_is_placed_once_under_its_key_and_its_reference() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 10)]).await;
        let mut body = order("ann", &[("tea", 2), ("cup", 1)]);
        body["reference"] = json!("web-1");
        let key = [("idempotency-key", "k-1")];
        let first = shop.http.post("/v1/orders", &body, &key).await.expect(201);
        let placed: Order = first.json();
        assert_eq!((placed.status, placed.total.amount), (Status::Confirmed, 300));
        assert_eq!((first.header("location"), first.header("idempotent-replayed")), (&*path(&placed), ""));
        let again = shop.http.post("/v1/orders", &body, &key).await.expect(201);
        assert_eq!((again.json::<Order>(), again.header("idempotent-replayed")), (placed.clone(), "true"));
        assert_eq!(again.header("location"), path(&placed));

        let mut other = body.clone();
        other["lines"][0]["quantity"] = json!(3);
        let reused = shop.http.post("/v1/orders", &other, &key).await.expect(422);
        assert_eq!(problem(&reused), ProblemKind::IdempotencyKeyReused);
        // The reference is the customer's, and does not depend on a key.
        let taken = shop.http.post("/v1/orders", &body, &[("idempotency-key", "k-2")]).await.expect(409);
        assert_eq!(problem(&taken), ProblemKind::ReferenceTaken);
        assert_eq!(taken.json::<ordermill_api::Problem>().order_id, placed.id);
        assert_eq!(shop.http.orders().await, [placed]);
        body["customer"] = json!("bob");
        shop.place(&body).await;
        assert_eq!(shop.stock("tea").await, (10, 4, 6, 0));
        shop.close().await;
    }
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 2)]).await;
        shop.place(&order("ann", &[("tea", 2)])).await;
        let before = Everything::read(&shop.http).await;
        let headers = [("idempotency-key", "k-1")];
        for (quantity, status) in [(2, Status::Confirmed), (3, Status::Rejected)] {
            let mut body = order("ann", &[("tea", 8), ("cup", quantity)]);
            body["reference"] = json!("web-1");
            let answer = shop.http.post("/v1/orders?dry_run=true", &body, &headers).await.expect(200);
            let preview: Order = answer.json();
            assert_eq!((preview.status, preview.id, answer.header("location")), (status, None, ""));
        }
        assert_eq!(Everything::read(&shop.http).await, before);
        // Neither the key nor the reference was used up.
        let mut body = order("ann", &[("tea", 8)]);
        body["reference"] = json!("web-1");
        let placed: Order = shop.http.post("/v1/orders", &body, &headers).await.expect(201).json();
        assert_eq!(placed.status, Status::Confirmed);
        shop.close().await;
    }
}

#[tokio::test]
async fn a_client_need_not_wait() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 10), ("pot", 10)]).await;
        let body = order("ann", &[("tea", 1), ("cup", 1), ("pot", 1)]);
        let answer = shop.http.post("/v1/orders", &body, &[("prefer", "respond-async")]).await;
        let placed: Order = answer.json();
        assert_eq!(answer.header("preference-applied"), "respond-async");
        assert_eq!(answer.header("location"), path(&placed));
        let expected = if placed.status == Status::Pending { 202 } else { 201 };
        assert_eq!(answer.status, expected);
        // What one shard settles in one record is never pending.
        assert!(shards > 1 || placed.status == Status::Confirmed, "{placed:?}");
        shop.wait_for(&placed, |order| order.status == Status::Confirmed).await;
        shop.close().await;
    }
}

#[tokio::test]
async fn reads_and_steps_may_insist_on_a_version() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        let placed = shop.place(&order("ann", &[("tea", 2)])).await;
        let read = |tag: String| {
            let request = shop.http.request(Method::GET, &path(&placed)).header("if-none-match", tag);
            async { shop.http.send(request).await.expect("the server answers") }
        };
        let old = shop.http.get(&path(&placed)).await.expect(200).header("etag").to_owned();
        let same = read(old.clone()).await.expect(304);
        assert_eq!((same.header("etag"), &*same.body), (&*old, ""));

        let pay = json!({"action": "authorize", "amount": pence(200)});
        let payments = format!("{}/payments", path(&placed));
        let paid = shop.http.post(&payments, &pay, &[("if-match", &old)]).await.expect(200);
        let new = paid.header("etag").to_owned();
        assert_ne!(new, old);
        assert_eq!(read(old.clone()).await.expect(200).json::<Order>(), paid.json());

        for verb in ["payments", "fulfillments", "returns", "cancel"] {
            let body = if verb == "payments" { pay.clone() } else { json!({}) };
            let stale = shop.http.post(&format!("{}/{verb}", path(&placed)), &body, &[("if-match", &old)]).await;
            assert_eq!(problem(&stale.expect(412)), ProblemKind::VersionMismatch, "{verb}");
        }
        assert_eq!(shop.http.get(&path(&placed)).await.header("etag"), new, "a stale step changes nothing");
        let refused = shop.http.post(&payments, &pay, &[("if-match", &new)]).await;
        assert_eq!(problem(&refused), ProblemKind::StateConflict, "more than the order costs");
        // A step under a key is replayed, also once the version has moved on.
        let capture = json!({"action": "capture", "amount": pence(50)});
        let headers = [("idempotency-key", "c"), ("if-match", &*new)];
        let send = || shop.http.post(&payments, &capture, &headers);
        let (first, again) = (send().await.expect(200), send().await.expect(200));
        assert_eq!((first.json::<Order>(), again.header("idempotent-replayed")), (again.json(), "true"));
        assert_eq!(again.json::<Order>().payment.captured, 50);
        let gone = shop.http.get("/v1/orders/01ZZZZZZZZZZZZZZZZZZZZZZZZ").await;
        assert_eq!(problem(&gone), ProblemKind::NotFound);
        shop.close().await;
    }
}

/// What a list gives, page by page.
async fn listed(shop: &Shop, filter: &str, size: usize) -> Vec<Order> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let page = shop.http.get(&format!("/v1/orders?page_size={size}&page_token={token}{filter}")).await.expect(200);
        let page: OrderPage = page.json();
        assert!(page.orders.len() <= size);
        all.extend(page.orders);
        match page.next_page_token {
            Some(next) => token = next,
            None => return all,
        }
    }
}

#[tokio::test]
async fn lists_are_complete_and_filtered() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 30)]).await;
        let mut placed = Vec::new();
        for number in 0..24 {
            let mut body = order(["ann", "bob", "cat"][number % 3], &[("tea", if number % 4 == 3 { 100 } else { 1 })]);
            if number % 6 == 5 {
                // A guest.
                body.as_object_mut().expect("an object").remove("customer");
            }
            placed.push(shop.place(&body).await);
        }
        let cancelled = placed[0].clone();
        shop.step(&cancelled, "cancel", &json!({"reason": "too late"})).await.expect(200);
        let now = shop.http.orders().await;
        let check = async |filter: &str, keep: &dyn Fn(&Order) -> bool| {
            let expected: BTreeSet<_> = now.iter().filter(|order| keep(order)).map(|o| o.id.clone()).collect();
            for size in [1, 5, 1_000] {
                let found = listed(&shop, filter, size).await;
                let ids: BTreeSet<_> = found.iter().map(|order| order.id.clone()).collect();
                assert_eq!((found.len(), &ids), (expected.len(), &expected), "{filter:?} in pages of {size}");
            }
            expected.len()
        };
        assert_eq!(check("", &|_| true).await, 24);
        let ann = |order: &Order| order.customer.as_deref() == Some("ann");
        assert_eq!(check("&customer=ann", &ann).await, 8);
        assert_eq!(check("&customer=nobody", &|_| false).await, 0);
        assert_eq!(check("&status=rejected", &|order| order.status == Status::Rejected).await, 6);
        assert_eq!(check("&status=cancelled&customer=ann", &|order| order.id == cancelled.id).await, 1);
        let since = placed[11].created_at;
        let later = check(&format!("&created_after={since}"), &|order| order.created_at > since).await;
        assert!((1..=12).contains(&later), "{later} orders after the twelfth");
        check(&format!("&created_after={since}&customer=ann"), &|order| ann(order) && order.created_at > since).await;
        let of_ann = listed(&shop, "&customer=ann", 3).await;
        assert!(of_ann.is_sorted_by_key(|o| o.created_at) || of_ann.iter().rev().is_sorted_by_key(|o| o.created_at));
        shop.close().await;
    }
}

#[tokio::test]
async fn a_list_that_is_walked_while_orders_are_placed_is_stable() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 1_000)]).await;
        let mut there = Vec::new();
        for number in 0..20 {
            there.push(shop.place(&order(&format!("c-{number}"), &[("tea", 1)])).await.id);
        }
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = shop.http.get(&format!("/v1/orders?page_size=3&page_token={token}")).await.expect(200);
            let page: OrderPage = page.json();
            seen.extend(page.orders.into_iter().map(|order| order.id));
            // Before the next page, some lie before it and some behind it.
            for other in 0..2 {
                shop.place(&order(&format!("later-{}-{other}", seen.len()), &[("tea", 1)])).await;
            }
            match page.next_page_token {
                Some(next) => token = next,
                None => break,
            }
        }
        let once: BTreeSet<_> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "an order is listed twice");
        assert!(there.iter().all(|id| once.contains(id)), "an order that was there is not listed");
        let again: Vec<_> = listed(&shop, "", 7).await.into_iter().map(|order| order.id).collect();
        let kept: Vec<_> = again.into_iter().filter(|id| once.contains(id)).collect();
        assert_eq!(kept, seen, "the order of the list has changed");
        shop.close().await;
    }
}
