//! Items: set, adjusted, read, listed.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use ordermill_order::{Command, Outcome};

use crate::call::Call;
use crate::headers::{idempotency_key, item_condition, none_match};
use crate::problem::Failure;
use crate::query::Query;
use crate::view::ItemPageView;
use crate::{answer, body, convert, path};

/// Sets an item.
pub(crate) async fn put(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    let sku = path::sku(&head.uri)?;
    let if_version = item_condition(&head.headers)?;
    let bytes = body::read(&call.app, &head.headers, body).await?;
    let action = convert::put_item(sku.clone(), &body::parse(&bytes)?, if_version)?;
    let command = Command { tenant: call.tenant.clone(), idempotency: None, action };
    changed(&sku, call.router().apply(command).await?)
}

/// Adjusts an item's quantity.
pub(crate) async fn adjust(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    let sku = path::sku(&head.uri)?;
    let key = idempotency_key(&head.headers)?;
    let bytes = body::read(&call.app, &head.headers, body).await?;
    let action = convert::adjustment(sku.clone(), body::parse(&bytes)?)?;
    let tenant = call.tenant.clone();
    let idempotency = key.map(|key| convert::path_key(&tenant, &format!("/v1/items/{sku}/adjustments"), key, &bytes));
    changed(&sku, call.router().apply(Command { tenant, idempotency, action }).await?)
}

fn changed(sku: &str, outcome: Outcome) -> Result<Response, Failure> {
    match outcome {
        Outcome::Item { item, replayed, created } => {
            let status = if created { StatusCode::CREATED } else { StatusCode::OK };
            Ok(answer::marked(answer::item(status, sku, &item), replayed))
        }
        other => unreachable!("a change of an item came out as {other:?}"),
    }
}

/// Reads an item.
pub(crate) async fn get(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    Query::of(request.uri()).check()?;
    let sku = path::sku(request.uri())?;
    let item = call.router().item(call.tenant.clone(), &sku).await?;
    let item = item.ok_or_else(|| Failure::not_found("there is no such item"))?;
    if none_match(request.headers(), item.version) {
        return Ok(answer::not_modified(item.version));
    }
    Ok(answer::item(StatusCode::OK, &sku, &item))
}

/// Lists items.
pub(crate) async fn list(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let (size, token) = (query.rows("page_size"), query.token("page_token"));
    query.check()?;
    let items = call.router().items(call.tenant.clone(), size, token.as_deref()).await?;
    Ok(answer::of(StatusCode::OK, &ItemPageView::of(&items)))
}
