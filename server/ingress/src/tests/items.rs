//! Items: set, adjusted, read and listed.

use axum::http::{Method, StatusCode};
use ordermill_api::{Item, ProblemKind};

use super::{Engine, order, request};

#[tokio::test]
async fn an_item_is_set_adjusted_and_read() {
    let engine = Engine::start().await;
    let made = engine.put("/v1/items/A%2FB", r#"{"on_hand":10,"backorder":true}"#).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, "\"1\""));
    let item: Item = serde_json::from_slice(&made.body).unwrap();
    assert_eq!((item.sku.as_str(), item.available, item.backorder), ("A/B", 10, true));
    let changed = engine.put("/v1/items/A%2FB", r#"{"on_hand":12}"#).await;
    assert_eq!((changed.status, changed.header("etag")), (StatusCode::OK, "\"2\""));

    let path = "/v1/items/A%2FB/adjustments";
    let key = [("idempotency-key", "k")];
    let taken = engine.post_with(path, &key, r#"{"delta":-2,"reason":"counted"}"#).await;
    assert_eq!((taken.status, &taken.json()["on_hand"]), (StatusCode::OK, &10.into()));
    let again = engine.post_with(path, &key, r#"{"delta":-2,"reason":"counted"}"#).await;
    assert_eq!((again.header("idempotent-replayed"), &again.json()["on_hand"]), ("true", &10.into()));
    engine.post_with(path, &key, r#"{"delta":-3}"#).await.problem(ProblemKind::IdempotencyKeyReused);
    engine.post(path, r#"{"delta":-11}"#).await.problem(ProblemKind::StateConflict);
    engine.post("/v1/items/none/adjustments", r#"{"delta":1}"#).await.problem(ProblemKind::NotFound);
    assert_eq!(engine.get("/v1/items/A%2FB").await.json()["on_hand"], 10);
    engine.get("/v1/items/none").await.problem(ProblemKind::NotFound);
}

#[tokio::test]
async fn setting_can_insist_on_a_version() {
    let engine = Engine::start().await;
    let put = async |header: (&str, &str)| {
        engine.send(request(Method::PUT, "/v1/items/A", &[header], r#"{"on_hand":1}"#)).await
    };
    put(("if-match", "\"1\"")).await.problem(ProblemKind::VersionMismatch);
    assert_eq!(put(("if-none-match", "*")).await.status, StatusCode::CREATED);
    put(("if-none-match", "*")).await.problem(ProblemKind::VersionMismatch);
    assert_eq!(put(("if-match", "\"1\"")).await.status, StatusCode::OK);
    put(("if-match", "\"1\"")).await.problem(ProblemKind::VersionMismatch);
    put(("if-match", "\"0\"")).await.problem(ProblemKind::VersionMismatch);
    assert_eq!(put(("if-match", "2")).await.fields(), ["If-Match"]);
    let known = engine.send(request(Method::GET, "/v1/items/A", &[("if-none-match", "\"2\"")], "")).await;
    assert_eq!(known.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn what_is_held_stays() {
    let engine = Engine::stocked().await;
    engine.post("/v1/orders", &order("c", &[("A", 60)])).await;
    engine.put("/v1/items/A", r#"{"on_hand":59}"#).await.problem(ProblemKind::StateConflict);
    assert_eq!(engine.put("/v1/items/A", r#"{"on_hand":60}"#).await.json()["available"], 0);
}

#[tokio::test]
async fn items_are_listed_page_by_page() {
    let engine = Engine::stocked().await;
    let first = engine.get("/v1/items?page_size=1").await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = engine.get(&format!("/v1/items?page_size=1&page_token={token}")).await.json();
    assert_ne!(first["items"][0]["sku"], second["items"][0]["sku"]);
    assert_eq!(engine.get("/v1/items?page_token=nonsense").await.fields(), ["page_token"]);
}
