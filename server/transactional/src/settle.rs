//! One key changed by transactions that read it first, until it reads back as it should.
//!
//! Such a transaction fails if the key was changed since it was read, however late it arrives. So what
//! is read afterwards is all the evidence that is needed, and no answer is believed.

use bytes::Bytes;
use ordermill_store::Error;

use crate::Inner;
use crate::call::{Patience, Trouble};
use crate::measure::{Found, What, resolved};
use crate::service::Failure;

/// What follows from what stands at a key.
pub(crate) enum Step<T> {
    /// It is as it should be.
    Done(T),
    /// It should be this.
    Write(Bytes),
}

impl Inner {
    /// Writes to `key` until `decide` finds it as it should be. `Unavailable` when the time is over:
    /// the last write may have happened, or still will.
    pub(crate) async fn settle<T>(
        &self,
        key: &Bytes,
        patience: &mut Patience<'_>,
        decide: impl Fn(Option<&Bytes>) -> Result<Step<T>, Error> + Send,
    ) -> Result<T, Error> {
        let mut failed: Option<Failure> = None;
        // Whether a write is under way of which no call has said what became of it.
        let mut uncertain = false;
        loop {
            let look = async {
                let at = self.calls.begin().await?;
                Ok::<_, Failure>((at, self.calls.get(at, key.clone()).await?))
            };
            let (at, found) = match look.await {
                Ok(found) => found,
                Err(failure) => {
                    let again = patience.again(failure).await;
                    if again.is_err() && uncertain {
                        resolved(What::Value, Found::Never);
                    }
                    again?;
                    continue;
                }
            };
            let step = decide(found.as_ref());
            if std::mem::take(&mut uncertain) {
                resolved(
                    What::Value,
                    match &step {
                        Ok(Step::Done(_)) => Found::Mine,
                        Ok(Step::Write(_)) => Found::Absent,
                        Err(_) => Found::Another,
                    },
                );
            }
            let value = match step? {
                Step::Done(done) => return Ok(done),
                Step::Write(value) => value,
            };
            if let Some(failure) = failed.take() {
                patience.again(Trouble::Failure(failure)).await?;
                continue;
            }
            let hint = self.calls.write(at, vec![(key.clone(), Some(value))]).await;
            uncertain = hint.is_err();
            failed = Some(hint.err().unwrap_or_else(|| Failure::Unavailable("nothing was written".to_owned())));
        }
    }
}
