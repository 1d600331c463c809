//! Flushes: changed rows, then the mark that says up to which record they are contained.
//!
//! Rows are written at timestamps at which the guard still names this owner, and count only once they
//! were read back equal. A write of an earlier owner, or of an earlier try, that arrives late meets a
//! row that was changed since its timestamp, and fails. Never moves the mark before every row is there.
//!
//! A row that is not there says nothing of who deleted it, or whether it ever was: an earlier write of it
//! may still be on its way. So every transaction also writes the flush number of its slots, which is when it
//! began, and a deletion counts once that number is of this flush. Whatever began before, and is late, has
//! the number among its keys too, and fails.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use ordermill_station::limits;
use ordermill_store::keys::HEAD_BYTES;
use ordermill_store::{Change, Error, ShardId};

use crate::Inner;
use crate::call::{Patience, Trouble};
use crate::keys;
use crate::measure::{Found, What, resolved};
use crate::planted::Planted;
use crate::service::{Failure, Mutation, Timestamp};
use crate::settle::Step;
use crate::shards::{Shard, Term};
use crate::stored::{FlushNumber, Guard, encode_row};

/// Rows of neighbouring slots that are written together.
#[derive(Clone, Debug)]
struct Part<'a> {
    rows: &'a [Mutation],
    /// Where the flush number stands that these slots share. None: the row is too large to be written with it in one phase.
    number: Option<Bytes>,
}

impl Part<'_> {
    /// What the transaction that began at `start` writes. The number comes first: it decides whether any of
    /// it is committed, wherever regions begin.
    fn mutations(&self, start: Timestamp) -> Vec<Mutation> {
        let number = self.number.clone().map(|key| (key, Some(FlushNumber(start.0).encode())));
        number.into_iter().chain(self.rows.iter().cloned()).collect()
    }
}

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
        if let Some((key, _)) = rows.iter().find(|(key, _)| key.len() < HEAD_BYTES) {
            return Err(Error::Invalid(format!("a row's key of {} bytes: {HEAD_BYTES} are the least", key.len())));
        }
        let done = shard.ends(term.epoch, self.flush_all(&shard, &term, rows, checkpoint).await);
        if done.is_ok() {
            shard.change(term.epoch, |term| term.checkpoint = term.checkpoint.max(checkpoint));
        }
        done
    }

    async fn flush_all(&self, shard: &Shard, term: &Term, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        let mut rows: Vec<Mutation> =
            rows.into_iter().map(|(key, value)| (keys::row(&key), value.map(encode_row))).collect();
        self.calls.measures.flushed_rows.increment(rows.len() as u64);
        let mut patience = self.calls.patience("flush", limits::STORE_PATIENCE);
        // When the first of its transactions began: later than everything that is late.
        let mut first = None;
        while !rows.is_empty() {
            let before = rows.len();
            let hint = self.put_rows(shard, term, &rows, checkpoint, &mut first, &mut patience).await?;
            if hint.is_none() && self.config.leaves_out(Planted::NoReadBack) {
                break;
            }
            let differing = self.differing(rows, first.unwrap_or(Timestamp(u64::MAX)), &mut patience).await;
            if hint.is_some() || differing.as_ref().is_ok_and(|rows| !rows.is_empty()) {
                resolved(What::Rows, found(&differing));
            }
            rows = differing?;
            if rows.len() < before {
                patience.renew();
            } else {
                let why = hint.unwrap_or_else(|| Failure::Unavailable("no row was written".to_owned()));
                patience.again(why).await?;
            }
        }
        self.raise_checkpoint(shard, term.epoch, checkpoint, &mut patience).await
    }

    /// Sends all `rows`; the answers are hints only. Says what one of them failed with. The first one
    /// began at `first`.
    async fn put_rows(
        &self,
        shard: &Shard,
        term: &Term,
        rows: &[Mutation],
        checkpoint: u64,
        first: &mut Option<Timestamp>,
        patience: &mut Patience<'_>,
    ) -> Result<Option<Failure>, Error> {
        let mut failed = None;
        let numbered = !self.config.leaves_out(Planted::NoFlushNumber);
        let mut waiting: Vec<Part<'_>> = transactions(rows, numbered).collect();
        while !waiting.is_empty() {
            let round;
            (round, waiting) = next_round(waiting);
            let starts = self.starts(shard, term, round.len(), checkpoint, patience).await?;
            *first = (*first).or(starts.iter().min().copied());
            self.calls.measures.flush_transactions.increment(round.len() as u64);
            let writes: Vec<_> =
                starts.into_iter().zip(round).map(|(start, part)| (start, part.mutations(start))).collect();
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

    /// Those of `rows` that do not read back equal, at a timestamp that is taken now; of deleted ones also
    /// those whose slot was not written since `first`.
    async fn differing(
        &self,
        rows: Vec<Mutation>,
        first: Timestamp,
        patience: &mut Patience<'_>,
    ) -> Result<Vec<Mutation>, Error> {
        let numbered = !self.config.leaves_out(Planted::NoFlushNumber);
        let deleted = rows.iter().filter(|(_, value)| numbered && value.is_none());
        let numbers: BTreeSet<Bytes> = deleted.map(|(key, _)| keys::flush_number(key)).collect();
        let wanted: Vec<Bytes> = rows.iter().map(|(key, _)| key).chain(&numbers).cloned().collect();
        let mut found = self.get_stored(&wanted, patience).await?;
        let mut old = BTreeSet::new();
        for (key, number) in numbers.iter().zip(found.split_off(rows.len())) {
            if FlushNumber::decode(number.as_ref())?.0 < first.0 {
                old.insert(key.clone());
            }
        }
        let is_open = |(key, wanted): &Mutation, found: &Option<Bytes>| {
            wanted != found || (wanted.is_none() && old.contains(&keys::flush_number(key)))
        };
        Ok(rows.into_iter().zip(found).filter(|(row, found)| is_open(row, found)).map(|(row, _)| row).collect())
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

/// What became of rows that were sent, by those that read back otherwise.
fn found(differing: &Result<Vec<Mutation>, Error>) -> Found {
    match differing {
        Ok(rows) if rows.is_empty() => Found::Mine,
        Ok(_) => Found::Absent,
        Err(_) => Found::Never,
    }
}

/// Whether the guard allows the owner that began with `epoch` to move the mark to `checkpoint`.
///
/// It names that owner or a later one ever since the takeover read it back. Where it reads older, the store has answered from
/// the past: nothing is written by such an answer, and the next one may be right.
pub(crate) fn check_guard(shard: &Shard, guard: Guard, epoch: u64, checkpoint: u64) -> Result<(), Error> {
    if guard.epoch > epoch {
        return Err(Error::Fenced(guard.epoch));
    }
    if guard.epoch < epoch {
        let (found, shard) = (guard.epoch, shard.id);
        return Err(Error::Unavailable(format!("the guard of shard {shard} was {epoch}, and reads as {found}")));
    }
    if guard.checkpoint > checkpoint {
        let at = guard.checkpoint;
        return Err(Error::Invalid(format!("checkpoint {checkpoint} of shard {}: it is at {at} already", shard.id)));
    }
    Ok(())
}

/// Rows in transactions: several that share a flush number as long as they are small enough together, else one.
fn transactions(rows: &[Mutation], numbered: bool) -> impl Iterator<Item = Part<'_>> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let (key, value) = rest.first()?;
        let number = keys::flush_number(key);
        let mut bytes = size(key, value.as_ref());
        let is_small = bytes <= limits::STORE_FLUSH_BYTES;
        let others = rest[1..].iter().take_while(|(key, value)| {
            bytes += size(key, value.as_ref());
            keys::flush_number(key) == number && bytes <= limits::STORE_FLUSH_BYTES
        });
        let (rows, others) = rest.split_at(1 + others.count());
        rest = others;
        Some(Part { rows, number: (numbered && is_small).then_some(number) })
    })
}

