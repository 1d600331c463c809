//! Trimming: the mark first, then the records.
//!
//! A number whose record is gone is free again. The mark says which numbers those are, and it is
//! written, and read back, before any record is deleted. The last record stays whatever the mark says:
//! the next owner begins where it ends.

use ordermill_station::limits;
use ordermill_store::{Error, ShardId};

use crate::Inner;
use crate::call::{Patience, Trouble};
use crate::keys;
use crate::service::{Failure, Mutation};
use crate::settle::Step;
use crate::shards::Shard;
use crate::stored::Mark;

impl Inner {
    pub(crate) async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let term = shard.term()?;
        if through > term.checkpoint {
            return Err(Error::Invalid(format!(
                "trimming shard {} to {through}: its rows contain records up to {} only",
                shard.id, term.checkpoint
            )));
        }
        let mut patience = self.calls.patience(limits::STORE_PATIENCE);
        if through > term.trimmed {
            let mark = self.raise_mark(&shard, through, term.gone, &mut patience).await?;
            shard.change(term.epoch, |term| term.trimmed = term.trimmed.max(mark.through));
        }
        // Whoever tried to write a number before this term began may still believe that it is free.
        if self.clock.elapsed().saturating_sub(term.since) < limits::STORE_TRIM_AFTER {
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
        loop {
            let step = async {
                let at = self.calls.timestamp().await?;
                let Some((first, _)) = self.calls.scan(at, range.clone(), 1).await?.pop() else {
                    return Ok(true);
                };
                let first = keys::number_of(&first).ok_or_else(|| Error::Corrupt("a record's key is none".into()))?;
                for from in (first..=through).step_by(limits::STORE_TRIM_RECORDS as usize) {
                    let to = through.min(from + limits::STORE_TRIM_RECORDS - 1);
                    let records = (from..=to).map(|number| (self.keys.record(shard.id, number), None));
                    self.calls.write(self.calls.begin().await?, records.collect::<Vec<Mutation>>()).await?;
                }
                Ok::<_, Trouble>(false)
            };
            match step.await {
                Ok(true) => return Ok(()),
                // Whether they are gone is seen at the next look; a pause, in case they are not.
                Ok(false) => patience.again(Failure::Unavailable("records are left".into()), &range).await?,
                Err(trouble) => patience.again(trouble, &range).await?,
            }
        }
    }
}
