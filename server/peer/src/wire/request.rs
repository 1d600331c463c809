//! Requests.

use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;
use ordermill_journal::Unreadable;

use super::action::{CommandWire, command_of, command_to};
use super::{present, short_of, unreadable};
use crate::Request;

/// A request.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RequestWire {
    /// Exactly one.
    #[prost(oneof = "RequestKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    kind: Option<RequestKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum RequestKind {
    #[prost(message, tag = "1")]
    Apply(ApplyWire),
    #[prost(message, tag = "2")]
    ApplyMany(ApplyManyWire),
    #[prost(message, tag = "3")]
    Get(GetWire),
    #[prost(message, tag = "4")]
    Scan(ScanWire),
    #[prost(message, tag = "5")]
    Numbers(()),
    #[prost(bytes = "bytes", tag = "6")]
    Beat(Bytes),
    #[prost(bytes = "bytes", tag = "7")]
    Admin(Bytes),
}

/// A command for a slot.
#[derive(Clone, PartialEq, prost::Message)]
struct ApplyWire {
    #[prost(uint32, tag = "1")]
    slot: u32,
    #[prost(uint32, tag = "2")]
    hops: u32,
    /// Milliseconds.
    #[prost(uint64, tag = "3")]
    wait_ms: u64,
    #[prost(message, optional, tag = "4")]
    command: Option<CommandWire>,
}

/// Commands for one shard.
#[derive(Clone, PartialEq, prost::Message)]
struct ApplyManyWire {
    #[prost(uint32, tag = "1")]
    slot: u32,
    #[prost(uint32, tag = "2")]
    hops: u32,
    /// Milliseconds.
    #[prost(uint64, tag = "3")]
    wait_ms: u64,
    #[prost(message, repeated, tag = "4")]
    commands: Vec<CommandWire>,
}

/// A row that is wanted.
#[derive(Clone, PartialEq, prost::Message)]
struct GetWire {
    #[prost(uint32, tag = "1")]
    slot: u32,
    #[prost(uint32, tag = "2")]
    hops: u32,
    #[prost(bytes = "bytes", tag = "3")]
    key: Bytes,
}

/// Rows that are wanted.
#[derive(Clone, PartialEq, prost::Message)]
struct ScanWire {
    #[prost(uint32, tag = "1")]
    slot: u32,
    #[prost(uint32, tag = "2")]
    hops: u32,
    #[prost(message, optional, tag = "3")]
    from: Option<BoundWire>,
    #[prost(message, optional, tag = "4")]
    to: Option<BoundWire>,
    #[prost(uint64, tag = "5")]
    limit: u64,
}

/// An end of a range.
#[derive(Clone, PartialEq, prost::Message)]
struct BoundWire {
    /// 0 included, 1 excluded, 2 unbounded.
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
}

fn bound_of(wire: Option<BoundWire>) -> Result<Bound<Bytes>, Unreadable> {
    let what = "the end of a range";
    let BoundWire { code, key } = present(what, wire)?;
    Ok(match code {
        0 => Bound::Included(key),
        1 => Bound::Excluded(key),
        2 => Bound::Unbounded,
        _ => return Err(unreadable(what, "its code is not known")),
    })
}

fn bound_to(bound: Bound<Bytes>) -> Option<BoundWire> {
    let (code, key) = match bound {
        Bound::Included(key) => (0, key),
        Bound::Excluded(key) => (1, key),
        Bound::Unbounded => (2, Bytes::new()),
    };
    Some(BoundWire { code, key })
}

fn hops_of(hops: u32) -> Result<u8, Unreadable> {
    hops.try_into().map_err(|_| unreadable("a request", "it was passed on too often"))
}

fn wait_to(wait: Duration) -> u64 {
    wait.as_millis().try_into().unwrap_or(u64::MAX)
}

pub(crate) fn request_of(wire: RequestWire) -> Result<Request, Unreadable> {
    let what = "a request";
    Ok(match present(what, wire.kind)? {
        RequestKind::Apply(ApplyWire { slot, hops, wait_ms, command }) => Request::Apply {
            slot: short_of(what, slot)?,
            hops: hops_of(hops)?,
            wait: Duration::from_millis(wait_ms),
            command: command_of(present(what, command)?)?,
        },
        RequestKind::ApplyMany(ApplyManyWire { slot, hops, wait_ms, commands }) => Request::ApplyMany {
            slot: short_of(what, slot)?,
            hops: hops_of(hops)?,
            wait: Duration::from_millis(wait_ms),
            commands: commands.into_iter().map(command_of).collect::<Result<_, _>>()?,
        },
        RequestKind::Get(GetWire { slot, hops, key }) => {
            Request::Get { slot: short_of(what, slot)?, hops: hops_of(hops)?, key }
        }
        RequestKind::Scan(ScanWire { slot, hops, from, to, limit }) => Request::Scan {
            slot: short_of(what, slot)?,
            hops: hops_of(hops)?,
            from: bound_of(from)?,
            to: bound_of(to)?,
            limit: limit as usize,
        },
        RequestKind::Numbers(()) => Request::Numbers,
        RequestKind::Beat(bytes) => Request::Beat(bytes),
        RequestKind::Admin(bytes) => Request::Admin(bytes),
    })
}

pub(crate) fn request_to(request: Request) -> RequestWire {
    let kind = match request {
        Request::Apply { slot, hops, wait, command } => RequestKind::Apply(ApplyWire {
            slot: slot.into(),
            hops: hops.into(),
            wait_ms: wait_to(wait),
            command: Some(command_to(command)),
        }),
        Request::ApplyMany { slot, hops, wait, commands } => RequestKind::ApplyMany(ApplyManyWire {
            slot: slot.into(),
            hops: hops.into(),
            wait_ms: wait_to(wait),
            commands: commands.into_iter().map(command_to).collect(),
        }),
        Request::Get { slot, hops, key } => RequestKind::Get(GetWire { slot: slot.into(), hops: hops.into(), key }),
        Request::Scan { slot, hops, from, to, limit } => RequestKind::Scan(ScanWire {
            slot: slot.into(),
            hops: hops.into(),
            from: bound_to(from),
            to: bound_to(to),
            limit: limit as u64,
        }),
        Request::Numbers => RequestKind::Numbers(()),
        Request::Beat(bytes) => RequestKind::Beat(bytes),
        Request::Admin(bytes) => RequestKind::Admin(bytes),
    };
    RequestWire { kind: Some(kind) }
}
