//! Time comes in through here and nowhere else, so that a simulation can own it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A source of wall-clock and monotonic time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since the Unix epoch; may jump either way.
    fn now_ms(&self) -> u64;
    /// Time since an arbitrary fixed origin; never goes back.
    fn elapsed(&self) -> Duration;
}

/// The clock shared by all stations of a process.
pub type Shared = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug)]
pub struct System {
    origin: Instant,
}

impl System {
    /// The machine's clocks, with the monotonic origin at this call.
    #[expect(clippy::disallowed_methods, reason = "this module is where time comes in")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// The same, ready to hand out.
    pub fn shared() -> Shared {
        Arc::new(Self::new())
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "this module is where time comes in")]
    fn now_ms(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A clock that moves only when told to; wall and monotonic time move together.
#[derive(Debug, Default)]
pub struct Manual {
    now_ms: AtomicU64,
}

impl Manual {
    /// A clock standing at `now_ms`.
    pub fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicU64::new(now_ms) })
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms())
    }
}
