//! The problems that requests can be answered with.

use std::collections::BTreeMap;

use ordermill_api::{Problem, ProblemKind};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Ref, RefOr};

use ProblemKind::{
    ClusterConflict, CursorExpired, Forbidden, HeadTooLarge, IdempotencyKeyReused, Internal, InvalidRequest,
    NotClustered, NotFound, ReferenceTaken, RequestTimeout, StateConflict, StorageFull, TemporaryReducedCapacity,
    TooLarge, Unauthorized, Unavailable, UnknownSku, UnsupportedMediaType, VersionMismatch,
};

const ALWAYS: &[ProblemKind] =
    &[InvalidRequest, Unauthorized, HeadTooLarge, Internal, TemporaryReducedCapacity, Unavailable];
const ADMINISTRATION: &[ProblemKind] = &[InvalidRequest, Unauthorized, Forbidden, HeadTooLarge, Internal, Unavailable];
const WITH_BODY: &[ProblemKind] = &[RequestTimeout, TooLarge, UnsupportedMediaType, StorageFull];

macro_rules! sets {
    ($($(#[$doc:meta])* $name:ident = $($list:expr),+;)+) => { $(
        $(#[$doc])*
        pub(crate) struct $name;

        impl utoipa::IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                describe(&[$($list),+].concat())
            }
        }
    )+

        const SETS: &[&[&[ProblemKind]]] = &[$(&[$($list),+]),+];
    };
}

sets! {
    /// Of questions.
    Reads = ALWAYS;
    /// Of questions for one thing.
    ReadsOne = ALWAYS, &[NotFound];
    /// Of the event feed.
    Feeds = ALWAYS, &[CursorExpired];
    /// Of new orders.
    Creates = ALWAYS, WITH_BODY, &[ReferenceTaken, IdempotencyKeyReused, UnknownSku];
    /// Of an import as a whole; its lines have results of their own.
    Imports = ALWAYS, &[UnsupportedMediaType];
    /// Of steps on an order.
    Steps = ALWAYS, WITH_BODY, &[NotFound, StateConflict, VersionMismatch, IdempotencyKeyReused];
    /// Of setting an item.
    Puts = ALWAYS, WITH_BODY, &[StateConflict, VersionMismatch];
    /// Of questions about the cluster.
    Administrates = ADMINISTRATION;
    /// Of changes of the cluster.
    Changes = ADMINISTRATION, &[RequestTimeout, TooLarge, UnsupportedMediaType, NotFound, ClusterConflict, NotClustered];
    /// Of adjusting an item.
    Adjustments = ALWAYS, WITH_BODY, &[NotFound, StateConflict, IdempotencyKeyReused];
}

type ByStatus = BTreeMap<u16, Vec<ProblemKind>>;

fn by_status(kinds: &[ProblemKind]) -> ByStatus {
    let mut by_status = ByStatus::new();
    for kind in kinds {
        by_status.entry(kind.status()).or_default().push(*kind);
    }
    by_status
}

/// What the answer with one of `kinds` is called.
fn name(kinds: &[ProblemKind]) -> String {
    kinds.iter().map(|kind| kind.slug()).collect::<Vec<_>>().join(".")
}

fn describe(kinds: &[ProblemKind]) -> BTreeMap<String, RefOr<Response>> {
    let refer = |(status, kinds): (u16, Vec<ProblemKind>)| {
        (status.to_string(), RefOr::Ref(Ref::from_response_name(name(&kinds))))
    };
    by_status(kinds).into_iter().map(refer).collect()
}

/// All answers that the sets refer to.
pub(super) fn all() -> BTreeMap<String, Response> {
    let of_set = |set: &&[&[ProblemKind]]| by_status(&set.concat()).into_values().collect::<Vec<_>>();
    SETS.iter().flat_map(of_set).map(|kinds| (name(&kinds), response(&kinds))).collect()
}

fn response(kinds: &[ProblemKind]) -> Response {
    let example = |kind: &ProblemKind| {
        let problem = Problem::new(*kind, "what happened here, in words");
        let value = serde_json::to_value(problem).expect("a problem has only texts and numbers");
        (kind.slug(), ExampleBuilder::new().value(Some(value)).build())
    };
    let titles: Vec<&str> = kinds.iter().map(|kind| kind.title()).collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .examples_from_iter(kinds.iter().map(example))
        .build();
    ResponseBuilder::new().description(titles.join("; or: ")).content("application/problem+json", content).build()
}
