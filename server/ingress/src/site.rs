//! What is not the API itself: health, measurements, the description and its page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use ordermill_api::{self as api, Health};
use ordermill_routing::Status;

use crate::answer;
use crate::app::App;
use crate::openapi::openapi_json;

fn health(status: StatusCode, word: &str) -> Response {
    answer::of(status, &Health { status: word.to_owned() })
}

/// Whether the process lives
#[utoipa::path(
        get,
        path = "/healthz",
        operation_id = "healthz",
        tag = "Server",
        responses((status = 200, description = "It lives", body = api::Health)),
)]
pub(crate) async fn alive() -> Response {
    health(StatusCode::OK, "ok")
}

/// Whether requests can be served
#[utoipa::path(
        get,
        path = "/readyz",
        operation_id = "readyz",
        tag = "Server",
        responses(
            (status = 200, description = "They can", body = api::Health),
            (status = 503, description = "They cannot: recovering, draining, stopped, or the machine's clock is wrong", body = api::Health),
        ),
)]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    if *app.stopping.borrow() {
        return health(StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    match app.backend.status() {
        Status::Serving => health(StatusCode::OK, "ok"),
        Status::Recovering => health(StatusCode::SERVICE_UNAVAILABLE, "recovering"),
        Status::Draining => health(StatusCode::SERVICE_UNAVAILABLE, "draining"),
        Status::Stopped => health(StatusCode::SERVICE_UNAVAILABLE, "stopped"),
        Status::ClockOff => health(StatusCode::SERVICE_UNAVAILABLE, "clock"),
    }
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// Measurements, in the text format of Prometheus
#[utoipa::path(
        get,
        path = "/metrics",
        operation_id = "metrics",
        tag = "Server",
        responses((status = 200, description = "The measurements", body = String, content_type = "text/plain")),
)]
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    app.admission.publish();
    typed("text/plain; version=0.0.4; charset=utf-8", (app.config.metrics)())
}

/// The description of the API.
pub(crate) async fn openapi() -> Response {
    typed("application/json", openapi_json())
}

/// The description as a page to read.
pub(crate) async fn docs() -> Response {
    let mut response = typed("text/html; charset=utf-8", include_str!("docs.html"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// People who look at the root want the page.
pub(crate) async fn home() -> Response {
    Redirect::temporary("/docs").into_response()
}
