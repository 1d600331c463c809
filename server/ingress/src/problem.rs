//! Refusals and errors of every kind become problems here, and nowhere else.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ordermill_admission::Refused;
use ordermill_api::{InvalidField, Problem, ProblemKind};
use ordermill_order::Refusal;
use ordermill_routing::{AdminError, Error};
use ordermill_station::limits;

use crate::answer;

/// Invalid fields that one problem names.
pub(crate) const FIELDS_NAMED: usize = 20;

/// An answer that is not a success.
#[derive(Debug)]
pub(crate) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ProblemKind,
    problem: Problem,
    retry_after_seconds: Option<u64>,
    /// How old what was looked at is.
    age: Option<Duration>,
}

impl Failure {
    /// A problem of `kind` with `detail`.
    pub(crate) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, problem: Problem::new(kind, detail), retry_after_seconds: None, age: None }))
    }

    /// The request does not fit: these fields are why.
    pub(crate) fn invalid_fields(errors: Vec<InvalidField>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.reason),
            many => format!("{} fields do not fit", many.len()),
        };
        let mut failure = Self::new(ProblemKind::InvalidRequest, detail);
        failure.0.problem.errors = errors;
        failure
    }

    /// The request does not fit: this field is why.
    pub(crate) fn invalid(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::invalid_fields(vec![InvalidField { field: field.into(), reason: reason.into() }])
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(ProblemKind::Unauthorized, "send a known API key as `Authorization: Bearer …`")
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::NotFound, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Unavailable, detail).retry_after(limits::RETRY_AFTER_SECONDS)
    }

    fn naming(mut self, field: impl Into<String>, reason: impl Into<String>) -> Self {
        self.0.problem = self.0.problem.with_field(field, reason);
        self
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// The same, said of something that is so old.
    pub(crate) fn aged(mut self, age: Option<Duration>) -> Self {
        self.0.age = age;
        self
    }

    /// What kind of problem it is.
    #[cfg(test)]
    pub(crate) fn kind(&self) -> ProblemKind {
        self.0.kind
    }

    /// The problem as it is sent.
    pub(crate) fn problem(&self) -> &Problem {
        &self.0.problem
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::new(ProblemKind::TemporaryReducedCapacity, "too much is waiting: nothing has changed, try again later")
            .retry_after(refused.retry_after_seconds)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Busy => Refused { retry_after_seconds: limits::RETRY_AFTER_SECONDS, kind: "busy" }.into(),
            Error::Unavailable(detail) => Self::unavailable(detail),
            Error::Full(detail) => Self::new(ProblemKind::StorageFull, detail),
            Error::BadToken(reason) => Self::invalid("page_token", reason),
            Error::CursorExpired => Self::new(ProblemKind::CursorExpired, error.to_string()),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        let detail = error.to_string();
        match error {
            AdminError::NotFound(_) => Self::not_found(detail),
            AdminError::Refused(_) => Self::new(ProblemKind::ClusterConflict, detail),
            AdminError::Alone => Self::new(ProblemKind::NotClustered, detail),
            AdminError::Unavailable(_) => Self::unavailable(detail),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::UnknownSku { line: Some(line) } => {
                Self::new(ProblemKind::UnknownSku, format!("lines[{line}].sku: {detail}"))
                    .naming(format!("lines[{line}].sku"), detail)
            }
            Refusal::UnknownSku { line: None } | Refusal::NotFound => Self::not_found(detail),
            Refusal::VersionMismatch { current } => {
                Self::new(ProblemKind::VersionMismatch, format!("the version is {current} now"))
            }
            Refusal::KeyReused => Self::new(ProblemKind::IdempotencyKeyReused, detail),
            Refusal::ReferenceTaken { order } => {
                let mut failure = Self::new(ProblemKind::ReferenceTaken, detail).naming("reference", "is taken");
                failure.0.problem.order_id = order.map(|(id, _)| id.to_string());
                failure
            }
            Refusal::Conflict(detail) => Self::new(ProblemKind::StateConflict, detail),
            Refusal::Invalid { field, reason } => Self::invalid(field, reason),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Inner { kind, problem, retry_after_seconds, age } = *self.0;
        let body = serde_json::to_vec(&problem).expect("a problem has only texts and numbers");
        let status = StatusCode::from_u16(kind.status()).expect("kinds have valid statuses");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after_seconds {
            headers.insert(header::RETRY_AFTER, seconds.into());
            if kind == ProblemKind::TemporaryReducedCapacity {
                let limit = format!("\"capacity\";r=0;t={seconds}");
                headers.insert("ratelimit", limit.parse().expect("digits are a valid header"));
            }
        }
        if kind == ProblemKind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer::aged(response, age)
    }
}
