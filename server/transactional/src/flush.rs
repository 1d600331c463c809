//! Flushes: changed rows, then the mark that says up to which record they are contained.
//!
//! Rows are written at timestamps at which the guard still names this owner, and count only once they
//! were read back equal. A write of an earlier owner, or of an earlier try, that arrives late meets a
//! row that was changed since its timestamp, and fails. Never moves the mark before every row is there.

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use ordermill_station::limits;
use ordermill_store::{Change, Error, ShardId};

use crate::Inner;
use crate::call::{Patience, Trouble};
use crate::keys;
use crate::planted::Planted;
use crate::service::{Failure, Mutation, Timestamp};
use crate::settle::Step;
use crate::shards::{Shard, Term};
use crate::stored::Guard;

/// Bytes of a row's stored key that rows of one slot share: space, cluster, slot.
const SLOT_BYTES: usize = 7;

impl Inner {
    pub(crate) async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        let shard = self.shard(shard)?;
        let term = shard.term()?;
        if !(term.checkpoint..=term.last).contains(&checkpoint) {
            let Term { checkpoint: from, last, .. } = term;
            return Err(Error::Invalid(format!(
                "checkpoint {checkpoint} of shard {}: it lies between {from} and {last}",
                shard.id
            )));
        }
        let done = shard.ends(term.epoch, self.flush_all(&shard, &term, rows, checkpoint).await);
        if done.is_ok() {
            shard.change(term.epoch, |term| term.checkpoint = term.checkpoint.max(checkpoint));
        }
        done
    }

    async fn flush_all(&self, shard: &Shard, term: &Term, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        let mut rows: Vec<Mutation> = rows.into_iter().map(|(key, value)| (keys::row(&key), value)).collect();
        self.calls.measures.flushed_rows.increment(rows.len() as u64);
        let mut patience = self.calls.patience(limits::STORE_PATIENCE);
        while !rows.is_empty() {
            let before = rows.len();
            let hint = self.put_rows(shard, term, &rows, checkpoint, &mut patience).await?;
            if hint.is_none() && self.config.leaves_out(Planted::NoReadBack) {
                break;
            }
            rows = self.differing(rows, &mut patience).await?;
            if rows.len() < before {
                patience.renew();
            } else {
                let why = hint.unwrap_or_else(|| Failure::Unavailable("no row was written".to_owned()));
                patience.again(why).await?;
            }
        }
        self.raise_checkpoint(shard, term.epoch, checkpoint, &mut patience).await
    }

    /// Sends all `rows`; the answers are hints only. Says what one of them failed with.
    async fn put_rows(
        &self,
        shard: &Shard,
        term: &Term,
        rows: &[Mutation],
        checkpoint: u64,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Failure>, Error> {
        let mut failed = None;
        let transactions: Vec<&[Mutation]> = transactions(rows).collect();
        for round in transactions.chunks(limits::STORE_FLUSH_ROUND) {
            let starts = self.starts(shard, term, round.len(), checkpoint, patience).await?;
            self.calls.measures.flush_transactions.increment(round.len() as u64);
            let writes: Vec<_> = starts.into_iter().zip(round.iter().map(|rows| rows.to_vec())).collect();
            let writes = stream::iter(writes).map(|(start, rows)| self.calls.write(start, rows));
            let hints: Vec<_> = writes.buffered(limits::STORE_FLUSH_IN_FLIGHT).collect().await;
            failed = hints.into_iter().find_map(Result::err).or(failed);
        }
        Ok(failed)
    }

    /// Timestamps for as many transactions. The guard names this owner as of the latest of them, and so
    /// as of every one: its epoch only ever rises.
    async fn starts(
        &self,
        shard: &Shard,
        term: &Term,
        count: usize,
        checkpoint: u64,
        patience: &mut Patience<'_>,
    ) -> Result<Vec<Timestamp>, Error> {
        loop {
            let look = async {
                let starts = futures::future::try_join_all((0..count).map(|_| self.calls.begin())).await?;
                if let Some(latest) = starts.iter().max()
                    && !self.config.leaves_out(Planted::NoGuard)
                {
                    check_guard(shard, self.guard(*latest, shard.id).await?, term.epoch, checkpoint)?;
                }
                Ok::<_, Trouble>(starts)
            };
            match look.await {
                Ok(starts) => return Ok(starts),
                Err(trouble) => patience.again(trouble).await?,
            }
        }
    }

    /// Those of `rows` that do not read back equal, at a timestamp that is taken now.
    async fn differing(&self, rows: Vec<Mutation>, patience: &mut Patience<'_>) -> Result<Vec<Mutation>, Error> {
        let keys: Vec<Bytes> = rows.iter().map(|(key, _)| key.clone()).collect();
        let found = self.get_stored(&keys, patience).await?;
        Ok(rows.into_iter().zip(found).filter(|((_, wanted), found)| wanted != found).map(|(row, _)| row).collect())
    }

    /// The values of stored keys, in their order.
    pub(crate) async fn get_stored(
        &self,
        keys: &[Bytes],
        patience: &mut Patience<'_>,
    ) -> Result<Vec<Option<Bytes>>, Error> {
        loop {
            // An answer that was too large is smaller the next time.
            let together = (limits::STORE_ROWS >> (2 * patience.tries().min(8))).max(1);
            let look = async {
                let at = self.calls.timestamp().await?;
                let parts: Vec<Vec<Bytes>> = keys.chunks(together).map(<[Bytes]>::to_vec).collect();
                let found = stream::iter(parts).map(|part| self.calls.get_many(at, part));
                found.buffered(limits::STORE_FLUSH_IN_FLIGHT).try_collect::<Vec<_>>().await
            };
            match look.await {
                Ok(found) => return Ok(found.into_iter().flatten().collect()),
                Err(failure) => patience.again(failure).await?,
            }
        }
    }

    /// Moves the mark, as long as the guard names this owner.
    async fn raise_checkpoint(
        &self,
        shard: &Shard,
        epoch: u64,
        checkpoint: u64,
        patience: &mut Patience<'_>,
    ) -> Result<(), Error> {
        self.settle(&self.keys.guard(shard.id), patience, |found| {
            let guard = Guard::decode(found)?;
            check_guard(shard, guard, epoch, checkpoint)?;
            if guard.checkpoint == checkpoint {
                return Ok(Step::Done(()));
            }
            Ok(Step::Write(Guard { checkpoint, ..guard }.encode()))
        })
        .await
    }
}

