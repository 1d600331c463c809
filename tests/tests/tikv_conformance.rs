//! The store conformance suite, run for the shared store on a real PD and a real store.

use std::sync::Arc;

use ordermill_station::clock;
use ordermill_store::Store;
use ordermill_tests::cluster;
use ordermill_tests::conformance::Place;
use ordermill_transactional::{Config, Transactional};

/// One of many stores that share the service.
struct Shared {
    cluster: u32,
}

impl Shared {
    fn new() -> Self {
        // Empty also where an earlier run was on the same PD.
        Self { cluster: rand::random_range(1..u32::MAX) }
    }
}

#[async_trait::async_trait]
impl Place for Shared {
    async fn open(&self) -> Arc<dyn Store> {
        let client = cluster::shared().await.client().await;
        let config = Config::new(self.cluster, rand::random());
        Arc::new(Transactional::new(config, Arc::new(client), clock::System::shared()))
    }

    fn cluster(&self) -> u32 {
        self.cluster
    }
}

ordermill_tests::store_conformance!(Shared::new());
