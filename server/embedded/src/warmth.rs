//! Whether rows are read where they are asked for, or on a thread that may wait for a disk.
//!
//! Most reads of a few rows find in memory what they look for, or that it is nowhere: they cost less than the way to
//! another thread and back. But whether one waits for the disk shows only when it is over. So the mean of those that were
//! made on the spot decides; a single long one may be another thread's turn on a busy machine.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Rows of one call that are few enough.
const FEW: usize = 32;
/// The mean above which reads are cold: several times the way to another thread.
const COLD_MEAN_NS: u64 = 200_000;
/// How much the latest read weighs in the mean: one of so many.
const WEIGHT: u64 = 64;
/// How long reads go to another thread once they were cold.
const COLD_FOR: Duration = Duration::from_secs(1);

/// What is known of reads so far.
#[derive(Debug, Default)]
pub(crate) struct Warmth {
    mean_ns: AtomicU64,
    /// On the store's clock.
    cold_until_ns: AtomicU64,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Warmth {
    /// Whether so many rows are read on the spot at `now`.
    pub(crate) fn is_warm(&self, rows: usize, now: Duration) -> bool {
        rows <= FEW && nanos(now) >= self.cold_until_ns.load(Relaxed)
    }

    /// A read on the spot took from `begun` until `now`.
    pub(crate) fn took(&self, begun: Duration, now: Duration) {
        // Threads may overwrite each other's: it is a mean of most.
        let mean = self.mean_ns.load(Relaxed);
        let mean = mean - mean / WEIGHT + nanos(now.saturating_sub(begun)) / WEIGHT;
        if mean <= COLD_MEAN_NS {
            self.mean_ns.store(mean, Relaxed);
            return;
        }
        self.cold_until_ns.store(nanos(now + COLD_FOR), Relaxed);
        // What follows then is a try.
        self.mean_ns.store(COLD_MEAN_NS / 2, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(warmth: &Warmth, now: &mut Duration, took: Duration) -> bool {
        let begun = *now;
        let warm = warmth.is_warm(4, begun);
        *now += took;
        if warm {
            warmth.took(begun, *now);
        }
        warm
    }

    #[test]
    fn cold_reads_go_elsewhere_and_are_tried_again() {
        let (warmth, mut now) = (Warmth::default(), Duration::from_hours(1));
        let (warm, cold) = (Duration::from_micros(10), Duration::from_millis(1));
        assert!((0..1_000).all(|_| read(&warmth, &mut now, warm)));
        assert!(!warmth.is_warm(FEW + 1, now), "many rows are a matter of their own");
        let on_the_spot = (0..1_000).filter(|_| read(&warmth, &mut now, cold)).count();
        assert!((5..40).contains(&on_the_spot), "{on_the_spot}");
        // A second later they are tried, and stay as soon as they are warm.
        now += COLD_FOR;
        assert!((0..1_000).all(|_| read(&warmth, &mut now, warm)));
    }

    #[test]
    fn one_long_read_is_chance() {
        let (warmth, mut now) = (Warmth::default(), Duration::from_hours(1));
        for _ in 0..20 {
            assert!((0..200).all(|_| read(&warmth, &mut now, Duration::from_micros(10))));
            assert!(read(&warmth, &mut now, Duration::from_millis(8)));
        }
    }
}
