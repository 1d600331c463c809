//! The way to other members, as a trait: the connections themselves are somebody else's.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// Why another member did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// It cannot be reached; it has not got the message.
    #[error("{0} cannot be reached")]
    Unreachable(String),
    /// There was no answer in time; it may have got the message.
    #[error("no answer from {0} in time")]
    Late(String),
}

/// Carries messages to other members' [`Handle`](crate::Handle)s.
#[async_trait::async_trait]
pub trait Channel: Send + Sync + fmt::Debug + 'static {
    /// Brings a beat to the member at `address`, and its answer back:
    /// [`Handle::answer_beat`](crate::Handle::answer_beat) makes it there.
    async fn beat(&self, address: &str, body: Bytes, deadline: Duration) -> Result<Bytes, ChannelError>;

    /// Brings an administrator's request to the member at `address`, and its answer back:
    /// [`Handle::answer_admin`](crate::Handle::answer_admin) makes it there.
    async fn admin(&self, address: &str, body: Bytes, deadline: Duration) -> Result<Bytes, ChannelError>;
}
