//! Decides whether a request may go on before any shard is touched.
//!
//! The signal is queue delay, not queue length: how long commands have waited lately before a
//! shard took them. Creates are refused first, then steps of orders that were accepted already,
//! reads last. Knows no HTTP and no orders; what it refuses has touched nothing.

mod decide;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use metrics::{Gauge, gauge};
use ordermill_station::limits;
use ordermill_station::measure::Station;

pub use decide::{Class, Load, Refused, decide};

/// When requests are refused.
#[derive(Clone, Debug)]
pub struct Config {
    /// Queue delay above which creates are refused.
    pub shed_creates: Duration,
    /// Queue delay above which steps are refused too.
    pub shed_steps: Duration,
    /// Requests served at once.
    pub requests_max: usize,
    /// What a refused client is told to wait.
    pub retry_after_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shed_creates: limits::SHED_CREATES,
            shed_steps: limits::SHED_STEPS,
            requests_max: limits::CONNECTIONS,
            retry_after_seconds: limits::RETRY_AFTER_SECONDS,
        }
    }
}

/// The gate; cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    running: AtomicUsize,
    station: Station,
    gauge: Gauge,
}

impl Admission {
    /// A gate that nothing has passed yet.
    pub fn new(config: Config) -> Self {
        let (station, gauge) = (Station::new("admission"), gauge!("ordermill_requests_running"));
        Self { inner: Arc::new(Inner { config, running: AtomicUsize::new(0), station, gauge }) }
    }

    /// Lets a request of `class` pass, or refuses it. `queue_delay` is what the shards have seen
    /// lately. The permit counts as one running request until it is dropped.
    pub fn admit(&self, class: Class, queue_delay: Duration) -> Result<Permit, Refused> {
        let inner = &self.inner;
        let running = inner.running.fetch_add(1, Ordering::Relaxed);
        let permit = Permit { inner: Arc::clone(inner) };
        decide(&inner.config, class, Load { queue_delay, running }).inspect_err(|refused| {
            inner.station.failed(refused.kind);
        })?;
        inner.station.called(1);
        Ok(permit)
    }

    /// Requests that run now.
    pub fn running(&self) -> usize {
        self.inner.running.load(Ordering::Relaxed)
    }

    /// Publishes how many requests run now; to be called now and then.
    pub fn publish(&self) {
        self.inner.gauge.set(self.running() as f64);
    }
}

/// A request that runs.
#[derive(Debug)]
pub struct Permit {
    inner: Arc<Inner>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_count_while_they_live() {
        let gate = Admission::new(Config { requests_max: 2, ..Config::default() });
        let first = gate.admit(Class::Read, Duration::ZERO).unwrap();
        let second = gate.admit(Class::Read, Duration::ZERO).unwrap();
        assert_eq!(gate.admit(Class::Read, Duration::ZERO).unwrap_err().kind, "too_many_requests");
        drop(first);
        assert_eq!(gate.running(), 1);
        gate.admit(Class::Read, Duration::ZERO).unwrap();
        drop(second);
        assert_eq!(gate.running(), 0);
    }
}
