//! What all shards of a process keep unflushed together.
//!
//! The bound is one for the process, so a busy shard may use what idle ones do not. When it is
//! reached, every shard flushes: a store then has one large flush to write instead of a small one
//! now and then from each.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ordermill_station::aside::give_way;
use ordermill_station::limits;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinError;

/// Counts the bytes of changed rows of all shards, and says when to flush.
#[derive(Debug)]
pub struct Unflushed {
    flush_bytes: usize,
    share_bytes: usize,
    bytes: AtomicUsize,
    /// Raised when all shards shall flush.
    round: AtomicU64,
    /// Held by the shard whose rows are being sorted.
    sorting: Mutex<()>,
    /// How many shards' rows are, or wait to be.
    unsorted: watch::Sender<usize>,
}

impl Unflushed {
    /// A flush begins at `flush_bytes`; `shards` shards share them.
    pub fn new(flush_bytes: usize, shards: u32) -> Self {
        let share_bytes = flush_bytes / shards.max(1) as usize;
        let (bytes, round) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { flush_bytes, share_bytes, bytes, round, sorting: Mutex::default(), unsorted: watch::Sender::new(0) }
    }

    /// Whether a shard with `own` bytes of changed rows, whose last flush was of round `seen`,
    /// shall flush.
    pub(crate) fn is_due(&self, own: usize, seen: u64) -> bool {
        // A small shard leaves it to those that have more to give.
        if self.bytes.load(Ordering::Relaxed) >= self.flush_bytes && own >= self.share_bytes / 2 {
            self.call(seen);
        }
        self.round() != seen
    }

    /// Calls all shards to flush, for one whose last flush was of round `seen`: whoever is first calls all others.
    pub(crate) fn call(&self, seen: u64) {
        let _ = self.round.compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The round of flushes that is under way.
    pub(crate) fn round(&self) -> u64 {
        self.round.load(Ordering::Relaxed)
    }

    /// Sorts a shard's rows on a thread that gives way to answers, when no other shard's are being sorted, and returns once none
    /// waits to be: what all shards flush is one table all the same. Fails when `sort` panics.
    ///
    /// All shards flush at the same time, and as many threads as there are shards would leave answers next to nothing of the
    /// processors, however far each of them gives way.
    pub(crate) async fn in_turn<T: Send + 'static>(
        &self,
        sort: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.unsorted.send_modify(|shards| *shards += 1);
        let turn = self.sorting.lock().await;
        let sorted = tokio::task::spawn_blocking(|| give_way(sort)).await;
        drop(turn);
        self.unsorted.send_modify(|shards| *shards -= 1);
        // Its sender is here: it does not close.
        let _ = self.unsorted.subscribe().wait_for(|shards| *shards == 0).await;
        sorted
    }

    /// Whether a shard with `own` bytes of changed rows may take more creates.
    pub(crate) fn has_room(&self, own: usize) -> bool {
        let is_above = |bytes: usize, limit: usize| bytes >= limit * limits::FLUSH_BACKLOG_FACTOR;
        !is_above(self.bytes.load(Ordering::Relaxed), self.flush_bytes) || !is_above(own, self.share_bytes)
    }

    /// A shard had `before` bytes of changed rows and has `now`.
    pub(crate) fn changed(&self, before: usize, now: usize) {
        if now >= before {
            self.bytes.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.bytes.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_shard_sorts_at_a_time_and_all_are_sorted_before_one_goes_on() {
        let unflushed = Arc::new(Unflushed::new(1_000, 10));
        // All wait before the first of them sorts.
        let before = unflushed.sorting.lock().await;
        let [at_work, most, sorted] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
        let shard = |_| {
            let (unflushed, all_sorted) = (unflushed.clone(), sorted.clone());
            let (at_work, most, sorted) = (at_work.clone(), most.clone(), sorted.clone());
            let sort = move || {
                most.fetch_max(at_work.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                at_work.fetch_sub(1, Ordering::SeqCst);
                sorted.fetch_add(1, Ordering::SeqCst);
            };
            tokio::spawn(async move {
                unflushed.in_turn(sort).await.expect("nothing panics");
                all_sorted.load(Ordering::SeqCst)
            })
        };
        let shards: Vec<_> = (0..16).map(shard).collect();
        unflushed.unsorted.subscribe().wait_for(|&shards| shards == 16).await.expect("its sender is here");
        drop(before);
        for shard in shards {
            assert_eq!(shard.await.expect("nothing panics"), 16);
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn all_shards_flush_when_one_reaches_the_bound() {
        let unflushed = Unflushed::new(1_000, 10);
        unflushed.changed(0, 900);
        assert!(!unflushed.is_due(900, 0));
        unflushed.changed(0, 100);
        assert!(!unflushed.is_due(10, 0), "a small shard does not begin");
        assert!(unflushed.is_due(900, 0));
        assert!(unflushed.is_due(10, 0), "but goes along");
        assert!(!unflushed.is_due(10, unflushed.round()), "once");
        unflushed.changed(900, 0);
        assert!(!unflushed.is_due(100, unflushed.round()));
        let seen = unflushed.round();
        unflushed.call(seen);
        unflushed.call(seen);
        assert_eq!(unflushed.round(), seen + 1, "two that are overdue at once call once");
        assert!(unflushed.is_due(0, seen));
    }

    #[test]
    fn a_full_process_stops_the_shards_that_fill_it() {
        let unflushed = Unflushed::new(1_000, 10);
        unflushed.changed(0, 1_000 * limits::FLUSH_BACKLOG_FACTOR);
        assert!(!unflushed.has_room(2_000));
        assert!(unflushed.has_room(50));
        unflushed.changed(2_000, 0);
        assert!(unflushed.has_room(2_000));
    }
}
