//! Flushes: what several shards want flushed at the same time becomes one table.
//!
//! Many shards have small flushes, and a table for each would have to be merged with all others
//! again and again. So a flush queues its rows and waits for its turn; whoever's turn it is takes
//! everything that has queued. There is no timer: what arrives while a table is written is the next
//! table.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::aside::give_way;
use ordermill_store::{Change, Error};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{Embedded, Inner, rows};

/// How often a flush looks whether the row engine has caught up with merging, ...
const MERGE_WAIT: Duration = Duration::from_millis(20);
/// ... and how many times before it goes on all the same: a flush that never ends would be worse.
const MERGE_WAITS: usize = 250;

/// Flushes that wait for a table.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    queue: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    shard: u32,
    rows: Vec<Change>,
    checkpoint: u64,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Embedded {
    /// Writes rows of `shard`, ascending by key, and its checkpoint; what other shards have queued
    /// meanwhile goes along.
    pub(crate) async fn flush_in_turn(&self, shard: u32, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        rows::check(&rows)?;
        let (answer, mut answered) = oneshot::channel();
        let flushes = &self.0.flushes;
        flushes.queue.lock().push(Waiting { shard, rows, checkpoint, answer });
        let _turn = flushes.turn.lock().await;
        // Whoever had the turn before may have taken these rows along.
        if let Ok(result) = answered.try_recv() {
            return result;
        }
        for _ in 0..MERGE_WAITS {
            if !self.blocking(|inner| Ok(inner.rows.is_behind())).await? {
                break;
            }
            tokio::time::sleep(MERGE_WAIT).await;
        }
        self.blocking(|inner| {
            give_way(|| inner.flush_queued());
            Ok(())
        })
        .await?;
        answered.await.unwrap_or_else(|_| Err(Error::Unknown("the flush was not finished".to_owned())))
    }
}

impl Inner {
    /// Writes what has queued, of each shard the first.
    fn flush_queued(&self) {
        let mut taken = Vec::new();
        let mut shards = BTreeSet::new();
        for waiting in self.flushes.queue.lock().extract_if(.., |waiting| shards.insert(waiting.shard)) {
            match self.check_checkpoint(waiting.shard, waiting.checkpoint) {
                Ok(()) => taken.push(waiting),
                // A caller that has gone away needs no answer.
                Err(error) => drop(waiting.answer.send(Err(error))),
            }
        }
        if taken.is_empty() {
            return;
        }
        let rows = merged(taken.iter_mut().map(|waiting| std::mem::take(&mut waiting.rows)));
        let marks: Vec<_> = taken.iter().map(|waiting| (waiting.shard, waiting.checkpoint)).collect();
        let result = self.flush(&rows, marks);
        for waiting in taken {
            let _ = waiting.answer.send(result.clone());
        }
    }

    fn check_checkpoint(&self, shard: u32, checkpoint: u64) -> Result<(), Error> {
        let extent = self.log.extent(shard);
        if (extent.checkpoint..=extent.last).contains(&checkpoint) {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "checkpoint {checkpoint} of shard {shard}: it lies between {} and {}",
            extent.checkpoint, extent.last
        )))
    }

    fn flush(&self, rows: &[Change], mut marks: Vec<(u32, u64)>) -> Result<(), Error> {
        let bytes = rows.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len)).sum();
        self.space.check(bytes as u64)?;
        let begun = self.clock.elapsed();
        marks.sort_unstable();
        self.rows.flush(rows, &marks)?;
        for (shard, checkpoint) in marks {
            self.log.set_checkpoint(shard, checkpoint);
        }
        self.measures.flush.record(self.clock.elapsed().saturating_sub(begun));
        self.measures.flushed(rows.len(), bytes);
        Ok(())
    }
}

/// Rows in one order that come in several; where each is sorted already, merging is all there is to do.
fn merged(mut parts: impl ExactSizeIterator<Item = Vec<Change>>) -> Vec<Change> {
    if parts.len() == 1 {
        return parts.next().unwrap_or_default();
    }
    let mut all: Vec<_> = parts.flatten().collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}
