//! Proofs that this owner is still the owner, for reads: all that wait are served by one.
//!
//! A proof serves a read only if it began after the read arrived. So whoever arrives while one is
//! under way waits for the next; there are never more than one under way and one to come.

use std::sync::Arc;

use ordermill_store::{Error, ShardId, Store};
use tokio::sync::{mpsc, oneshot};

use crate::handle::{self, from_store};

type Waiting = oneshot::Sender<Result<(), handle::Error>>;

/// Tells a shard's task that its store says that the shard is not its own any more: a shard that nobody writes
/// would not notice.
#[derive(Clone, Debug)]
pub(crate) struct Lost(mpsc::Sender<Error>);

impl Lost {
    /// The way to tell it, and the end at which it is heard.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Error>) {
        let (lost, told) = mpsc::channel(1);
        (Self(lost), told)
    }

    /// Tells it, if `error` says so.
    pub(crate) fn tell(&self, error: &Error) {
        if !matches!(error, Error::Unavailable(_) | Error::Full(_)) {
            // Once is enough.
            let _ = self.0.try_send(error.clone());
        }
    }
}

/// The proofs of one shard; cheap to clone. They end with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct Proofs {
    waiting: mpsc::UnboundedSender<Waiting>,
}

impl Proofs {
    /// Proves with the store's help; tells `lost` when there is nothing to prove any more. Bounded by the reads
    /// that wait, each of which waits for one answer.
    pub(crate) fn of(store: Arc<dyn Store>, shard: ShardId, lost: Lost) -> Self {
        let (waiting, mut waits) = mpsc::unbounded_channel::<Waiting>();
        tokio::spawn(async move {
            while let Some(first) = waits.recv().await {
                let mut served = vec![first];
                while let Ok(next) = waits.try_recv() {
                    served.push(next);
                }
                let proven = store.prove(shard).await.map_err(|error| {
                    lost.tell(&error);
                    from_store(&error)
                });
                // A reader that has gone away needs no proof.
                served.into_iter().for_each(|waiting| drop(waiting.send(proven.clone())));
            }
        });
        Self { waiting }
    }

    /// A proof that begins after this call.
    pub(crate) fn begin(&self) -> impl Future<Output = Result<(), handle::Error>> + use<> {
        let (waiting, proven) = oneshot::channel();
        // When the task has gone, so has the other end of `proven`.
        let _ = self.waiting.send(waiting);
        async move { proven.await.unwrap_or(Err(handle::Error::NotServed)) }
    }
}
