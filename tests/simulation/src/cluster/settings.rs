//! How large a simulation is, and what is left out of the server in it.

use std::time::Duration;

use super::CLUSTER;

/// How large a simulation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Members at the start.
    pub members: u64,
    /// Shards.
    pub shards: u32,
    /// Customers.
    pub customers: u64,
    /// Simulated time in which things go wrong.
    pub time: Duration,
    /// Whether anything goes wrong.
    pub faults: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { members: 3, shards: 6, customers: 5, time: Duration::from_secs(60), faults: true }
    }
}

impl Settings {
    pub(super) fn configure_store(&self, _config: &mut ordermill_transactional::Config) {}

    pub(super) fn routing(&self) -> ordermill_routing::Config {
        ordermill_routing::Config {
            cluster: CLUSTER,
            shards: self.shards,
            cache_bytes: 1 << 20,
            flush_bytes: 64 << 10,
            flush_interval: Duration::from_secs(3),
            journal_retention: Duration::from_hours(1),
            idempotency_retention: Duration::from_hours(1),
        }
    }
}
