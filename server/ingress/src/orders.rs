//! Orders: placed, read, listed.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use ordermill_api::Time;
use ordermill_order::{Outcome, Status};
use ordermill_routing::OrderFilter;

use crate::call::Call;
use crate::convert::{create_key, identifier_fault, new_order};
use crate::headers::{Prefer, idempotency_key, none_match};
use crate::problem::Failure;
use crate::query::Query;
use crate::view::{OrderPageView, OrderView};
use crate::{answer, body, path};

/// Places an order.
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

/// Reads an order.
pub(crate) async fn get(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    Query::of(request.uri()).check()?;
    let id = path::order_id(request.uri())?;
    let order = call.router().order(call.tenant.clone(), id).await?;
    let order = order.ok_or_else(|| Failure::not_found("there is no such order"))?;
    if none_match(request.headers(), order.version) {
        return Ok(answer::not_modified(order.version));
    }
    Ok(answer::order(&order))
}

/// Lists orders.
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
