//! Orders from their placing to their end.

use axum::http::{Method, StatusCode};
use ordermill_api::{CancelResult, Order, ProblemKind, Status};

use super::{Answer, Engine, order, request};

fn placed(answer: &Answer) -> Order {
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn an_order_is_decided_and_can_be_read() {
    let engine = Engine::stocked().await;
    let answer = engine.post("/v1/orders", &order("c-17", &[("A", 2), ("B", 3)])).await;
    let placed = placed(&answer);
    assert_eq!((placed.status, placed.total.amount, placed.lines[1].held), (Status::Confirmed, 5 * 255, 3));
    let location = format!("/v1/orders/{}", placed.id.clone().unwrap());
    assert_eq!((answer.header("location"), answer.header("etag")), (&*location, "\"1\""));

    let read = engine.get(&location).await;
    assert_eq!((read.status, &read.body), (StatusCode::OK, &answer.body));
    let known = engine.send(request(Method::GET, &location, &[("if-none-match", "\"1\"")], "")).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let head = engine.send(request(Method::HEAD, &location, &[], "")).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}

#[tokio::test]
async fn an_order_that_cannot_be_met_is_a_decision() {
    let engine = Engine::stocked().await;
    let answer = engine.post("/v1/orders", &order("c-17", &[("A", 1), ("B", 101)])).await;
    let placed = placed(&answer);
    assert_eq!(placed.status, Status::Rejected);
    assert_eq!(placed.lines[1].reason.as_deref(), Some("insufficient_stock"));
}

#[tokio::test]
async fn a_key_makes_a_create_happen_once() {
    let engine = Engine::stocked().await;
    let key = [("idempotency-key", "k-1")];
    let body = order("c-17", &[("A", 2)]);
    let first = engine.post_with("/v1/orders", &key, &body).await;
    let again = engine.post_with("/v1/orders", &key, &body).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));

    let other = engine.post_with("/v1/orders", &key, &order("c-17", &[("A", 3)])).await;
    other.problem(ProblemKind::IdempotencyKeyReused);
    // Another customer's key is another key.
    placed(&engine.post_with("/v1/orders", &key, &order("c-18", &[("A", 2)])).await);
    let item = engine.get("/v1/items/A").await;
    assert_eq!(item.json()["held"], 4);
}

#[tokio::test]
async fn a_reference_is_taken_for_ever() {
    let engine = Engine::stocked().await;
    let body = order("c-17", &[("A", 2)]).replace("\"lines\"", "\"reference\":\"web-1\",\"lines\"");
    let first = placed(&engine.post("/v1/orders", &body).await);
    let problem = engine.post("/v1/orders", &body).await.problem(ProblemKind::ReferenceTaken);
    assert_eq!((problem.order_id, problem.errors[0].field.as_str()), (first.id, "reference"));
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let engine = Engine::stocked().await;
    let answer = engine.post("/v1/orders?dry_run=true", &order("c-17", &[("A", 2)])).await;
    assert_eq!(answer.status, StatusCode::OK);
    let shown: Order = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((shown.id, shown.status, shown.lines[0].held), (None, Status::Confirmed, 2));
    assert_eq!(engine.get("/v1/items/A").await.json()["held"], 0);
    assert_eq!(engine.get("/v1/orders").await.json()["orders"].as_array().unwrap().len(), 0);
    let unknown = engine.post("/v1/orders?dry_run=true", &order("c-17", &[("A", 2), ("?", 1)])).await;
    assert_eq!(unknown.problem(ProblemKind::UnknownSku).errors[0].field, "lines[1].sku");
    placed(&engine.post("/v1/orders?dry_run=false", &order("c-17", &[("A", 2)])).await);
}

#[tokio::test]
async fn preferences_are_taken_into_account() {
    let engine = Engine::stocked().await;
    let body = order("c-17", &[("A", 1)]);
    let answer = engine.post_with("/v1/orders", &[("prefer", "respond-async, wait=5")], &body).await;
    assert_eq!(answer.header("preference-applied"), "respond-async, wait");
    placed(&answer);
    let answer = engine.post_with("/v1/orders", &[("prefer", "respond-async")], &body).await;
    assert!(matches!(answer.status, StatusCode::CREATED | StatusCode::ACCEPTED));
    assert!(answer.header("location").starts_with("/v1/orders/"));
}

