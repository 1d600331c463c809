//! Why a call to another member brought no answer, by what the caller can do about it.

use crate::Failure;

/// Why a call brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too much is under way to this member already; it has not been asked.
    #[error("too much is under way to the member")]
    Busy,
    /// The member has not been asked, surely: it cannot be reached, belongs to another cluster, does
    /// not know the request or is about to stop.
    #[error("{0}")]
    Unavailable(String),
    /// The member may or may not have done what was asked: no answer came in time, or the connection
    /// was lost.
    #[error("{0}")]
    Unknown(String),
    /// The request is larger than a frame may be and was not sent: ask for less at once.
    #[error("the request has {size_bytes} bytes, and a frame holds {limit_bytes}")]
    TooLarge {
        /// Bytes of the request.
        size_bytes: usize,
        /// Bytes of the largest frame.
        limit_bytes: usize,
    },
}

impl Error {
    /// A fixed word per kind, for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Unavailable(_) => "unavailable",
            Self::Unknown(_) => "unknown",
            Self::TooLarge { .. } => "too_large",
        }
    }
}

/// What a member says instead of an answer.
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Busy => Self::Busy,
            Failure::Unavailable(text) => Self::Unavailable(text),
            Failure::Unknown(text) | Failure::Full(text) => Self::Unknown(text),
            Failure::NotOwner { .. } | Failure::Refused(_) => Self::Unknown(failure.to_string()),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Busy => Self::Busy,
            Error::Unavailable(text) => Self::Unavailable(text),
            Error::Unknown(text) => Self::Unknown(text),
            Error::TooLarge { .. } => Self::Unavailable(error.to_string()),
        }
    }
}
