//! Why a member did not do what was asked.

use ordermill_journal::Unreadable;

use super::refusal::{RefusalWire, refusal_of, refusal_to};
use crate::Failure;

/// A failure.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct FailureWire {
    /// Exactly one.
    #[prost(oneof = "FailureKind", tags = "1, 2, 3, 4, 5, 6")]
    kind: Option<FailureKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum FailureKind {
    /// Version of the map.
    #[prost(uint64, tag = "1")]
    NotOwner(u64),
    #[prost(message, tag = "2")]
    Refused(RefusalWire),
    #[prost(message, tag = "3")]
    Busy(()),
    #[prost(string, tag = "4")]
    Unavailable(String),
    #[prost(string, tag = "5")]
    Full(String),
    #[prost(string, tag = "6")]
    Unknown(String),
}

/// A kind of failure that this version does not know says nothing about what has happened.
pub(crate) fn failure_of(wire: FailureWire) -> Result<Failure, Unreadable> {
    let Some(kind) = wire.kind else {
        return Ok(Failure::Unknown("it failed in a way that this version does not know".into()));
    };
    Ok(match kind {
        FailureKind::NotOwner(map_version) => Failure::NotOwner { map_version },
        FailureKind::Refused(refusal) => Failure::Refused(refusal_of(refusal)?),
        FailureKind::Busy(()) => Failure::Busy,
        FailureKind::Unavailable(text) => Failure::Unavailable(text),
        FailureKind::Full(text) => Failure::Full(text),
        FailureKind::Unknown(text) => Failure::Unknown(text),
    })
}

pub(crate) fn failure_to(failure: Failure) -> FailureWire {
    let kind = match failure {
        Failure::NotOwner { map_version } => FailureKind::NotOwner(map_version),
        Failure::Refused(refusal) => FailureKind::Refused(refusal_to(refusal)),
        Failure::Busy => FailureKind::Busy(()),
        Failure::Unavailable(text) => FailureKind::Unavailable(text),
        Failure::Full(text) => FailureKind::Full(text),
        Failure::Unknown(text) => FailureKind::Unknown(text),
    };
    FailureWire { kind: Some(kind) }
}
