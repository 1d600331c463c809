//! Answers that are successes.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use ordermill_order::{Item, Order, Status};
use serde::Serialize;

use crate::headers::Prefer;
use crate::view::{ItemView, OrderView, json};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A body of JSON.
pub(crate) fn of(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(json(value)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn etag(version: u64) -> HeaderValue {
    let mut text = String::with_capacity(24);
    text.push('"');
    text.push_str(itoa::Buffer::new().format(version));
    text.push('"');
    HeaderValue::try_from(text).expect("digits and quotes are a valid header")
}

/// `response`, tagged with the version that it shows.
pub(crate) fn tagged(mut response: Response, version: u64) -> Response {
    response.headers_mut().insert(header::ETAG, etag(version));
    response
}

/// `response`, marked when it answers a request that had been answered before.
pub(crate) fn marked(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// `response`, with the age of what it shows in whole seconds (RFC 9111), rounded up; as it is without one.
pub(crate) fn aged(mut response: Response, age: Option<Duration>) -> Response {
    if let Some(age) = age {
        let seconds = age.as_secs() + u64::from(age.subsec_nanos() > 0);
        response.headers_mut().insert(header::AGE, seconds.into());
    }
    response
}

/// An order that was there.
pub(crate) fn order(order: &Order) -> Response {
    tagged(of(StatusCode::OK, &OrderView(order)), order.version)
}

/// An order that was placed: decided, or still pending.
pub(crate) fn placed(order: &Order, replayed: bool, prefer: Prefer) -> Response {
    let status = if order.status() == Status::Pending { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    let mut response = marked(tagged(of(status, &OrderView(order)), order.version), replayed);
    let location = format!("/v1/orders/{}", order.id);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location.try_into().expect("an id is a valid header"));
    if let Some(applied) = prefer.applied() {
        headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static(applied));
    }
    response
}

/// An item.
pub(crate) fn item(status: StatusCode, sku: &str, item: &Item) -> Response {
    tagged(of(status, &ItemView::of(sku, item)), item.version)
}

/// The client has this version already.
pub(crate) fn not_modified(version: u64) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    tagged(response, version)
}
