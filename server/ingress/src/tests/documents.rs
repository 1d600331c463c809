//! The committed documents say what the code says.

use std::collections::BTreeSet;
use std::path::PathBuf;

use axum::http::StatusCode;
use ordermill_api::{Problem, ProblemKind};
use serde_json::Value;

use super::Engine;
use crate::openapi_json;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_committed_description_is_current() {
    let committed = std::fs::read_to_string(docs().join("openapi.json")).unwrap_or_default();
    assert!(committed == openapi_json(), "docs/openapi.json is not what the code says: run `cargo xtask codegen`");
}

#[test]
fn the_description_refers_only_to_what_it_has() {
    let description: Value = serde_json::from_str(openapi_json()).unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let mut todo = vec![&description];
    let mut operations = BTreeSet::new();
    while let Some(value) = todo.pop() {
        match value {
            Value::Object(fields) => {
                if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(description.pointer(&target[1..]).is_some(), "{target}");
                }
                if let Some(id) = fields.get("operationId").and_then(Value::as_str) {
                    assert!(operations.insert(id.to_owned()), "{id} is there twice");
                }
                todo.extend(fields.values());
            }
            Value::Array(values) => todo.extend(values),
            _ => {}
        }
    }
    assert_eq!(operations.len(), 27);
}

#[test]
fn examples_are_understood() {
    let description: Value = serde_json::from_str(openapi_json()).unwrap();
    let example = |name: &str| description["components"]["schemas"][name]["example"].clone();
    macro_rules! understood {
        ($($name:ident),+) => { $(
            serde_json::from_value::<ordermill_api::$name>(example(stringify!($name))).expect(stringify!($name));
        )+ };
    }
    understood!(
        NewOrder,
        ImportLine,
        ImportResult,
        Cancellation,
        CancelResult,
        NewPayment,
        NewFulfillment,
        NewReturn,
        PutItem,
        Adjustment,
        Order,
        Item
    );
}

#[test]
fn every_problem_has_its_page_and_no_page_is_left_over() {
    let pages = std::fs::read_dir(docs().join("errors")).unwrap();
    let mut pages: BTreeSet<String> =
        pages.map(|page| page.unwrap().file_name().into_string().unwrap()).filter(|name| name != "README.md").collect();
    for kind in ProblemKind::ALL {
        let name = format!("{}.md", kind.slug());
        assert!(pages.remove(&name), "docs/errors/{name} is missing");
        let text = std::fs::read_to_string(docs().join("errors").join(&name)).unwrap();
        let title = format!("# {} (`{}`, {})\n", kind.title(), kind.slug(), kind.status());
        assert!(text.starts_with(&title), "docs/errors/{name} does not begin with {title}");
        let example = text.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
        let example: Problem = serde_json::from_str(example.unwrap_or_default()).expect(&name);
        assert_eq!((example.kind(), example.status, &*example.title), (Some(*kind), kind.status(), kind.title()));
    }
    assert!(pages.is_empty(), "pages of no problem: {pages:?}");
}

#[tokio::test]
async fn the_site_is_served() {
    let engine = Engine::start().await;
    assert_eq!(engine.get("/openapi.json").await.body, openapi_json());
    let page = engine.get("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(!String::from_utf8_lossy(&page.body).contains("://"), "the page needs nothing from elsewhere");
    let home = engine.get("/").await;
    assert_eq!((home.status, home.header("location")), (StatusCode::TEMPORARY_REDIRECT, "/docs"));
    assert_eq!(engine.get("/readyz").await.json()["status"], "ok");
    assert_eq!(engine.get("/metrics").await.status, StatusCode::OK);
    engine.stop.send_replace(true);
    assert_eq!(engine.get("/readyz").await.json()["status"], "draining");
}
