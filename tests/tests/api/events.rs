//! The event feed over HTTP: complete, in order, and taken up again after any interruption.

use ordermill_api::{Event, EventData, EventPage, Order, ProblemKind, Time};
use ordermill_tests::process::feed::{Stream, check_complete, check_same, events};
use ordermill_tests::process::problem;
use reqwest::Method;
use serde_json::{Value, json};

use super::{SHARDS, Shop, order, pence};

/// Orders with a few steps each.
async fn bustle(shop: &Shop, name: &str, orders: usize) -> Vec<Order> {
    let mut placed = Vec::new();
    for number in 0..orders {
        let now = shop.place(&order(&format!("{name}-{number}"), &[("tea", 1), ("cup", 1)])).await;
        if number % 2 == 0 {
            shop.does(&now, "payments", &json!({"action": "authorize", "amount": pence(200)})).await;
            shop.does(&now, "fulfillments", &json!({"lines": [{"line": 1, "quantity": 1}]})).await;
        } else {
            shop.step(&now, "cancel", &json!({})).await.expect(200);
        }
        placed.push(now);
    }
    ordermill_tests::process::audit(&shop.server.url()).await;
    placed
}

/// The attributes that CloudEvents 1.0 asks for, and ours.
fn check_attributes(event: &Event) {
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned).filter(|text| !text.is_empty());
    let value = serde_json::to_value(event).expect("an event is JSON");
    for name in ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "cursor"] {
        assert!(text(&value, name).is_some(), "{name} is missing: {value}");
    }
    assert_eq!((&*event.specversion, &*event.datacontenttype), ("1.0", "application/json"));
    assert!(event.source.starts_with('/') && event.time > Time(0));
    match &event.data {
        EventData::Order(order) => {
            assert!(event.r#type.starts_with("ordermill.order."), "{}", event.r#type);
            assert_eq!(order.id.as_deref(), Some(&*event.subject));
        }
        EventData::Item(item) => {
            assert_eq!((&*event.r#type, &item.sku), ("ordermill.item.changed", &event.subject));
        }
    }
}

#[tokio::test]
async fn pages_have_every_version_of_every_order_once() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 100), ("cup", 100)]).await;
        let placed = bustle(&shop, "ann", 12).await;
        let all = events(&shop.http, None, 500).await;
        all.iter().for_each(check_attributes);
        check_complete(&all, &shop.http.orders().await);
        for size in [1, 7] {
            check_same(&all, &events(&shop.http, None, size).await);
        }
        // From any event on: what comes after it and nothing else.
        for middle in [0, all.len() / 2, all.len() - 1] {
            let rest = events(&shop.http, Some(&all[middle].cursor), 7).await;
            assert_eq!(rest.len(), all.len() - middle - 1, "after event {middle}");
        }
        let confirmed = shop.http.get("/v1/events?limit=500&type=ordermill.order.confirmed").await.expect(200);
        let confirmed: EventPage = confirmed.json();
        let subjects: Vec<_> = confirmed.events.iter().map(|event| Some(event.subject.clone())).collect();
        assert_eq!(subjects.len(), placed.len());
        assert!(placed.iter().all(|order| subjects.contains(&order.id)));
        let wrong = shop.http.get("/v1/events?after=nonsense").await;
        assert_eq!(problem(&wrong), ProblemKind::InvalidRequest);
        shop.close().await;
    }
}

/// Follows the stream until `count` events have been seen in all.
async fn follow(stream: &mut Stream, seen: &mut Vec<Event>, count: usize) {
    while seen.len() < count {
        seen.push(stream.next().await.expect("the stream goes on"));
    }
}

#[tokio::test]
async fn a_stream_goes_on_after_a_cut_and_after_a_crash() {
    for shards in SHARDS {
        let mut shop = Shop::open(shards, &[("tea", 100), ("cup", 100)]).await;
        let mut stream = Stream::open(&shop.http, None).await;
        let mut seen = Vec::new();
        // Live: events come while they happen.
        bustle(&shop, "ann", 4).await;
        let count = events(&shop.http, None, 500).await.len();
        follow(&mut stream, &mut seen, count - 3).await;
        // Cut by the client, in the midst of what is there.
        drop(stream);
        bustle(&shop, "bob", 4).await;
        let last = |seen: &[Event]| seen.last().map(|event| event.cursor.clone());
        let mut stream = Stream::open(&shop.http, last(&seen).as_deref()).await;
        follow(&mut stream, &mut seen, count + 5).await;
        // Cut by the death of the server.
        shop.server.kill().await;
        while let Some(event) = stream.next().await {
            seen.push(event);
        }
        shop.server.restart().await;
        let mut stream = Stream::open(&shop.http, last(&seen).as_deref()).await;
        bustle(&shop, "cat", 4).await;
        let all = events(&shop.http, None, 500).await;
        follow(&mut stream, &mut seen, all.len()).await;
        check_same(&all, &seen);
        check_complete(&seen, &shop.http.orders().await);
        let request = shop.http.request(Method::GET, "/v1/events").header("accept", "text/event-stream");
        let wrong = shop.http.send(request.header("last-event-id", "nonsense")).await.expect("the server answers");
        assert_eq!(problem(&wrong), ProblemKind::InvalidRequest);
        drop(stream);
        shop.close().await;
    }
}
