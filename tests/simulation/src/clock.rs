//! The runtime's clock as a station clock: it passes as fast as the runtime lets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ordermill_station::clock::Clock;
use tokio::time::Instant;

/// Milliseconds since the Unix epoch at which a simulation begins: some day in 2023.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;

/// Time of the runtime since this clock was made. With a paused clock it passes only while everybody
/// waits.
#[derive(Debug)]
pub struct Virtual(Instant);

impl Virtual {
    /// A clock that begins now, ready to hand out.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for Virtual {
    fn now_ms(&self) -> u64 {
        BEGIN_MS + self.0.elapsed().as_millis() as u64
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The clock of one machine: its wall clock may be off and jump, its other one goes on steadily.
#[derive(Debug)]
pub(crate) struct Skewed {
    time: Virtual,
    skew_ms: AtomicI64,
}

impl Skewed {
    /// A clock that is off by `skew_ms` from the one that began at `origin`, ready to hand out.
    pub(crate) fn shared(origin: Instant, skew_ms: i64) -> Arc<Self> {
        Arc::new(Self { time: Virtual(origin), skew_ms: AtomicI64::new(skew_ms) })
    }

    /// From now on the wall clock is off by `skew_ms`.
    pub(crate) fn jump(&self, skew_ms: i64) {
        self.skew_ms.store(skew_ms, Ordering::Relaxed);
    }
}

impl Clock for Skewed {
    fn now_ms(&self) -> u64 {
        self.time.now_ms().saturating_add_signed(self.skew_ms.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.time.elapsed()
    }
}
