//! What can go wrong between here and the server, and what the reader can do about it.

use std::fmt::Write as _;
use std::time::Duration;

use ordermill_api::{Problem, ProblemKind};

/// Why a request has no answer, or one that says no.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request was not sent: nobody listens, or the name is unknown.
    #[error("cannot reach {server}: {cause}")]
    Unreachable {
        /// The server's URL.
        server: String,
        /// Why.
        cause: String,
    },
    /// The connection ended in the middle: whether the request was carried out is not known.
    #[error("the connection to {server} was lost: {cause}")]
    Lost {
        /// The server's URL.
        server: String,
        /// Why.
        cause: String,
    },
    /// No answer in time: whether the request was carried out is not known.
    #[error("{server} did not answer within {} s", .after.as_secs_f32())]
    TimedOut {
        /// The server's URL.
        server: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The server said no, and why.
    #[error("{}", describe(problem))]
    Problem {
        /// What it said.
        problem: Box<Problem>,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// An answer that is not one of this API.
    #[error("{server} answered {status}, which is not an answer of ordermill: {body}")]
    Foreign {
        /// The server's URL.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The start of the body.
        body: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No path can name this: it would lead elsewhere.
    #[error("{0:?} cannot be asked for: no URL can name it")]
    Unnameable(String),
    /// The request cannot be put together: a malformed URL or header.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

/// What sending the same request again would mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It would be the first time.
    Unsent,
    /// It might be the second time.
    Doubtful,
    /// It was refused for now; the server may have said for how long.
    Refused(Option<Duration>),
    /// It would fail the same way.
    Never,
}

impl Error {
    /// What sending the same request again would mean.
    pub fn again(&self) -> Again {
        match self {
            Self::Unreachable { .. } => Again::Unsent,
            Self::Lost { .. } | Self::TimedOut { .. } => Again::Doubtful,
            Self::Problem { problem, retry_after } => match problem.status {
                429 | 503 => Again::Refused(*retry_after),
                _ => Again::Never,
            },
            Self::Foreign { status: 429 | 502 | 503 | 504, retry_after, .. } => Again::Refused(*retry_after),
            Self::Foreign { .. } | Self::Unnameable(_) | Self::Unsendable(_) => Again::Never,
        }
    }

    /// The kind of problem, where the server named one of ours.
    pub fn kind(&self) -> Option<ProblemKind> {
        match self {
            Self::Problem { problem, .. } => problem.kind(),
            _ => None,
        }
    }

    /// What the reader can do about it.
    pub fn advice(&self) -> Option<String> {
        let text = match self {
            Self::Unreachable { .. } => {
                "is the server running? Start it with `ordermill serve`, or name another with --server or \
                 ORDERMILL_SERVER"
            }
            Self::Lost { .. } => "whether it was carried out is not known: look before you send it again",
            Self::TimedOut { .. } => {
                "whether it was carried out is not known: look before you send it again; --timeout waits longer"
            }
            Self::Foreign { .. } => "does --server name an ordermill server, without a path of its own?",
            Self::Unnameable(_) => return None,
            Self::Unsendable(_) => "check --server and --api-key",
            Self::Problem { problem, .. } => return advice_for(problem.kind()?).map(str::to_owned),
        };
        Some(text.to_owned())
    }
}

fn advice_for(kind: ProblemKind) -> Option<&'static str> {
    Some(match kind {
        ProblemKind::NotFound => {
            "`orderctl items list`, `orderctl order list` and `orderctl cluster members` show what there is"
        }
        ProblemKind::Unauthorized => "give a key with --api-key or ORDERMILL_API_KEY",
        ProblemKind::Forbidden => "give a key of the tenant `default` with --api-key or ORDERMILL_API_KEY",
        ProblemKind::ClusterConflict => "`orderctl cluster members` and `orderctl cluster shards` show how things are",
        ProblemKind::CursorExpired => "start again without --after: the feed then begins at what is still kept",
        ProblemKind::VersionMismatch => "read it again, and repeat with its new version if you still want to",
        ProblemKind::IdempotencyKeyReused => "use another --key, or leave it out",
        ProblemKind::UnknownSku => "create the item first: `orderctl items set SKU --on-hand N`",
        ProblemKind::TemporaryReducedCapacity | ProblemKind::Unavailable => "try again later; nothing was changed",
        ProblemKind::StorageFull => "the server needs more disk space; nothing was changed",
        ProblemKind::Internal => "the server's log says more",
        _ => return None,
    })
}

/// Title, detail and fields, each said once.
fn describe(problem: &Problem) -> String {
    let mut text = problem.title.clone();
    if !problem.detail.is_empty() && !problem.detail.eq_ignore_ascii_case(&problem.title) {
        let _ = write!(text, ": {}", problem.detail);
    }
    for field in &problem.errors {
        let line = format!("{}: {}", field.field, field.reason);
        if line != problem.detail {
            let _ = write!(text, "\n  {line}");
        }
    }
    if let Some(id) = &problem.order_id {
        let _ = write!(text, "\n  order {id}");
    }
    text
}

/// The chain of causes of `error` as one line, each said once.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut source = error.source();
    let mut last = None;
    while let Some(cause) = source {
        last = Some(cause.to_string());
        source = cause.source();
    }
    last.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_title_detail_and_fields() {
        let problem = Problem::new(ProblemKind::InvalidRequest, "one field is wrong")
            .with_field("lines[0].quantity", "must be at least 1");
        let error = Error::Problem { problem: Box::new(problem), retry_after: None };
        assert_eq!(
            error.to_string(),
            "The request does not fit: one field is wrong\n  lines[0].quantity: must be at least 1"
        );
        assert_eq!(error.again(), Again::Never);
        let single = "sku: is unknown";
        let problem = Problem::new(ProblemKind::InvalidRequest, single).with_field("sku", "is unknown");
        assert_eq!(describe(&problem), "The request does not fit: sku: is unknown");
    }

    #[test]
    fn busy_servers_may_be_asked_again() {
        let wait = Some(Duration::from_secs(2));
        let problem = Box::new(Problem::new(ProblemKind::TemporaryReducedCapacity, "queue"));
        assert_eq!(Error::Problem { problem, retry_after: wait }.again(), Again::Refused(wait));
        let error = Error::Unreachable { server: "http://x".into(), cause: "refused".into() };
        assert_eq!(error.again(), Again::Unsent);
        assert!(error.advice().is_some_and(|text| text.contains("ordermill serve")));
    }
}
