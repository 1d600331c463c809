//! Trimming: the mark first, then the records.
//!
//! A number whose record is gone is free again. The mark says which numbers those are, and it is
//! written, and read back, before any record is deleted. The last record stays whatever the mark says:
//! the next owner begins where it ends, and those of a split shard where its journal ends.

use std::ops::RangeInclusive;

use futures::stream::{self, StreamExt};
use ordermill_station::limits;
use ordermill_store::{Error, ShardId};

use crate::Inner;
use crate::call::Patience;
use crate::journal::Seen;
use crate::keys;
use crate::planted::Planted;
use crate::service::{Failure, Mutation};
use crate::settle::Step;
use crate::shards::Shard;
use crate::stored::Mark;

impl Inner {
    pub(crate) async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let term = match shard.term() {
            Ok(term) => term,
            Err(not_owned) => return self.trim_sealed(&shard, through, not_owned).await,
        };
        if through > term.checkpoint {
            return Err(too_far(&shard, through, term.checkpoint));
        }
        let mut patience = self.calls.patience("trim", limits::STORE_PATIENCE);
        if through > term.trimmed {
            let mark = self.raise_mark(&shard, through, term.gone, &mut patience).await?;
            shard.change(term.epoch, |term| term.trimmed = term.trimmed.max(mark.through));
        }
        // Whoever tried to write a number before this term began may still believe that it is free.
        let early = self.clock.elapsed().saturating_sub(term.since) < limits::STORE_TRIM_AFTER;
        if early && !self.config.leaves_out(Planted::DeleteAtOnce) {
            return Ok(());
        }
        let through = through.max(term.trimmed).min(term.last.saturating_sub(1));
        match self.delete(&shard, term.gone, through, &mut patience).await {
            Ok(()) => shard.change(term.epoch, |term| term.gone = term.gone.max(through)),
            // Nobody reads them any more. The next trimming begins with them.
            Err(error) => tracing::warn!(shard = %shard.id, %error, "trimmed records were not deleted yet"),
        }
        Ok(())
    }

    /// The same of a journal that has ended, which nobody owns; `not_owned` when it has not.
    async fn trim_sealed(&self, shard: &Shard, through: u64, not_owned: Error) -> Result<(), Error> {
        let mut patience = self.calls.patience("trim", limits::STORE_PATIENCE);
        let Seen { guard, mark, .. } = self.tail(shard, &mut patience).await?;
        let Some(last) = guard.sealed() else { return Err(not_owned) };
        if through > last {
            return Err(too_far(shard, through, last));
        }
        let mark = self.raise_mark(shard, through, mark.gone, &mut patience).await?;
        let (now, through) = (self.clock.elapsed(), mark.through.min(last.saturating_sub(1)));
        if mark.gone >= through || now.saturating_sub(shard.sealed_since(now)) < limits::STORE_TRIM_AFTER {
            return Ok(());
        }
        match self.delete(shard, mark.gone, through, &mut patience).await {
            Ok(()) => self.raise_gone(shard, through, &mut patience).await?,
            Err(error) => tracing::warn!(shard = %shard.id, %error, "trimmed records were not deleted yet"),
        }
        Ok(())
    }

    /// Takes note in the mark of what was seen to be gone: no owner remembers it.
    async fn raise_gone(&self, shard: &Shard, gone: u64, patience: &mut Patience<'_>) -> Result<(), Error> {
        self.settle(&self.keys.trim(shard.id), patience, |found| {
            let mark = Mark::decode(found)?;
            if mark.gone >= gone {
                return Ok(Step::Done(()));
            }
            Ok(Step::Write(Mark { gone, ..mark }.encode()))
        })
        .await
    }

    async fn raise_mark(
        &self,
        shard: &Shard,
        through: u64,
        gone: u64,
        patience: &mut Patience<'_>,
    ) -> Result<Mark, Error> {
        self.settle(&self.keys.trim(shard.id), patience, |found| {
            let mark = Mark::decode(found)?;
            if mark.through >= through {
                return Ok(Step::Done(mark));
            }
            Ok(Step::Write(Mark { through, gone: mark.gone.max(gone) }.encode()))
        })
        .await
    }

    /// Deletes records behind `gone` up to `through`, from the first one that is left, until none is.
    async fn delete(&self, shard: &Shard, gone: u64, through: u64, patience: &mut Patience<'_>) -> Result<(), Error> {
        if through <= gone {
            return Ok(());
        }
        let range = self.keys.records(shard.id, gone + 1..=through);
        let mut before = 0;
        loop {
            let look = async {
                let at = self.calls.timestamp().await?;
                self.calls.scan(at, range.clone(), 1).await
            };
            let first = match look.await {
                Ok(mut found) => found.pop(),
                Err(failure) => {
                    patience.again(failure).await?;
                    continue;
                }
            };
            let Some((first, _)) = first else { return Ok(()) };
            let first = keys::number_of(&first).ok_or_else(|| Error::Corrupt("a record's key is none".to_owned()))?;
            if first <= before {
                patience.again(Failure::Unavailable(format!("record {first} is still there"))).await?;
            }
            self.delete_all(shard, first..=through).await;
            before = first;
        }
    }

    /// Sends what deletes these records. Whether they are gone is seen by looking.
    async fn delete_all(&self, shard: &Shard, numbers: RangeInclusive<u64>) {
        let through = *numbers.end();
        let parts: Vec<Vec<Mutation>> = numbers
            .step_by(limits::STORE_TRIM_RECORDS as usize)
            .map(|from| from..=through.min(from + limits::STORE_TRIM_RECORDS - 1))
            .map(|part| part.map(|number| (self.keys.record(shard.id, number), None)).collect())
            .collect();
        let writes = stream::iter(parts).map(|part| async { self.calls.write(self.calls.begin().await?, part).await });
        writes.buffered(limits::STORE_FLUSH_IN_FLIGHT).for_each(|_| async {}).await;
    }
}

fn too_far(shard: &Shard, through: u64, checkpoint: u64) -> Error {
    let id = shard.id;
    Error::Invalid(format!("trimming shard {id} to {through}: its rows contain records up to {checkpoint} only"))
}