/// Whether the guard allows the owner that began with `epoch` to move the mark to `checkpoint`.
fn check_guard(shard: &Shard, guard: Guard, epoch: u64, checkpoint: u64) -> Result<(), Error> {
    if guard.epoch > epoch {
        return Err(Error::Fenced(guard.epoch));
    }
    if guard.epoch < epoch {
        return Err(Error::Corrupt(format!("the guard of shard {} has gone back from {epoch}", shard.id)));
    }
    if guard.checkpoint > checkpoint {
        let at = guard.checkpoint;
        return Err(Error::Invalid(format!("checkpoint {checkpoint} of shard {}: it is at {at} already", shard.id)));
    }
    Ok(())
}

/// Rows in transactions: several of one slot as long as they are small enough together, else one.
fn transactions(rows: &[Mutation]) -> impl Iterator<Item = &[Mutation]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let (key, value) = rest.first()?;
        let slot = key.get(..SLOT_BYTES);
        let mut bytes = size(key, value.as_ref());
        let others = rest[1..].iter().take_while(|(key, value)| {
            bytes += size(key, value.as_ref());
            slot.is_some() && key.get(..SLOT_BYTES) == slot && bytes <= limits::STORE_FLUSH_BYTES
        });
        let (these, others) = rest.split_at(1 + others.count());
        rest = others;
        Some(these)
    })
}

fn size(key: &Bytes, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_small_rows_of_one_slot() {
        let row = |slot: u8, rest: u8, bytes: usize| {
            (Bytes::from(vec![b'r', 0, 0, 0, 1, 0, slot, rest]), Some(Bytes::from(vec![0; bytes])))
        };
        let rows = [row(1, 1, 10), row(1, 2, 10), row(2, 1, 10), row(2, 2, 20_000), row(2, 3, 9_000), row(2, 4, 9_000)];
        let sizes: Vec<usize> = transactions(&rows).map(<[_]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1]);
        let small: Vec<Mutation> = (0..200).map(|rest| row(3, rest, 100)).collect();
        assert_eq!(transactions(&small).map(<[_]>::len).collect::<Vec<_>>(), [148, 52]);
        assert_eq!(transactions(&[]).count(), 0);
    }
}
