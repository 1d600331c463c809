//! Problems: RFC 9457, one stable type per thing that a caller can do about it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

macro_rules! problems {
    ($($(#[doc = $doc:expr])+ $variant:ident = $slug:literal, $status:literal, $title:literal;)+) => {
        /// Every problem the API can answer with; each has a page in docs/errors/.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemKind { $($(#[doc = $doc])+ $variant,)+ }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The last part of the type, and the name of its page.
            pub fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug),+ }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status),+ }
            }

            /// The title: the same for every occurrence.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),+ }
            }
        }
    };
}

problems! {
    /// The body or a parameter does not fit.
    InvalidRequest = "invalid-request", 400, "The request does not fit";
    /// No key, or an unknown one.
    Unauthorized = "unauthorized", 401, "An API key is needed";
    /// The key's tenant may not do this.
    Forbidden = "forbidden", 403, "The API key does not allow it";
    /// No such order, item or path.
    NotFound = "not-found", 404, "There is no such thing";
    /// The path does not take this method.
    MethodNotAllowed = "method-not-allowed", 405, "The path does not take this method";
    /// The body did not arrive in time.
    RequestTimeout = "request-timeout", 408, "The request did not arrive in time";
    /// The order or item is not in a state that allows the step.
    StateConflict = "state-conflict", 409, "The step is not possible now";
    /// The customer has used this reference before.
    ReferenceTaken = "reference-taken", 409, "The reference is taken";
    /// The members or shards are not in a state that allows the change.
    ClusterConflict = "cluster-conflict", 409, "The cluster cannot be changed so";
    /// The server has its store for itself.
    NotClustered = "not-clustered", 409, "The server is no member of a cluster";
    /// The cursor is older than what is kept.
    CursorExpired = "cursor-expired", 410, "The cursor is too old";
    /// If-Match names another version.
    VersionMismatch = "version-mismatch", 412, "The version has moved on";
    /// The body is too large.
    TooLarge = "too-large", 413, "The request is too large";
    /// The body is not JSON.
    UnsupportedMediaType = "unsupported-media-type", 415, "The body must be JSON";
    /// The key was used with another body.
    IdempotencyKeyReused = "idempotency-key-reused", 422, "The idempotency key was used for another request";
    /// A line names an item that does not exist.
    UnknownSku = "unknown-sku", 422, "An item does not exist";
    /// The head of the request is too large.
    HeadTooLarge = "head-too-large", 431, "The request's head is too large";
    /// Something that should not happen.
    Internal = "internal", 500, "The server failed";
    /// Too much is waiting.
    TemporaryReducedCapacity = "temporary-reduced-capacity", 503, "The server is busy";
    /// The store does not answer, or the shard is not served.
    Unavailable = "unavailable", 503, "The store is not available";
    /// There is no room left in the store.
    StorageFull = "storage-full", 507, "There is no room left";
}

/// Where problem types live.
pub const PROBLEM_BASE: &str = "https://ordermill.io/errors/";

impl ProblemKind {
    /// The `type` of the problem: a stable URI.
    pub fn uri(self) -> String {
        format!("{PROBLEM_BASE}{}", self.slug())
    }

    /// The kind whose type is `uri`.
    pub fn from_uri(uri: &str) -> Option<Self> {
        let slug = uri.strip_prefix(PROBLEM_BASE)?;
        Self::ALL.iter().copied().find(|kind| kind.slug() == slug)
    }
}

/// A field that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvalidField {
    /// Where it is: a JSON path such as `lines[0].quantity`, or a parameter's or header's name.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A problem, as RFC 9457 (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// A stable URI; what to program against.
    pub r#type: String,
    /// The type in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here.
    pub detail: String,
    /// Which fields were wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<InvalidField>,
    /// The order that is meant, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
}

impl Problem {
    /// A problem of `kind` with `detail`.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            r#type: kind.uri(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            errors: Vec::new(),
            order_id: None,
        }
    }

    /// The same, naming a field.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>, reason: impl Into<String>) -> Self {
        self.errors.push(InvalidField { field: field.into(), reason: reason.into() });
        self
    }

    /// The kind, where the type is one of ours.
    pub fn kind(&self) -> Option<ProblemKind> {
        ProblemKind::from_uri(&self.r#type)
    }
}
