//! The cluster: its members and shards, as administrators and the operator see them.

pub(crate) mod actions;
mod view;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use ordermill_api as api;

use crate::answer;
use crate::call::Administrator;
use crate::openapi::refusals;
use crate::problem::Failure;
use crate::query::Query;

/// Read the cluster
///
/// The map's version, who coordinates, and how much there is.
#[utoipa::path(
        get,
        path = "/v1/cluster",
        operation_id = "getCluster",
        tag = "Cluster",
        responses((status = 200, description = "The cluster", body = api::Cluster), refusals::Administrates),
)]
pub(crate) async fn summary(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    Query::of(request.uri()).check()?;
    let overview = call.router().overview().await;
    Ok(answer::of(StatusCode::OK, &view::cluster(&overview, call.router().incarnation())))
}

/// List members
#[utoipa::path(
        get,
        path = "/v1/cluster/members",
        operation_id = "listMembers",
        tag = "Cluster",
        responses((status = 200, description = "The members", body = api::MemberList), refusals::Administrates),
)]
pub(crate) async fn members(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    Query::of(request.uri()).check()?;
    Ok(answer::of(StatusCode::OK, &view::members(&call.router().overview().await)))
}

/// List shards
///
/// In the order of their slots.
#[utoipa::path(
        get,
        path = "/v1/cluster/shards",
        operation_id = "listShards",
        tag = "Cluster",
        params(
            ("page_size" = Option<u64>, Query, description = "Rows of the page: 100 unless asked otherwise, at most 1,000", maximum = 1000),
            ("page_token" = Option<String>, Query, description = "`next_page_token` of the page before"),
        ),
        responses((status = 200, description = "A page of shards", body = api::ShardPage), refusals::Administrates),
)]
pub(crate) async fn shards(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    let mut query = Query::of(request.uri());
    let size = query.rows("page_size");
    let from = query.parsed("page_token", |token| match token {
        "" => Ok(0),
        token => token.parse::<u16>().map_err(|_| "was not made by this cluster".to_owned()),
    });
    query.check()?;
    Ok(answer::of(StatusCode::OK, &view::shards(&call.router().overview().await, from.unwrap_or(0), size)))
}
