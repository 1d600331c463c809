//! Why the state machine refused a command. The text travels along: of a refusal that a newer
//! version has made up, it is what remains.

use ordermill_journal::Unreadable;
use ordermill_order::Refusal;
use ordermill_shard::convert::{id_of, id_to, status_code, status_of};

use super::{short_of, unreadable};

/// A refusal.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RefusalWire {
    /// The refusal in words.
    #[prost(string, tag = "1")]
    text: String,
    /// Exactly one.
    #[prost(oneof = "RefusalKind", tags = "2, 3, 4, 5, 6, 7, 8")]
    kind: Option<RefusalKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum RefusalKind {
    #[prost(message, tag = "2")]
    UnknownSku(UnknownSkuWire),
    #[prost(message, tag = "3")]
    NotFound(()),
    /// The version now.
    #[prost(uint64, tag = "4")]
    VersionMismatch(u64),
    #[prost(message, tag = "5")]
    KeyReused(()),
    #[prost(message, tag = "6")]
    ReferenceTaken(ReferenceTakenWire),
    /// What stands in the way is the text.
    #[prost(message, tag = "7")]
    Conflict(()),
    #[prost(message, tag = "8")]
    Invalid(InvalidWire),
}

/// There is no such item.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct UnknownSkuWire {
    /// Index of the line, from 0; absent when the item itself was addressed.
    #[prost(uint32, optional, tag = "1")]
    line: Option<u32>,
}

/// The reference is taken.
#[derive(Clone, PartialEq, prost::Message)]
struct ReferenceTakenWire {
    /// Order that has it: its id, 16 bytes big-endian; absent for a credit.
    #[prost(bytes = "vec", optional, tag = "1")]
    order: Option<Vec<u8>>,
    /// Its status, as an event stores it.
    #[prost(uint32, tag = "2")]
    status: u32,
}

/// A field does not fit.
#[derive(Clone, PartialEq, prost::Message)]
struct InvalidWire {
    #[prost(string, tag = "1")]
    field: String,
    #[prost(string, tag = "2")]
    reason: String,
}

pub(super) fn refusal_of(wire: RefusalWire) -> Result<Refusal, Unreadable> {
    let what = "a refusal";
    let Some(kind) = wire.kind else { return Ok(Refusal::Conflict(wire.text.into())) };
    Ok(match kind {
        RefusalKind::UnknownSku(UnknownSkuWire { line }) => {
            Refusal::UnknownSku { line: line.map(|line| short_of(what, line)).transpose()? }
        }
        RefusalKind::NotFound(()) => Refusal::NotFound,
        RefusalKind::VersionMismatch(current) => Refusal::VersionMismatch { current },
        RefusalKind::KeyReused(()) => Refusal::KeyReused,
        RefusalKind::ReferenceTaken(ReferenceTakenWire { order: None, .. }) => Refusal::ReferenceTaken { order: None },
        RefusalKind::ReferenceTaken(ReferenceTakenWire { order: Some(id), status }) => {
            let status = status_of(status).ok_or_else(|| unreadable(what, "the code of its status is not known"))?;
            Refusal::ReferenceTaken { order: Some((id_of(what, &id)?, status)) }
        }
        RefusalKind::Conflict(()) => Refusal::Conflict(wire.text.into()),
        RefusalKind::Invalid(InvalidWire { field, reason }) => Refusal::Invalid { field, reason: reason.into() },
    })
}

pub(super) fn refusal_to(refusal: Refusal) -> RefusalWire {
    let text = refusal.to_string();
    let kind = match refusal {
        Refusal::UnknownSku { line } => RefusalKind::UnknownSku(UnknownSkuWire { line: line.map(Into::into) }),
        Refusal::NotFound => RefusalKind::NotFound(()),
        Refusal::VersionMismatch { current } => RefusalKind::VersionMismatch(current),
        Refusal::KeyReused => RefusalKind::KeyReused(()),
        Refusal::ReferenceTaken { order } => RefusalKind::ReferenceTaken(ReferenceTakenWire {
            order: order.map(|(id, _)| id_to(id)),
            status: order.map_or(0, |(_, status)| status_code(status)),
        }),
        Refusal::Conflict(_) => RefusalKind::Conflict(()),
        Refusal::Invalid { field, reason } => RefusalKind::Invalid(InvalidWire { field, reason: reason.into_owned() }),
    };
    RefusalWire { text, kind: Some(kind) }
}
