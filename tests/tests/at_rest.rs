//! A shard at rest: what it asks its store for while nobody asks it for anything. On a shared store every look
//! is a request.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ordermill_store::keys::{HEAD_BYTES, Kind};
use ordermill_store::{Change, Error as StoreError, Extent, Fence, Page, Record, ShardId, Store};
use ordermill_tests::engine::{Engine, open_store};
use ordermill_tests::process::until;

const SHARDS: u32 = 4;
/// Timers stand under bands of slots: one look at each, by all shards together.
const BANDS: usize = 64;

/// A store that counts looks at timers, and looks of the sweep.
#[derive(Debug)]
struct Counting {
    store: Arc<dyn Store>,
    timers: AtomicUsize,
    swept: AtomicUsize,
}

#[async_trait::async_trait]
impl Store for Counting {
    async fn take_over(&self, shard: ShardId, fence: &Fence<'_>) -> Result<Extent, StoreError> {
        self.store.take_over(shard, fence).await
    }

    async fn prove(&self, shard: ShardId) -> Result<(), StoreError> {
        self.store.prove(shard).await
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), StoreError> {
        self.store.append(shard, number, record).await
    }

    async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, StoreError> {
        self.store.read(shard, after, max_bytes).await
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent, StoreError> {
        self.store.extent(shard).await
    }

    async fn trim(&self, shard: ShardId, through: u64) -> Result<(), StoreError> {
        self.store.trim(shard, through).await
    }

    async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.store.get(keys).await
    }

    async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, StoreError> {
        if let Bound::Included(key) | Bound::Excluded(key) = &from {
            match key.get(HEAD_BYTES - 1).copied().and_then(Kind::from_tag) {
                Some(Kind::Timer) => self.timers.fetch_add(1, Ordering::SeqCst),
                Some(Kind::Hold) => self.swept.fetch_add(1, Ordering::SeqCst),
                _ => 0,
            };
        }
        self.store.scan(from, to, limit).await
    }

    async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), StoreError> {
        self.store.flush(shard, rows, checkpoint).await
    }

    async fn load(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        self.store.load(name).await
    }

    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, StoreError> {
        self.store.compare_and_set(name, expected, new).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.store.close().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_are_looked_for_once() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let store = open_store(dir.path(), SHARDS);
    let store = Arc::new(Counting { store, timers: AtomicUsize::new(0), swept: AtomicUsize::new(0) });
    let engine = Engine::over(store.clone(), dir.path(), SHARDS).await;
    engine.put_item("tea", 5, false).await;
    // The sweep goes on with every tick: by then timers were due to be looked for several times.
    until("some ticks of every shard", || async {
        let swept = store.swept.load(Ordering::SeqCst);
        if swept >= 16 { Ok(()) } else { Err(format!("{swept} looks of the sweep")) }
    })
    .await;
    assert_eq!(store.timers.load(Ordering::SeqCst), BANDS, "looks at timers");
}
