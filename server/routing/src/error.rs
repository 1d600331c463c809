//! What a caller of the router can do about a refusal.

use ordermill_order::Refusal;
use ordermill_peer::Failure;

/// Why a call came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The order or item does not allow it: nothing has changed, and nothing will by trying again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting: nothing has changed, try again a little later.
    #[error("too much is waiting")]
    Busy,
    /// The shard is not served or its store does not answer. A change may or may not have
    /// happened: try again with the same idempotency key.
    #[error("{0}")]
    Unavailable(String),
    /// The store has no room: nothing has changed.
    #[error("{0}")]
    Full(String),
    /// The page token or cursor was not made here.
    #[error("{0}")]
    BadToken(&'static str),
    /// The cursor is older than what is kept.
    #[error("the events after this cursor are no longer kept")]
    CursorExpired,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Refused(refusal),
            Failure::Busy => Self::Busy,
            Failure::Full(text) => Self::Full(text),
            Failure::NotOwner { .. } => Self::Unavailable("the shard has no owner now".into()),
            Failure::Unavailable(text) | Failure::Unknown(text) => Self::Unavailable(text),
        }
    }
}
