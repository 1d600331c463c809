//! The store conformance suite, run for the embedded store.

use std::sync::Arc;

use ordermill_embedded::{Config, Embedded};
use ordermill_station::clock;
use ordermill_store::Store;
use ordermill_tests::conformance::{Place, SHARDS};

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

ordermill_tests::store_conformance!(Directory(tempfile::tempdir().unwrap()));
