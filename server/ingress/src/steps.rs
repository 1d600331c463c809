//! Steps on an order: cancel, payments, fulfillments, returns.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use ordermill_api as api;
use ordermill_order::{Action, Command, Outcome, Step};

use crate::body::{parse, parse_or_empty};
use crate::call::Call;
use crate::headers::{idempotency_key, if_match};
use crate::openapi::refusals;
use crate::problem::Failure;
use crate::query::Query;
use crate::view::CancelResultView;
use crate::{answer, body, convert, path};

/// Cancel what is open of an order
///
/// The wish has an outcome: `done`; `too_late` when everything has left; `already` when the order had
/// ended before. The body may be left out.
#[utoipa::path(
        post,
        path = "/v1/orders/{id}/cancel",
        operation_id = "cancelOrder",
        tag = "Orders",
        params(
            ("id" = String, Path, description = "The order"),
            ("Idempotency-Key" = Option<String>, Header, description = "Makes the request happen once however often it is sent: the same key and body get the same answer again", max_length = 128),
            ("If-Match" = Option<String>, Header, description = "Refuse unless this is the version: the ETag of an answer", example = "\"3\""),
        ),
        request_body = Option<api::Cancellation>,
        responses(
            (status = 200, description = "What became of the wish, and the order", body = api::CancelResult, headers(
                ("ETag" = String, description = "The order's version"),
                ("Idempotent-Replayed" = Option<String>, description = "`true`: nothing was done now, the key was known"),
            )),
            refusals::Steps,
        ),
)]
pub(crate) async fn cancel(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "cancel", |bytes| convert::cancellation(parse_or_empty(bytes)?)).await
}

/// Record what happened to the payment
///
/// Ordermill moves no money: it records what a payment processor decided, and holds the order to it.
#[utoipa::path(
        post,
        path = "/v1/orders/{id}/payments",
        operation_id = "recordPayment",
        tag = "Orders",
        params(
            ("id" = String, Path, description = "The order"),
            ("Idempotency-Key" = Option<String>, Header, description = "Makes the request happen once however often it is sent: the same key and body get the same answer again", max_length = 128),
            ("If-Match" = Option<String>, Header, description = "Refuse unless this is the version: the ETag of an answer", example = "\"3\""),
        ),
        request_body = api::NewPayment,
        responses(
            (status = 200, description = "The order", body = api::Order, headers(
                ("ETag" = String, description = "The order's version"),
                ("Idempotent-Replayed" = Option<String>, description = "`true`: nothing was done now, the key was known"),
            )),
            refusals::Steps,
        ),
)]
pub(crate) async fn pay(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "payments", |bytes| convert::payment(parse(bytes)?)).await
}

/// Record a shipment
///
/// Without `lines`: everything that is held. The body may be left out.
#[utoipa::path(
        post,
        path = "/v1/orders/{id}/fulfillments",
        operation_id = "recordFulfillment",
        tag = "Orders",
        params(
            ("id" = String, Path, description = "The order"),
            ("Idempotency-Key" = Option<String>, Header, description = "Makes the request happen once however often it is sent: the same key and body get the same answer again", max_length = 128),
            ("If-Match" = Option<String>, Header, description = "Refuse unless this is the version: the ETag of an answer", example = "\"3\""),
        ),
        request_body = Option<api::NewFulfillment>,
        responses(
            (status = 200, description = "The order", body = api::Order, headers(
                ("ETag" = String, description = "The order's version"),
                ("Idempotent-Replayed" = Option<String>, description = "`true`: nothing was done now, the key was known"),
            )),
            refusals::Steps,
        ),
)]
pub(crate) async fn fulfil(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "fulfillments", |bytes| convert::fulfillment(parse_or_empty(bytes)?)).await
}

/// Record a return
///
/// Without `lines`: everything that has left and not come back. The body may be left out.
#[utoipa::path(
        post,
        path = "/v1/orders/{id}/returns",
        operation_id = "recordReturn",
        tag = "Orders",
        params(
            ("id" = String, Path, description = "The order"),
            ("Idempotency-Key" = Option<String>, Header, description = "Makes the request happen once however often it is sent: the same key and body get the same answer again", max_length = 128),
            ("If-Match" = Option<String>, Header, description = "Refuse unless this is the version: the ETag of an answer", example = "\"3\""),
        ),
        request_body = Option<api::NewReturn>,
        responses(
            (status = 200, description = "The order", body = api::Order, headers(
                ("ETag" = String, description = "The order's version"),
                ("Idempotent-Replayed" = Option<String>, description = "`true`: nothing was done now, the key was known"),
            )),
            refusals::Steps,
        ),
)]
pub(crate) async fn take_back(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "returns", |bytes| convert::returned(parse_or_empty(bytes)?)).await
}

async fn take(
    call: Call,
    request: Request<Body>,
    verb: &str,
    convert: impl FnOnce(&Bytes) -> Result<Step, Failure>,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    let id = path::order_id(&head.uri)?;
    let (key, if_version) = (idempotency_key(&head.headers)?, if_match(&head.headers)?);
    let bytes = body::read(&call.app, &head.headers, body).await?;
    let step = convert(&bytes)?;
    let tenant = call.tenant.clone();
    let idempotency = key.map(|key| convert::path_key(&tenant, &format!("/v1/orders/{id}/{verb}"), key, &bytes));
    let command = Command { tenant, idempotency, action: Action::Step { id, if_version, step } };
    match call.router().apply(command).await? {
        Outcome::Order { order, replayed } => Ok(answer::marked(answer::order(&order), replayed)),
        Outcome::Cancelled { order, outcome, replayed } => {
            let response = answer::of(StatusCode::OK, &CancelResultView::of(outcome, &order));
            Ok(answer::marked(answer::tagged(response, order.version), replayed))
        }
        other => unreachable!("a step on an order came out as {other:?}"),
    }
}
