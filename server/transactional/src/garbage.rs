//! Letting the service forget old versions.
//!
//! The versions that go are what refuses a write that arrives late: they stay for an hour at least, and a
//! process that was stopped for half of that has to end. Never decides which member does it.

use std::time::Duration;

use ordermill_station::limits;
use ordermill_store::Error;

use crate::Transactional;
use crate::service::Timestamp;

/// Bits of a timestamp below its milliseconds.
const LOGICAL_BITS: u32 = 18;

impl Transactional {
    /// Lets the service forget what nobody can have read for `lag`. One member of a cluster calls it now
    /// and then.
    ///
    /// `Invalid` where the cluster was told not to (`Config::drive_gc`), or when `lag` is below an hour;
    /// `Unavailable` when the service does not answer: trying again later does no harm.
    pub async fn collect_garbage(&self, lag: Duration) -> Result<(), Error> {
        let inner = self.open()?;
        if !inner.config.drive_gc {
            return Err(Error::Invalid("the service collects its garbage itself".to_owned()));
        }
        if lag < limits::STORE_GARBAGE_LAG {
            let least = limits::STORE_GARBAGE_LAG.as_secs();
            return Err(Error::Invalid(format!("{} s: {least} s are the least", lag.as_secs())));
        }
        let unavailable = |failure| Error::Unavailable(format!("garbage was not collected: {failure}"));
        let now = inner.calls.timestamp().await.map_err(unavailable)?;
        let at = now.physical_ms().saturating_sub(lag.as_millis() as u64);
        inner.calls.collect_garbage(Timestamp(at << LOGICAL_BITS)).await.map_err(unavailable)?;
        inner.calls.measures.collected(at);
        Ok(())
    }
}
