//! The store conformance suite, run for every store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ordermill_embedded::{Config, Embedded};
use ordermill_simulation::{Client, Mvcc, Plan, Virtual};
use ordermill_station::clock;
use ordermill_store::Store;
use ordermill_tests::conformance::{Place, SHARDS};
use ordermill_transactional::Transactional;

const CLUSTER: u32 = 7;

struct Directory(tempfile::TempDir);

#[async_trait::async_trait]
impl Place for Directory {
    async fn open(&self) -> Arc<dyn Store> {
        // Small segments: the suite then crosses their borders.
        let config =
            Config { segment_bytes: 64 << 10, free_bytes_min: 0, ..Config::new(self.0.path(), CLUSTER, SHARDS) };
        Arc::new(Embedded::open(config, clock::System::shared()).expect("the store opens"))
    }

    fn cluster(&self) -> u32 {
        CLUSTER
    }
}

/// A service in memory.
struct Memory {
    service: Arc<Mvcc>,
    plan: Plan,
    seed: u64,
    opened: AtomicU64,
}

impl Memory {
    fn new(plan: Plan) -> Self {
        let seed = ordermill_tests::seed();
        println!("ORDERMILL_SEED={seed}");
        Self { service: Arc::new(Mvcc::new(3)), plan, seed, opened: AtomicU64::new(0) }
    }
}

#[async_trait::async_trait]
impl Place for Memory {
    async fn open(&self) -> Arc<dyn Store> {
        let incarnation = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client::new(Arc::clone(&self.service), self.plan, self.seed.wrapping_add(incarnation));
        let config = ordermill_transactional::Config::new(CLUSTER, incarnation);
        Arc::new(Transactional::new(config, Arc::new(client), Virtual::shared()))
    }

    fn cluster(&self) -> u32 {
        CLUSTER
    }
}

mod embedded {
    use super::*;

    ordermill_tests::store_conformance!(Directory(tempfile::tempdir().unwrap()));
}

mod transactional {
    use super::*;

    ordermill_tests::store_conformance!(Memory::new(Plan::calm()));
}

/// The same, while calls of the service fail in ways that a caller is not to notice.
mod transactional_with_faults {
    use super::*;

    ordermill_tests::store_conformance!(Memory::new(Plan::mild()));
}
