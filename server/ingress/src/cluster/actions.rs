//! What administrators do. Each request is safe to send again: asking for what is so already changes
//! nothing.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use ordermill_api as api;
use ordermill_routing::administration::{Incarnation, Levelling, Request as Change};
use ordermill_station::limits;

use crate::call::Administrator;
use crate::openapi::refusals;
use crate::problem::Failure;
use crate::query::Query;
use crate::{answer, body, path, wire};

async fn carry_out(call: &Administrator, change: Change) -> Result<Response, Failure> {
    let map_version = call.router().administrate(change).await?;
    Ok(answer::of(StatusCode::OK, &api::ClusterChange { map_version }))
}

/// The body of a request that names nothing else.
async fn told(call: &Administrator, request: Request<Body>) -> Result<Bytes, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    body::read(&call.app, &head.headers, body).await
}

async fn of_member(
    call: &Administrator,
    request: Request<Body>,
    change: impl FnOnce(Incarnation) -> Change,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    let named = path::fourth(&head.uri, "member")?;
    let bytes = body::read(&call.app, &head.headers, body).await?;
    body::parse_or_empty::<wire::Nothing>(&bytes)?;
    let member = call.router().member_named(&named).await?;
    carry_out(call, change(member)).await
}

/// Drain a member
///
/// Moves all its shards to others, and gives it none. It goes on as a member. No request fails.
#[utoipa::path(
        post,
        path = "/v1/cluster/members/{member}/drain",
        operation_id = "drainMember",
        tag = "Cluster",
        params(("member" = String, Path, description = "The member: its incarnation, or a name that only one has", example = "ordermill-0")),
        responses((status = 200, description = "It was taken on", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn drain(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    of_member(&call, request, Change::Drain).await
}

/// Cordon a member
///
/// Gives it no more shards; those that it has stay.
#[utoipa::path(
        post,
        path = "/v1/cluster/members/{member}/cordon",
        operation_id = "cordonMember",
        tag = "Cluster",
        params(("member" = String, Path, description = "The member: its incarnation, or a name that only one has", example = "ordermill-0")),
        responses((status = 200, description = "It was taken on", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn cordon(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    of_member(&call, request, Change::Cordon).await
}

/// Uncordon a member
///
/// Lets shards go to it again: ends a cordon, and a drain. Refused while the member itself is about to stop.
#[utoipa::path(
        post,
        path = "/v1/cluster/members/{member}/uncordon",
        operation_id = "uncordonMember",
        tag = "Cluster",
        params(("member" = String, Path, description = "The member: its incarnation, or a name that only one has", example = "ordermill-0")),
        responses((status = 200, description = "It was taken on", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn uncordon(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    of_member(&call, request, Change::Uncordon).await
}

/// Move a shard
///
/// No request fails. The numbers of shards stay even: another one may move in exchange.
#[utoipa::path(
        post,
        path = "/v1/cluster/shards/{shard}/move",
        operation_id = "moveShard",
        tag = "Cluster",
        params(("shard" = u32, Path, description = "The shard", example = 7)),
        request_body = api::MoveShard,
        responses((status = 200, description = "It was taken on", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn move_shard(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    let named = path::fourth(&head.uri, "shard")?;
    let bytes = body::read(&call.app, &head.headers, body).await?;
    let wanted: wire::MoveShard<'_> = body::parse(&bytes)?;
    let shard = call.router().shard_named(&named).await?;
    let to = call.router().member_named(&wanted.to).await?;
    carry_out(&call, Change::Move { shard, to }).await
}

/// Split a shard
///
/// Two new shards take its place, each with a part of its slots. Rows do not move, and no request fails. Feed
/// cursors go on.
#[utoipa::path(
        post,
        path = "/v1/cluster/shards/{shard}/split",
        operation_id = "splitShard",
        tag = "Cluster",
        params(("shard" = u32, Path, description = "The shard", example = 7)),
        request_body(content = Option<api::SplitShard>),
        responses((status = 200, description = "It was taken on", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn split_shard(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    let named = path::fourth(&head.uri, "shard")?;
    let bytes = body::read(&call.app, &head.headers, body).await?;
    let wanted: wire::SplitShard<'_> = body::parse_or_empty(&bytes)?;
    let slot = |wire::Whole(at)| u16::try_from(at).map_err(|_| Failure::invalid("at", "is a slot: 0 to 65535"));
    let at = wanted.at.map(slot).transpose()?;
    let shard = call.router().shard_ever_named(&named).await?;
    carry_out(&call, Change::Split { shard, at }).await
}

/// Rebalance
///
/// Levels loads now, although no member is overloaded. The numbers of shards are kept even anyway.
#[utoipa::path(
        post,
        path = "/v1/cluster/rebalance",
        operation_id = "rebalance",
        tag = "Cluster",
        responses((status = 200, description = "It was taken on", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn rebalance(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    let bytes = told(&call, request).await?;
    body::parse_or_empty::<wire::Nothing>(&bytes)?;
    carry_out(&call, Change::Rebalance).await
}

/// Change rebalancing
///
/// What shards move for by themselves, and how many at once. It stays so, whoever coordinates. What is left out stays as
/// it is.
#[utoipa::path(
        post,
        path = "/v1/cluster/rebalancing",
        operation_id = "changeRebalancing",
        tag = "Cluster",
        request_body = api::ChangeRebalancing,
        responses((status = 200, description = "It is so", body = api::ClusterChange), refusals::Changes),
)]
pub(crate) async fn change_rebalancing(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    let bytes = told(&call, request).await?;
    let wanted: wire::ChangeRebalancing<'_> = body::parse(&bytes)?;
    let levelling = wanted.policy.map(|policy| match &*policy {
        "load" => Ok(Levelling::Load),
        "count" => Ok(Levelling::Count),
        "paused" => Ok(Levelling::Paused),
        _ => Err(Failure::invalid("policy", "is \"load\", \"count\" or \"paused\"")),
    });
    let bounds = 1..=limits::MOVES_AT_ONCE_MAX as u64;
    let moves_at_once = wanted.moves_at_once.map(|wire::Whole(moves)| match u32::try_from(moves) {
        Ok(few) if bounds.contains(&moves) => Ok(few),
        _ => Err(Failure::invalid("moves_at_once", format!("is a number of 1 to {}", bounds.end()))),
    });
    let (levelling, moves_at_once) = (levelling.transpose()?, moves_at_once.transpose()?);
    if levelling.is_none() && moves_at_once.is_none() {
        return Err(Failure::invalid("policy", "is missing, and so is moves_at_once: there is nothing to change"));
    }
    carry_out(&call, Change::Rebalancing { levelling, moves_at_once }).await
}

/// Raise the store's format
///
/// After an upgrade has finished everywhere: from then on records and rows are written in the format that is
/// named, and no build that does not know it can join. It never goes back. Refused while a member's build does
/// not know it; `detail` names the member.
#[utoipa::path(
        post,
        path = "/v1/cluster/format",
        operation_id = "raiseFormat",
        tag = "Cluster",
        request_body = api::RaiseFormat,
        responses((status = 200, description = "The store is in that format", body = api::FormatChange), refusals::Changes),
)]
pub(crate) async fn raise_format(call: Administrator, request: Request<Body>) -> Result<Response, Failure> {
    let bytes = told(&call, request).await?;
    let wanted: wire::RaiseFormat<'_> = body::parse(&bytes)?;
    let known = u32::try_from(wanted.format.0).ok().filter(|format| *format > 0);
    let format = known.ok_or_else(|| Failure::invalid("format", "is a number of 1 to 4294967295"))?;
    let (map_version, raised) = call.router().raise_format(format).await?;
    Ok(answer::of(StatusCode::OK, &api::FormatChange { map_version, format, raised }))
}
