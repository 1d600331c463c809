//! What all shards of a process keep unflushed together.
//!
//! The bound is one for the process, so a busy shard may use what idle ones do not. When it is
//! reached, every shard flushes: a store then has one large flush to write instead of a small one
//! now and then from each.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use ordermill_station::limits;

/// Counts the bytes of changed rows of all shards, and says when to flush.
#[derive(Debug)]
pub struct Unflushed {
    flush_bytes: usize,
    share_bytes: usize,
    bytes: AtomicUsize,
    /// Raised when all shards shall flush.
    round: AtomicU64,
}

impl Unflushed {
    /// A flush begins at `flush_bytes`; `shards` shards share them.
    pub fn new(flush_bytes: usize, shards: u32) -> Self {
        let share_bytes = flush_bytes / shards.max(1) as usize;
        Self { flush_bytes, share_bytes, bytes: AtomicUsize::new(0), round: AtomicU64::new(0) }
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
    use super::*;

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
