//! One record put at one number, with evidence of what became of it.
//!
//! What an insert answers is a hint. Only what is read back afterwards counts, and it is compared by
//! who wrote it and with which write. Never decides who owns a shard.

use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error, ShardId};

use crate::Inner;
use crate::call::{Patience, Trouble};
use crate::measure::{Found, What, resolved};
use crate::planted::Planted;
use crate::service::{Failure, Timestamp};
use crate::shards::Start;
use crate::stored::{Mark, Nonce, Record};

/// What stands at the number now.
#[derive(Debug)]
pub(crate) enum Placed {
    /// What was to be put there.
    Mine {
        /// When it was sent first: before it can have landed.
        sent: Duration,
        /// The timestamp at which it was read back, good for the next insert.
        next: Option<Start>,
    },
    /// Another record.
    Another,
}

impl Inner {
    /// Puts `record` at `number`, beginning at `start` if that is young enough. `Unavailable` when
    /// nothing was ever sent, `Unknown` when it was and the time has passed without evidence.
    pub(crate) async fn place(
        &self,
        shard: ShardId,
        number: u64,
        (nonce, record): (Nonce, &Bytes),
        mut start: Option<Start>,
        patience: &mut Patience<'_>,
    ) -> Result<Placed, Error> {
        let key = self.keys.record(shard, number);
        let value = Record::encode(nonce, record);
        let mut sent = None;
        loop {
            let begun = match self.start(start.take()).await {
                Ok(begun) => begun,
                Err(failure) => {
                    patience.again(failure).await.map_err(|error| self.unclear(sent, error))?;
                    continue;
                }
            };
            let first_sent = *sent.get_or_insert_with(|| self.clock.elapsed());
            let hint = self.calls.insert(begun.at, key.clone(), value.clone()).await;
            if hint.is_ok() && self.config.leaves_out(Planted::BelieveOk) {
                return Ok(Placed::Mine { sent: first_sent, next: None });
            }
            if matches!(hint, Err(Failure::Conflict(_))) && self.config.leaves_out(Planted::KeyErrorIsFenced) {
                return Err(Error::Fenced(number));
            }
            let found = loop {
                match self.read_back(&key).await {
                    Ok(found) => break found,
                    Err(trouble) => {
                        let again = patience.again(trouble).await;
                        again.map_err(|error| self.unclear(sent, error))?;
                    }
                }
            };
            match found {
                (Some(found), next) => {
                    let mine = found.nonce == nonce;
                    if hint.is_err() {
                        resolved(What::Record, if mine { Found::Mine } else { Found::Another });
                    }
                    if !mine {
                        return Ok(Placed::Another);
                    }
                    return Ok(Placed::Mine { sent: first_sent, next: Some(next) });
                }
                (None, next) => {
                    resolved(What::Record, Found::Absent);
                    start = Some(next);
                    let why = hint.err().unwrap_or_else(|| Failure::Unavailable("nothing was written".to_owned()));
                    patience.again(why).await.map_err(|error| self.unclear(sent, error))?;
                }
            }
        }
    }

    /// The timestamp at which an insert begins.
    async fn start(&self, taken: Option<Start>) -> Result<Start, Failure> {
        let now = self.clock.elapsed();
        match taken {
            Some(start) if now.saturating_sub(start.taken) <= limits::STORE_TIMESTAMP_AGE => Ok(start),
            _ => Ok(Start { at: self.calls.begin().await?, taken: now }),
        }
    }

    /// What stands at `key`, at a timestamp that is taken now, and serves for the next insert.
    async fn read_back(&self, key: &Bytes) -> Result<(Option<Record>, Start), Trouble> {
        let taken = self.clock.elapsed();
        let at = self.calls.begin().await?;
        let found = self.calls.get(at, key.clone()).await?;
        Ok((found.map(Record::decode).transpose()?, Start { at, taken }))
    }

    /// What an error means once something was sent.
    pub(crate) fn unclear(&self, sent: Option<Duration>, error: Error) -> Error {
        match error {
            Error::Unavailable(text) if sent.is_some() => {
                resolved(What::Record, Found::Never);
                if self.config.leaves_out(Planted::UnknownIsUnavailable) {
                    return Error::Unavailable(text);
                }
                Error::Unknown(text)
            }
            error => error,
        }
    }

    /// The trim mark as of now: numbers up to there may be free again.
    pub(crate) async fn mark_now(&self, shard: ShardId, patience: &mut Patience<'_>) -> Result<Mark, Error> {
        loop {
            let mark = async { self.mark(self.calls.timestamp().await?, shard).await };
            match mark.await {
                Ok(mark) => return Ok(mark),
                Err(trouble) => patience.again(trouble).await?,
            }
        }
    }

    /// The trim mark as of `at`.
    pub(crate) async fn mark(&self, at: Timestamp, shard: ShardId) -> Result<Mark, Trouble> {
        let found = self.calls.get(at, self.keys.trim(shard)).await?;
        Ok(Mark::decode(found.as_ref())?)
    }
}
