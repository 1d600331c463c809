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
    /// Clients that only read.
    pub watchers: u64,
    /// Simulated time in which things go wrong.
    pub time: Duration,
    /// Whether anything goes wrong.
    pub faults: bool,
    /// Whether shards are split.
    pub splits: bool,
    /// What the server leaves out or does wrong.
    #[cfg(feature = "planted-faults")]
    pub planted: Option<Planted>,
}

/// A step that the server leaves out or does wrong.
#[cfg(feature = "planted-faults")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// In its store.
    Store(ordermill_transactional::Planted),
    /// In its shards.
    Shard(ordermill_shard::Planted),
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            members: 3,
            shards: 6,
            customers: 5,
            watchers: 2,
            time: Duration::from_mins(1),
            faults: true,
            splits: false,
            #[cfg(feature = "planted-faults")]
            planted: None,
        }
    }
}

impl Settings {
    #[cfg_attr(not(feature = "planted-faults"), expect(clippy::unused_self, reason = "what is planted is a setting"))]
    pub(super) fn store(&self, incarnation: u64) -> ordermill_transactional::Config {
        ordermill_transactional::Config {
            #[cfg(feature = "planted-faults")]
            planted: if let Some(Planted::Store(step)) = self.planted { Some(step) } else { None },
            ..ordermill_transactional::Config::new(CLUSTER, incarnation)
        }
    }

    pub(super) fn routing(&self, journal_retention: Duration) -> ordermill_routing::Config {
        ordermill_routing::Config {
            cluster: CLUSTER,
            shards: self.shards,
            cache_bytes: 1 << 20,
            flush_bytes: 64 << 10,
            flush_interval: Duration::from_secs(3),
            journal_retention,
            idempotency_retention: Duration::from_hours(1),
            #[cfg(feature = "planted-faults")]
            planted: if let Some(Planted::Shard(step)) = self.planted { Some(step) } else { None },
        }
    }
}
