//! Orders: placed, read, listed.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use ordermill_api::{self as api, Time};
use ordermill_order::{Outcome, Status};
use ordermill_routing::{OrderFilter, Stale};

use crate::call::Call;
use crate::convert::{create_key, identifier_fault, new_order};
use crate::headers::{Prefer, idempotency_key, none_match};
use crate::openapi::{CONSISTENCY, refusals};
use crate::problem::Failure;
use crate::query::{Consistency, Query};
use crate::view::{OrderPageView, OrderView};
use crate::{answer, body, path};

/// Place an order
///
/// Waits until the stock of every line is decided, and answers with the order: `confirmed`, `backordered`,
/// or `rejected` with a reason per line. That is a decision and not an error: also a rejected order is
/// created. What is still `pending` when the wait is over is answered with 202; ask for it at its location.
#[utoipa::path(
        post,
        path = "/v1/orders",
        operation_id = "createOrder",
        tag = "Orders",
        params(
            ("dry_run" = Option<bool>, Query, description = "Answer what would happen, and change nothing"),
            ("Idempotency-Key" = Option<String>, Header, description = "Makes the request happen once however often it is sent: the same key and body get the same answer again", max_length = 128),
            ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait for the decision; `wait=N`: wait N seconds at most (RFC 7240)", example = "wait=5"),
        ),
        request_body = api::NewOrder,
        responses(
            (status = 201, description = "The order, decided", body = api::Order, headers(
                ("Location" = String, description = "Where the order is"),
                ("ETag" = String, description = "The order's version"),
                ("Idempotent-Replayed" = Option<String>, description = "`true`: nothing was done now, the key was known"),
            )),
            (status = 202, description = "The order, its stock still being decided", body = api::Order, headers(
                ("Location" = String, description = "Where the order is"),
                ("ETag" = String, description = "The order's version"),
            )),
            (status = 200, description = "What would happen (`dry_run`)", body = api::Order),
            refusals::Creates,
        ),
)]
pub(crate) async fn create(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let mut query = Query::of(&head.uri);
    let dry_run = query.parsed("dry_run", truth).unwrap_or_default();
    query.check()?;
    let key = idempotency_key(&head.headers)?;
    let prefer = Prefer::of(&head.headers);
    let bytes = body::read(&call.app, &head.headers, body).await?;
    let new = new_order(&call.tenant, key, body::parse(&bytes)?)?;
    let (router, tenant) = (call.router(), call.tenant.clone());
    if dry_run {
        let order = router.preview(tenant, new).await?;
        return Ok(answer::of(StatusCode::OK, &OrderView(&order)));
    }
    let key = key.map(|key| create_key(&tenant, new.customer.as_deref(), key, &bytes));
    match router.create(tenant, key, new, prefer.wait(call.app.config.settle_wait)).await? {
        Outcome::Order { order, replayed } => Ok(answer::placed(&order, replayed, prefer)),
        other => unreachable!("placing an order came out as {other:?}"),
    }
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "is neither true nor false".to_owned())
}

/// Read an order
#[utoipa::path(
        get,
        path = "/v1/orders/{id}",
        operation_id = "getOrder",
        tag = "Orders",
        params(
            ("id" = String, Path, description = "The order"),
            ("consistency" = Option<String>, Query, description = CONSISTENCY, example = "stale"),
            ("If-None-Match" = Option<String>, Header, description = "Answer 304 if this is still the version: the ETag of an answer", example = "\"3\""),
        ),
        responses(
            (status = 200, description = "The order", body = api::Order, headers(
                ("ETag" = String, description = "The order's version"),
                ("Age" = Option<u64>, description = "With `consistency=stale`, in seconds, rounded up: everything that was acknowledged so long ago, or longer, is contained"),
            )),
            (status = 304, description = "The order has not changed", headers(("Age" = Option<u64>, description = "With `consistency=stale`, in seconds, rounded up: everything that was acknowledged so long ago, or longer, is contained"))),
            refusals::ReadsOne,
        ),
)]
pub(crate) async fn get(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let consistency = query.consistency();
    query.check()?;
    let id = path::order_id(request.uri())?;
    let (router, tenant) = (call.router(), call.tenant.clone());
    let (order, age) = match consistency {
        Consistency::Linearizable => (router.order(tenant, id).await?, None),
        Consistency::Stale => {
            let Stale { value, age } = router.stale_order(tenant, id).await?;
            (value, Some(age))
        }
    };
    let order = order.ok_or_else(|| Failure::not_found("there is no such order").aged(age))?;
    if none_match(request.headers(), order.version) {
        return Ok(answer::aged(answer::not_modified(order.version), age));
    }
    Ok(answer::aged(answer::order(&order), age))
}

/// List orders
///
/// With `customer`: that customer's orders, oldest first, strongly consistent. Without: all orders, in a
/// stable order that is not one of time.
#[utoipa::path(
        get,
        path = "/v1/orders",
        operation_id = "listOrders",
        tag = "Orders",
        params(
            ("customer" = Option<String>, Query, description = "Only this customer's", max_length = 128),
            ("status" = Option<api::Status>, Query, description = "Only orders with this status"),
            ("created_after" = Option<String>, Query, description = "Only orders created after this time (RFC 3339)", format = DateTime),
            ("page_size" = Option<u64>, Query, description = "Rows of the page: 100 unless asked otherwise, at most 1,000", maximum = 1000),
            ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ),
        responses((status = 200, description = "A page of orders", body = api::OrderPage), refusals::Reads),
)]
pub(crate) async fn list(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let filter = OrderFilter {
        customer: query.parsed("customer", |text| match identifier_fault(text) {
            Some(reason) => Err(reason.to_owned()),
            None => Ok(text.to_owned()),
        }),
        status: query.parsed("status", status),
        created_after_ms: query.parsed("created_after", |text| text.parse::<Time>().map(|time| time.0)),
    };
    let (size, token) = (query.rows("page_size"), query.token("page_token"));
    query.check()?;
    let orders = call.router().orders(call.tenant.clone(), &filter, size, token.as_deref()).await?;
    Ok(answer::of(StatusCode::OK, &OrderPageView::of(&orders)))
}

fn status(text: &str) -> Result<Status, String> {
    let found = Status::ALL.into_iter().find(|status| status.as_str() == text);
    found.ok_or_else(|| format!("is none of {}", Status::ALL.map(Status::as_str).join(", ")))
}
