//! Flushes: changed rows go to the store in the background, and old records are let go. The last one ends
//! the journal of a shard that is split.

use std::sync::atomic::Ordering;

use ordermill_station::limits;
use ordermill_store::Error as StoreError;

use crate::task::Service;

/// A flush that has ended.
pub(crate) struct Flushed {
    checkpoint: u64,
    result: Result<(), StoreError>,
}

impl Service {
    pub(crate) fn flush_if_due(&mut self) {
        let now = self.clock.elapsed();
        self.count();
        let overdue = now.saturating_sub(self.last_flush) >= self.config.flush_interval;
        // A store of this process alone makes one table of what all shards have.
        let together = !self.store.is_shared();
        if overdue && together && self.counted_bytes > 0 {
            self.config.unflushed.call(self.flush_round);
        }
        let due = self.config.unflushed.is_due(self.counted_bytes, self.flush_round)
            || overdue
            || !self.awaiting_flush.is_empty()
            || (self.closing.is_some() && !self.flush_failed && !self.ends_unflushed());
        if !due || now < self.flush_not_before || self.committed.is_flushing() {
            return;
        }
        self.flush_round = self.config.unflushed.round();
        let Some((rows, last)) = self.committed.begin_flush() else {
            if together {
                self.last_flush = now;
            }
            return self.tell_flushed(true);
        };
        self.count();
        self.ahead.clear();
        self.last_flush = now;
        let (store, id, checkpoint) = (self.store.clone(), self.config.id, self.number);
        let (ended, unflushed) = (self.flushes.0.clone(), self.config.unflushed.clone());
        tokio::spawn(async move {
            let many = rows.len().max(last.len()) > limits::SORT_ASIDE_ROWS;
            let sort = move || {
                drop(last);
                rows.sorted()
            };
            // Sorting, and letting go of what was flushed before, take too long for a thread that answers.
            let sorted = if many { unflushed.in_turn(sort).await } else { Ok(sort()) };
            let result = match sorted {
                Ok(sorted) => store.flush(id, sorted, checkpoint).await,
                Err(error) => Err(StoreError::Unavailable(format!("changed rows were not sorted: {error}"))),
            };
            // A shard that has stopped needs no word of it.
            let _ = ended.send(Flushed { checkpoint, result }).await;
        });
    }

    /// Answers who waits for a flush.
    fn tell_flushed(&mut self, done: bool) {
        for waiting in self.awaiting_flush.drain(..) {
            // Who has gone away needs no answer.
            let _ = waiting.send(done);
        }
    }

    /// Ends the journal: nothing is queued, and nothing is appended any more. Says what the shard ends with.
    pub(crate) async fn seal(&mut self) -> StoreError {
        if self.flush_failed {
            return StoreError::Unavailable("what has changed was not flushed: the journal goes on".into());
        }
        match self.store.seal(self.config.id, self.number).await {
            Ok(()) => StoreError::Sealed(self.number),
            Err(error) => error,
        }
    }

    /// Tells the process how much this shard has to flush.
    fn count(&mut self) {
        let bytes = self.committed.dirty_bytes();
        self.config.unflushed.changed(self.counted_bytes, bytes);
        self.counted_bytes = bytes;
        self.gauges.unflushed_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) async fn flushed(&mut self, Flushed { checkpoint, result }: Flushed) {
        let now = self.clock.elapsed();
        self.committed.end_flush(result.is_ok());
        self.tell_flushed(result.is_ok());
        match result {
            Ok(()) => {
                self.gauges.checkpoint.store(checkpoint, Ordering::Relaxed);
                self.checkpoints.push_back((checkpoint, now));
                let mut trim = None;
                while let Some(&(number, at)) = self.checkpoints.front()
                    && now.saturating_sub(at) >= self.config.journal_retention
                {
                    trim = Some(number);
                    self.checkpoints.pop_front();
                }
                // The last record stays: time and sequence go on from it.
                if let Some(through) = trim.map(|number| number.min(self.number.saturating_sub(1)))
                    && through > 0
                    && let Err(error) = self.store.trim(self.config.id, through).await
                {
                    tracing::warn!(shard = %self.config.id, %error, "old records were not trimmed");
                }
            }
            Err(error) => {
                self.shard_station.failed(error.kind());
                tracing::warn!(shard = %self.config.id, %error, "changed rows were not flushed");
                if self.store.is_shared() {
                    self.lost.tell(&error);
                }
                self.flush_not_before = now + limits::TICK;
                // The journal has them: a shard that is closing leaves them to recovery.
                self.flush_failed = self.closing.is_some();
            }
        }
    }
}
