//! Appends and proofs: what the owner of a shard does all day.
//!
//! The insert is the judge of who owns a shard; nothing here compares clocks of two machines.

use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error, ShardId};

use crate::Inner;
use crate::call::Trouble;
use crate::place::Placed;
use crate::planted::Planted;
use crate::service::Failure;
use crate::shards::{Shard, Start, Term};
use crate::stored::Record;

impl Inner {
    pub(crate) async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error> {
        check_size(number, &record)?;
        let begun = self.clock.elapsed();
        let shard = self.shard(shard)?;
        let mut turn = shard.turn(number)?;
        let (term, next) = (turn.term, turn.next.take());
        let done = shard.ends(term.epoch, self.commit(&term, shard.id, number, &record, next).await);
        turn.end(|term| {
            if let Ok((evidence, next)) = done {
                (term.last, term.evidence, term.next) = (number, evidence, next);
            }
        });
        self.calls.measures.append.record(self.clock.elapsed().saturating_sub(begun));
        done.map(drop)
    }

    /// Says from when on this record was the last one, and at which timestamp the next may begin.
    async fn commit(
        &self,
        term: &Term,
        shard: ShardId,
        number: u64,
        record: &Bytes,
        next: Option<Start>,
    ) -> Result<(Duration, Option<Start>), Error> {
        let mut patience = self.calls.patience("append", limits::STORE_EVIDENCE);
        let begun = self.clock.elapsed();
        let placed = self.place(shard, number, (self.nonce(), record), next, &mut patience).await?;
        if self.may_be_trimmed(term) && !self.config.leaves_out(Planted::NoTrimMark) {
            let mark = self.mark_now(shard, &mut patience).await;
            if mark.map_err(|error| self.unclear(Some(begun), error))?.through >= number {
                // Another owner went on from this number, with this record or with another one: what
                // stands there now does not say.
                return Err(Error::Unknown(format!(
                    "record {number} of shard {shard} has been trimmed by another owner"
                )));
            }
        }
        match placed {
            Placed::Mine { sent, next } => Ok((sent, next)),
            Placed::Another => Err(Error::Fenced(number)),
        }
    }

    /// Whether the last evidence that nobody wrote after this owner is so old that somebody may have
    /// written, and trimmed, since.
    fn may_be_trimmed(&self, term: &Term) -> bool {
        self.clock.elapsed().saturating_sub(term.evidence) > limits::STORE_SLOW
    }

    pub(crate) async fn prove(&self, shard: ShardId) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let term = shard.term()?;
        if self.config.leaves_out(Planted::NoProof) {
            return Ok(());
        }
        let begun = self.clock.elapsed();
        let mut patience = self.calls.patience("prove", limits::STORE_PATIENCE);
        let proven = loop {
            match self.look_behind(&shard, term.epoch).await {
                Ok(()) => break Ok(()),
                Err(trouble) => {
                    if let Err(error) = patience.again(trouble).await {
                        break Err(error);
                    }
                }
            }
        };
        if proven.is_ok() {
            shard.change(term.epoch, |term| term.evidence = term.evidence.max(begun));
        }
        self.calls.measures.proof.record(self.clock.elapsed().saturating_sub(begun));
        shard.ends(term.epoch, proven)
    }

    /// Looks, at a timestamp that is taken now, for what stands behind the last record of the term that
    /// began with `epoch`: only what this owner has written since may. `Fenced` otherwise.
    async fn look_behind(&self, shard: &Shard, epoch: u64) -> Result<(), Trouble> {
        let term = shard.term_of(epoch)?;
        let at = self.calls.timestamp().await?;
        let mut number = term.last + 1;
        while let Some(found) = self.calls.get(at, self.keys.record(shard.id, number)).await? {
            if !term.wrote(Record::decode(found)?.nonce) {
                return Err(Error::Fenced(number).into());
            }
            number += 1;
        }
        // Records of a later owner may be gone already. Their mark is not.
        if self.may_be_trimmed(&term) && !self.config.leaves_out(Planted::NoTrimMarkInProof) {
            let mark = self.mark(at, shard.id).await?;
            if mark.through > shard.term_of(epoch)?.last {
                return Err(Error::Fenced(mark.through).into());
            }
        }
        if shard.term_of(epoch)?.trimmed > term.last {
            return Err(Failure::Unavailable("what was looked at has been trimmed meanwhile".to_owned()).into());
        }
        Ok(())
    }
}

/// A record that is too large is `Invalid`.
pub(crate) fn check_size(number: u64, record: &Bytes) -> Result<(), Error> {
    if record.len() <= limits::RECORD_BYTES {
        return Ok(());
    }
    let (bytes, most) = (record.len(), limits::RECORD_BYTES);
    Err(Error::Invalid(format!("record {number} has {bytes} bytes, {most} are possible")))
}
