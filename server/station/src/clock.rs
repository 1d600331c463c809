//! Time comes in through here and nowhere else, so that a simulation can own it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A source of wall-clock and monotonic time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since the Unix epoch; may jump either way.
    fn now_ms(&self) -> u64;
    /// Time since an arbitrary fixed origin; never goes back, and goes on while the machine sleeps.
    fn elapsed(&self) -> Duration;
}

/// The clock shared by all stations of a process.
pub type Shared = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug)]
pub struct System {
    origin: Duration,
}

/// Time since the machine was started. Others go on while this machine is suspended, so that time counts:
/// whoever asks how old something is, or how long nobody has spoken, would be wrong by it.
fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

impl System {
    /// The machine's clocks, with the monotonic origin at this call.
    pub fn new() -> Self {
        Self { origin: since_boot() }
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
        since_boot().saturating_sub(self.origin)
    }
}

/// A clock whose time of day is held near a time that was told: what it is set to later moves it by so much
/// at most until it is told the time again. Its monotonic time is the other clock's.
#[derive(Debug)]
pub struct Held {
    clock: Shared,
    within_ms: u64,
    /// What was told, less the monotonic time at which it was told; none before.
    told_ms: AtomicI64,
}

/// Nothing was told yet.
const UNTOLD: i64 = i64::MIN;

impl Held {
    /// `clock`, held within `within` of what it will be told.
    pub fn new(clock: Shared, within: Duration) -> Arc<Self> {
        Arc::new(Self { clock, within_ms: within.as_millis() as u64, told_ms: AtomicI64::new(UNTOLD) })
    }

    /// The time of day was `now_ms` when the monotonic time was `at`.
    pub fn tell(&self, now_ms: u64, at: Duration) {
        self.told_ms.store(now_ms as i64 - at.as_millis() as i64, Ordering::Relaxed);
    }

    /// The time of day that the other clock shows, however far that is from what was told.
    pub fn shown_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}

impl Clock for Held {
    fn now_ms(&self) -> u64 {
        let shown = self.clock.now_ms();
        match self.told_ms.load(Ordering::Relaxed) {
            UNTOLD => shown,
            told => {
                let expected = told.saturating_add_unsigned(self.clock.elapsed().as_millis() as u64).max(0) as u64;
                shown.clamp(expected.saturating_sub(self.within_ms), expected + self.within_ms)
            }
        }
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// A clock that moves only when told to; wall and monotonic time move together, unless it is set.
#[derive(Debug, Default)]
pub struct Manual {
    now_ms: AtomicU64,
    /// How far the time of day was set away.
    set_ms: AtomicI64,
}

impl Manual {
    /// A clock standing at `now_ms`.
    pub fn at(now_ms: u64) -> Arc<Self> {
        Arc::new(Self { now_ms: AtomicU64::new(now_ms), set_ms: AtomicI64::new(0) })
    }

    /// Sets the time of day so far from where it would be; monotonic time stays.
    pub fn set_off(&self, by_ms: i64) {
        self.set_ms.store(by_ms, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.now_ms.fetch_add(by.as_millis() as u64, Ordering::SeqCst);
    }
}

impl Clock for Manual {
    fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::SeqCst).saturating_add_signed(self.set_ms.load(Ordering::SeqCst))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.now_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_goes_no_further_than_it_may() {
        let manual = Manual::at(1_000_000);
        let held = Held::new(manual.clone(), Duration::from_secs(5));
        manual.set_off(60_000);
        assert_eq!(held.now_ms(), 1_060_000, "nothing was told yet");
        held.tell(1_000_000, manual.elapsed());
        assert_eq!((held.now_ms(), held.shown_ms()), (1_005_000, 1_060_000));
        manual.advance(Duration::from_secs(10));
        assert_eq!(held.now_ms(), 1_015_000);
        manual.set_off(-60_000);
        assert_eq!(held.now_ms(), 1_005_000);
        manual.set_off(1_234);
        assert_eq!((held.now_ms(), held.elapsed()), (1_011_234, Duration::from_secs(1_010)));
    }

    #[test]
    fn the_machines_clock_counts_from_its_beginning() {
        let clock = System::new();
        let first = clock.elapsed();
        assert!(first < Duration::from_mins(1) && clock.elapsed() >= first);
    }
}