#[tokio::test]
async fn steps_are_taken_once_and_on_the_right_version() {
    let engine = Engine::stocked().await;
    let placed = placed(&engine.post("/v1/orders", &order("c-17", &[("A", 2)])).await);
    let path = |step: &str| format!("/v1/orders/{}/{step}", placed.id.as_deref().unwrap());
    let pay = r#"{"action":"authorize","amount":{"amount":510,"currency":"GBP"}}"#;
    let key = [("idempotency-key", "k-1"), ("if-match", "\"1\"")];
    let paid = engine.post_with(&path("payments"), &key, pay).await;
    assert_eq!((paid.status, paid.header("etag")), (StatusCode::OK, "\"2\""));
    let again = engine.post_with(&path("payments"), &key, pay).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &paid.body));
    engine.post_with(&path("payments"), &[("if-match", "\"1\"")], pay).await.problem(ProblemKind::VersionMismatch);
    engine.post(&path("payments"), pay).await.problem(ProblemKind::StateConflict);
    let wrong = pay.replace("GBP", "EUR");
    assert_eq!(engine.post(&path("payments"), &wrong).await.fields(), ["amount.currency"]);

    let part = r#"{"lines":[{"line":1,"quantity":1}],"tracking":"T1"}"#;
    let sent = engine.post(&path("fulfillments"), part).await;
    assert_eq!(sent.json()["status"], "partially_fulfilled");
    assert_eq!(engine.post(&path("fulfillments"), "").await.json()["status"], "fulfilled");
    let back = engine.post(&path("returns"), r#"{"reason":"broken","restock":false}"#).await;
    let back: Order = serde_json::from_slice(&back.body).unwrap();
    assert_eq!((back.status, back.fulfillments.len(), back.returns.len()), (Status::Returned, 2, 1));
    let late: CancelResult = serde_json::from_slice(&engine.post(&path("cancel"), "{}").await.body).unwrap();
    assert_eq!(late.outcome, ordermill_api::CancelOutcome::TooLate);
}

#[tokio::test]
async fn cancelling_has_an_outcome() {
    let engine = Engine::stocked().await;
    let placed = placed(&engine.post("/v1/orders", &order("c-17", &[("A", 2)])).await);
    let path = format!("/v1/orders/{}/cancel", placed.id.unwrap());
    let done = engine.post(&path, r#"{"reason":"ordered twice"}"#).await;
    assert_eq!((&done.json()["outcome"], &done.json()["order"]["status"]), (&"done".into(), &"cancelled".into()));
    assert_eq!(done.header("etag"), "\"2\"");
    assert_eq!(engine.post(&path, "").await.json()["outcome"], "already");
    assert_eq!(engine.get("/v1/items/A").await.json()["held"], 0);
}

#[tokio::test]
async fn orders_are_listed_page_by_page() {
    let engine = Engine::stocked().await;
    for customer in ["c-1", "c-2", "c-1"] {
        placed(&engine.post("/v1/orders", &order(customer, &[("A", 1)])).await);
    }
    let count =
        async |query: &str| engine.get(&format!("/v1/orders?{query}")).await.json()["orders"].as_array().unwrap().len();
    assert_eq!(count("customer=c-1").await, 2);
    assert_eq!(count("status=confirmed&page_size=0").await, 3);
    assert_eq!(count("status=rejected").await, 0);
    assert_eq!(count("created_after=2999-01-01T00:00:00Z").await, 0);
    let first = engine.get("/v1/orders?customer=c-1&page_size=1").await.json();
    let token = first["next_page_token"].as_str().unwrap();
    let second = engine.get(&format!("/v1/orders?customer=c-1&page_size=1&page_token={token}")).await.json();
    assert_ne!(first["orders"][0]["id"], second["orders"][0]["id"]);
}

#[tokio::test]
async fn a_read_says_what_it_has_to_see() {
    let engine = Engine::stocked().await;
    let placed = placed(&engine.post("/v1/orders", &order("c-17", &[("A", 2)])).await);
    let path = format!("/v1/orders/{}", placed.id.unwrap());
    for path in [path.as_str(), "/v1/items/A"] {
        let (usual, named) = (engine.get(path).await, engine.get(&format!("{path}?consistency=linearizable")).await);
        assert_eq!((usual.header("age"), named.header("age")), ("", ""));
        // The only owner is asked where there is one: nothing is missing.
        let stale = engine.get(&format!("{path}?consistency=stale")).await;
        assert_eq!((stale.status, stale.header("age"), &stale.body), (StatusCode::OK, "0", &usual.body));
        let wrong = engine.get(&format!("{path}?consistency=eventual")).await;
        assert_eq!(wrong.fields(), ["consistency"]);
    }
    let nothing = engine.get("/v1/items/none?consistency=stale").await;
    assert_eq!(nothing.header("age"), "0");
    nothing.problem(ProblemKind::NotFound);
}
