//! The end of a journal: a guard that names an owner whom nobody can be.
//!
//! The guard says which flushes count and who may take over; once it names the highest epoch there is, every
//! owner of before is fenced and every one to come is told where the journal has ended. Never ends a journal
//! whose rows are not all flushed, and never begins another one.

use ordermill_station::limits;
use ordermill_store::{Error, ShardId};

use crate::Inner;
use crate::flush::check_guard;
use crate::settle::Step;
use crate::shards::{Shard, Term};
use crate::stored::Guard;

impl Inner {
    pub(crate) async fn seal(&self, shard: ShardId, last: u64) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let term = shard.term()?;
        if last != term.last || term.appending {
            return Err(Error::Invalid(format!("shard {} ends with record {}, not {last}", shard.id, term.last)));
        }
        let sealed = self.raise_last(&shard, &term).await;
        // Also when nobody knows: whatever comes of it, this term writes nothing more.
        shard.give_up();
        sealed?;
        tracing::info!(shard = %shard.id, last, "sealed");
        Ok(())
    }

    /// Raises the guard for the last time, as long as it names this owner. What arrives late meets the guard
    /// of a later owner, and fails.
    async fn raise_last(&self, shard: &Shard, term: &Term) -> Result<(), Error> {
        let mut patience = self.calls.patience("seal", limits::STORE_PATIENCE);
        self.settle(&self.keys.guard(shard.id), &mut patience, |found| {
            let guard = Guard::decode(found)?;
            match guard.sealed() {
                // Another owner would have begun with a record of its own, behind this one.
                Some(last) if last == term.last => return Ok(Step::Done(())),
                Some(last) => return Err(Error::Sealed(last)),
                None => check_guard(shard, guard, term.epoch, term.last)?,
            }
            Ok(Step::Write(Guard::sealed_at(term.last).encode()))
        })
        .await
    }
}
