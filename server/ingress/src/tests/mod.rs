//! The API as a client meets it, over a whole engine in this process.

mod bad_input;
mod cluster;
mod documents;
mod events;
mod import;
mod items;
mod orders;
mod server;
mod views;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use ordermill_admission::Admission;
use ordermill_api::{Problem, ProblemKind};
use ordermill_embedded::Embedded;
use ordermill_routing::Router;
use ordermill_station::clock;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

use crate::app::{App, routes};
use crate::{Backend, Config};

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(30);

/// An engine behind the API.
struct Engine {
    routes: axum::Router,
    backend: Backend,
    stop: watch::Sender<bool>,
    _dir: TempDir,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The problem that this is: of `kind`, in the right form.
    #[track_caller]
    fn problem(&self, kind: ProblemKind) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: Problem = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem.kind(), Some(kind), "{problem:?}");
        assert_eq!(self.status.as_u16(), kind.status());
        assert_eq!((problem.status, problem.title.as_str()), (kind.status(), kind.title()));
        assert!(!problem.detail.is_empty());
        problem
    }

    /// The fields that an invalid request names.
    #[track_caller]
    fn fields(&self) -> Vec<String> {
        self.problem(ProblemKind::InvalidRequest).errors.into_iter().map(|error| error.field).collect()
    }
}

impl Engine {
    async fn start() -> Self {
        Self::with(1, |_| ()).await
    }

    async fn with(shards: u32, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = clock::System::shared();
        let config = ordermill_embedded::Config {
            free_bytes_min: 1 << 20,
            segment_bytes: 4 << 20,
            ..ordermill_embedded::Config::new(dir.path(), 1, shards)
        };
        let store = Embedded::open(config, clock.clone()).unwrap();
        let config = ordermill_routing::Config {
            cluster: 1,
            shards,
            cache_bytes: 8 << 20,
            flush_bytes: 8 << 20,
            flush_interval: Duration::from_secs(1),
            journal_retention: Duration::from_hours(1),
            idempotency_retention: Duration::from_hours(1),
        };
        let router = Router::open(config, Arc::new(store), clock.clone());
        tokio::time::timeout(DEADLINE, router.ready()).await.unwrap().unwrap();
        let backend = Backend::default();
        backend.open(router);
        let mut config = Config::new(clock);
        change(&mut config);
        let (stop, routes) = app(config, backend.clone());
        Self { routes, backend, stop, _dir: dir }
    }

    /// The engine with items that everything can be ordered of.
    async fn stocked() -> Self {
        let engine = Self::start().await;
        for sku in ["A", "B"] {
            let answer = engine.put(&format!("/v1/items/{sku}"), r#"{"on_hand":100}"#).await;
            assert_eq!(answer.status, StatusCode::CREATED);
        }
        engine
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.routes, request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        self.send(Request::put(path).body(body.to_owned().into()).unwrap()).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(Request::post(path).body(body.to_owned().into()).unwrap()).await
    }

    /// The same, with headers.
    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send(request(Method::POST, path, headers, body)).await
    }
}

fn app(config: Config, backend: Backend) -> (watch::Sender<bool>, axum::Router) {
    let (stop, stopping) = watch::channel(false);
    let admission = Admission::new(ordermill_admission::Config::default());
    (stop, routes(&Arc::new(App { config, backend, admission, stopping })))
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.to_owned().into()).unwrap()
}

async fn send(routes: &axum::Router, request: Request<Body>) -> Answer {
    let exchange = async {
        let response = routes.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    };
    tokio::time::timeout(DEADLINE, exchange).await.expect("there is an answer in time")
}

/// An order of `lines` (SKU, quantity) for `customer`.
fn order(customer: &str, lines: &[(&str, u64)]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|(sku, quantity)| {
            format!(r#"{{"sku":"{sku}","quantity":{quantity},"unit_price":{{"amount":255,"currency":"GBP"}}}}"#)
        })
        .collect();
    format!(r#"{{"customer":"{customer}","lines":[{}]}}"#, lines.join(","))
}
