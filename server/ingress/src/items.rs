//! Items: set, adjusted, read, listed.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use ordermill_api as api;
use ordermill_order::{Command, Outcome};
use ordermill_routing::Stale;

use crate::call::Call;
use crate::headers::{idempotency_key, item_condition, none_match};
use crate::openapi::{CONSISTENCY, refusals};
use crate::problem::Failure;
use crate::query::{Consistency, Query};
use crate::view::ItemPageView;
use crate::{answer, body, convert, path};

/// Set an item
///
/// Creates it, or sets what is on hand and whether it takes backorders. What is held stays held.
#[utoipa::path(
        put,
        path = "/v1/items/{sku}",
        operation_id = "putItem",
        tag = "Items",
        params(
            ("sku" = String, Path, description = "The item; percent-encoded where it has to be", example = "85123A"),
            ("If-Match" = Option<String>, Header, description = "Refuse unless this is the version: the ETag of an answer", example = "\"3\""),
            ("If-None-Match" = Option<String>, Header, description = "`*`: refuse if the item exists", example = "*"),
        ),
        request_body = api::PutItem,
        responses(
            (status = 200, description = "The item", body = api::Item, headers(("ETag" = String, description = "The item's version"))),
            (status = 201, description = "The item, which is new", body = api::Item, headers(("ETag" = String, description = "The item's version"))),
            refusals::Puts,
        ),
)]
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

/// Add units to an item, or take some
#[utoipa::path(
        post,
        path = "/v1/items/{sku}/adjustments",
        operation_id = "adjustItem",
        tag = "Items",
        params(
            ("sku" = String, Path, description = "The item; percent-encoded where it has to be", example = "85123A"),
            ("Idempotency-Key" = Option<String>, Header, description = "Makes the request happen once however often it is sent: the same key and body get the same answer again", max_length = 128),
        ),
        request_body = api::Adjustment,
        responses(
            (status = 200, description = "The item", body = api::Item, headers(
                ("ETag" = String, description = "The item's version"),
                ("Idempotent-Replayed" = Option<String>, description = "`true`: nothing was done now, the key was known"),
            )),
            refusals::Adjustments,
        ),
)]
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

/// Read an item
#[utoipa::path(
        get,
        path = "/v1/items/{sku}",
        operation_id = "getItem",
        tag = "Items",
        params(
            ("sku" = String, Path, description = "The item; percent-encoded where it has to be", example = "85123A"),
            ("consistency" = Option<String>, Query, description = CONSISTENCY, example = "stale"),
            ("If-None-Match" = Option<String>, Header, description = "Answer 304 if this is still the version: the ETag of an answer", example = "\"3\""),
        ),
        responses(
            (status = 200, description = "The item", body = api::Item, headers(
                ("ETag" = String, description = "The item's version"),
                ("Age" = Option<u64>, description = "With `consistency=stale`, in seconds, rounded up: everything that was acknowledged so long ago, or longer, is contained"),
            )),
            (status = 304, description = "The item has not changed", headers(("Age" = Option<u64>, description = "With `consistency=stale`, in seconds, rounded up: everything that was acknowledged so long ago, or longer, is contained"))),
            refusals::ReadsOne,
        ),
)]
pub(crate) async fn get(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let consistency = query.consistency();
    query.check()?;
    let sku = path::sku(request.uri())?;
    let (router, tenant) = (call.router(), call.tenant.clone());
    let (item, age) = match consistency {
        Consistency::Linearizable => (router.item(tenant, &sku).await?, None),
        Consistency::Stale => {
            let Stale { value, age } = router.stale_item(tenant, &sku).await?;
            (value, Some(age))
        }
    };
    let item = item.ok_or_else(|| Failure::not_found("there is no such item").aged(age))?;
    if none_match(request.headers(), item.version) {
        return Ok(answer::aged(answer::not_modified(item.version), age));
    }
    Ok(answer::aged(answer::item(StatusCode::OK, &sku, &item), age))
}

/// List items
///
/// In a stable order.
#[utoipa::path(
        get,
        path = "/v1/items",
        operation_id = "listItems",
        tag = "Items",
        params(
            ("page_size" = Option<u64>, Query, description = "Rows of the page: 100 unless asked otherwise, at most 1,000", maximum = 1000),
            ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ),
        responses((status = 200, description = "A page of items", body = api::ItemPage), refusals::Reads),
)]
pub(crate) async fn list(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let (size, token) = (query.rows("page_size"), query.token("page_token"));
    query.check()?;
    let items = call.router().items(call.tenant.clone(), size, token.as_deref()).await?;
    Ok(answer::of(StatusCode::OK, &ItemPageView::of(&items)))
}
