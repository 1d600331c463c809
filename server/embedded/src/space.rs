//! Whether there is room: asked of the file system now and then, answered from memory.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::Gauge;
use ordermill_station::clock;
use ordermill_store::Error;

/// How old an answer of the file system may be.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// Watches the free bytes of the data directory's file system.
#[derive(Debug)]
pub(crate) struct Space {
    dir: PathBuf,
    free_bytes_min: u64,
    clock: clock::Shared,
    gauge: Gauge,
    /// When to ask again, in milliseconds of the clock.
    next_ms: AtomicU64,
    free_bytes: AtomicU64,
}

impl Space {
    /// Watches the file system of `dir`; below `free_bytes_min` there is no room.
    pub(crate) fn new(dir: PathBuf, free_bytes_min: u64, clock: clock::Shared, gauge: Gauge) -> Self {
        let next_ms = AtomicU64::new(0);
        Self { dir, free_bytes_min, clock, gauge, next_ms, free_bytes: AtomicU64::new(u64::MAX) }
    }

    /// Whether writes are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.free_bytes() < self.free_bytes_min
    }

    /// `Full` unless there is room for `bytes` more.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), Error> {
        let free = self.free_bytes();
        if free >= self.free_bytes_min.saturating_add(bytes) {
            return Ok(());
        }
        Err(Error::Full(format!(
            "{} has {free} free bytes, and {} of them are kept: make room, writes go on by themselves",
            self.dir.display(),
            self.free_bytes_min
        )))
    }

    fn free_bytes(&self) -> u64 {
        let now_ms = self.clock.elapsed().as_millis() as u64;
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        let later_ms = now_ms + CHECK_EVERY.as_millis() as u64;
        let mine = now_ms >= next_ms
            && self.next_ms.compare_exchange(next_ms, later_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            match rustix::fs::statvfs(&self.dir) {
                Ok(found) => {
                    let free = found.f_bavail.saturating_mul(found.f_frsize);
                    self.free_bytes.store(free, Ordering::Relaxed);
                    self.gauge.set(free as f64);
                }
                Err(error) => tracing::warn!(%error, dir = %self.dir.display(), "cannot tell how much room there is"),
            }
        }
        self.free_bytes.load(Ordering::Relaxed)
    }
}