/// Those of `waiting` that may be under way at once, and the others: two that write the same number would
/// be in each other's way.
fn next_round(waiting: Vec<Part<'_>>) -> (Vec<Part<'_>>, Vec<Part<'_>>) {
    let (mut numbers, mut count) = (BTreeSet::new(), 0);
    waiting.into_iter().partition(|part| {
        let fits = count < limits::STORE_FLUSH_ROUND
            && part.number.as_ref().is_none_or(|number| numbers.insert(number.clone()));
        count += usize::from(fits);
        fits
    })
}

fn size(key: &Bytes, value: Option<&Bytes>) -> usize {
    key.len() + value.map_or(0, Bytes::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_has_small_rows_of_slots_that_share_a_number() {
        let row = |slot: u8, rest: u8, bytes: usize| {
            (Bytes::from(vec![b'r', 0, 0, 0, 1, 0, slot, rest]), Some(Bytes::from(vec![0; bytes])))
        };
        let (small, large) = (10, 9_000);
        let rows = [
            row(1, 1, small),
            row(63, 2, small),
            row(64, 1, small),
            row(65, 2, 20_000),
            row(65, 3, large),
            row(66, 4, large),
        ];
        let sizes = |rows: &[Mutation]| transactions(rows, true).map(|part| part.rows.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&rows), [2, 1, 1, 1, 1]);
        let small: Vec<Mutation> = (0..200).map(|rest| row(3, rest, 100)).collect();
        assert_eq!(sizes(&small), [148, 52]);
        assert!(sizes(&[]).is_empty());
        // Only a row that fills a transaction by itself goes without the number of its flush.
        let numbers: Vec<bool> = transactions(&rows, true).map(|part| part.number.is_some()).collect();
        assert_eq!(numbers, [true, true, false, true, true]);
        let part = transactions(&rows, true).next().unwrap();
        let (number, value) = part.mutations(Timestamp(5)).remove(0);
        assert_eq!((&number[..], value), (&[b'r', 0, 0, 0, 1, 0, 0][..], Some(FlushNumber(5).encode())));
    }

    #[test]
    fn a_round_writes_each_number_once() {
        let row = |slot: u8, rest: u8| {
            (Bytes::from(vec![b'r', 0, 0, 0, 1, 0, slot, rest]), Some(Bytes::from(vec![0; 9_000])))
        };
        let rows = [row(1, 1), row(1, 2), row(2, 3), row(64, 1), row(64, 2)];
        let mut waiting: Vec<Part<'_>> = transactions(&rows, true).collect();
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            let round;
            (round, waiting) = next_round(waiting);
            sizes.push(round.len());
        }
        assert_eq!(sizes, [2, 2, 1]);
    }
}
