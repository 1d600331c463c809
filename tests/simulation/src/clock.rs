//! The runtime's clock as a station clock: it passes as fast as the runtime lets it.

use std::sync::Arc;
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
