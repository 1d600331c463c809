//! Steps on an order: cancel, payments, fulfillments, returns.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use ordermill_order::{Action, Command, Outcome, Step};

use crate::body::{parse, parse_or_empty};
use crate::call::Call;
use crate::headers::{idempotency_key, if_match};
use crate::problem::Failure;
use crate::query::Query;
use crate::view::CancelResultView;
use crate::{answer, body, convert, path};

/// Cancels what is open.
pub(crate) async fn cancel(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "cancel", |bytes| convert::cancellation(parse_or_empty(bytes)?)).await
}

/// Records what happened to the payment.
pub(crate) async fn pay(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "payments", |bytes| convert::payment(parse(bytes)?)).await
}

/// Records a shipment.
pub(crate) async fn fulfil(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    take(call, request, "fulfillments", |bytes| convert::fulfillment(parse_or_empty(bytes)?)).await
}

/// Records a return.
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
