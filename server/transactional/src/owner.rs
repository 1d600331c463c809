//! Taking a shard over: a record at the next free number, then the guard, then the marks.
//!
//! The number of that record is the epoch of the new owner. From then on the appends of every earlier
//! owner meet a number that is taken, and its flushes a guard that is not theirs.

use std::cmp::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error, Extent, Fence};

use crate::Inner;
use crate::append::check_size;
use crate::call::Patience;
use crate::journal::Seen;
use crate::place::Placed;
use crate::planted::Planted;
use crate::settle::Step;
use crate::shards::{Shard, Term};
use crate::stored::{Guard, Nonce};

/// A fence that was read back.
struct Fenced {
    number: u64,
    nonce: Nonce,
    /// When it was sent first.
    sent: Duration,
}

impl Inner {
    pub(crate) async fn take_over(&self, shard: &Shard, fence: &Fence<'_>) -> Result<Extent, Error> {
        shard.give_up();
        let mut patience = self.calls.patience("take_over", limits::STORE_EVIDENCE);
        let fenced = self.put_fence(shard, fence, &mut patience).await?;
        patience.renew();
        let unclear = |error| self.unclear(Some(fenced.sent), error);
        // The number may have been free only because its record was trimmed: others are far ahead then.
        let mark = self.mark_now(shard.id, &mut patience).await.map_err(unclear)?;
        if mark.through >= fenced.number && !self.config.leaves_out(Planted::NoFence) {
            return Err(Error::Fenced(mark.through));
        }
        let guard = self.raise_epoch(shard, fenced.number, &mut patience).await.map_err(unclear)?;
        let mark = self.mark_now(shard.id, &mut patience).await.map_err(unclear)?;
        // Nobody trims behind the checkpoint: yet another owner has moved both since.
        if mark.through > guard.checkpoint {
            return Err(Error::Fenced(mark.through));
        }
        // Whatever is left in the way of the replay. It would also be cleaned up when it is met.
        let range = self.keys.records(shard.id, guard.checkpoint..=fenced.number);
        if let Err(error) = self.calls.clean_up(range).await {
            tracing::warn!(shard = %shard.id, %error, "locks that others left were not cleaned up yet");
        }
        shard.own(Term {
            epoch: fenced.number,
            fence: fenced.nonce,
            last: fenced.number,
            checkpoint: guard.checkpoint,
            trimmed: mark.through,
            gone: mark.gone,
            evidence: fenced.sent,
            since: self.clock.elapsed(),
            next: None,
            appending: false,
        });
        tracing::info!(shard = %shard.id, epoch = fenced.number, checkpoint = guard.checkpoint, "taken over");
        Ok(Extent { checkpoint: guard.checkpoint, trimmed: mark.through, last: fenced.number })
    }

    /// Puts the record with which this owner begins behind the last one, wherever that is by then, unless the
    /// journal has ended.
    async fn put_fence(&self, shard: &Shard, fence: &Fence<'_>, patience: &mut Patience<'_>) -> Result<Fenced, Error> {
        loop {
            let Seen { guard, last, record, .. } = self.tail(shard, patience).await?;
            if let Some(last) = guard.sealed() {
                return Err(Error::Sealed(last));
            }
            let nonce = self.nonce();
            if self.config.leaves_out(Planted::NoFence) {
                return Ok(Fenced { number: last, nonce, sent: self.clock.elapsed() });
            }
            let number = last + 1;
            let bytes: Bytes = fence(record.as_deref())?;
            check_size(number, &bytes)?;
            match self.place(shard.id, number, (nonce, &bytes), None, patience).await? {
                Placed::Mine { sent, .. } => return Ok(Fenced { number, nonce, sent }),
                // Somebody else was faster: behind that one, then.
                Placed::Another => shard.saw(number),
            }
        }
    }

    /// Raises the guard's epoch. It only ever rises: a higher one means that yet another owner has taken
    /// over.
    async fn raise_epoch(&self, shard: &Shard, epoch: u64, patience: &mut Patience<'_>) -> Result<Guard, Error> {
        self.settle(&self.keys.guard(shard.id), patience, |found| {
            let guard = Guard::decode(found)?;
            if let Some(last) = guard.sealed() {
                return Err(Error::Sealed(last));
            }
            match guard.epoch.cmp(&epoch) {
                Ordering::Equal => Ok(Step::Done(guard)),
                Ordering::Greater => Err(Error::Fenced(guard.epoch)),
                Ordering::Less => Ok(Step::Write(Guard { epoch, ..guard }.encode())),
            }
        })
        .await
    }
}
