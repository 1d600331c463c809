//! A shard at rest: what it asks its store for while nobody asks it for anything. On a shared store every look
//! is a request.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use ordermill_store::keys::{HEAD_BYTES, Kind};
use ordermill_tests::engine::{Engine, open_store};
use ordermill_tests::process::until;
use ordermill_tests::watched::{Watch, Watched};

const SHARDS: u32 = 4;
/// Timers stand under bands of slots: one look at each, by all shards together.
const BANDS: usize = 64;

/// Counts looks at timers, and looks of the sweep.
#[derive(Debug, Default)]
struct Counting {
    timers: AtomicUsize,
    swept: AtomicUsize,
}

#[async_trait::async_trait]
impl Watch for Counting {
    fn before_scan(&self, from: &Bound<Bytes>) {
        if let Bound::Included(key) | Bound::Excluded(key) = from {
            match key.get(HEAD_BYTES - 1).copied().and_then(Kind::from_tag) {
                Some(Kind::Timer) => self.timers.fetch_add(1, Ordering::SeqCst),
                Some(Kind::Hold) => self.swept.fetch_add(1, Ordering::SeqCst),
                _ => 0,
            };
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_are_looked_for_once() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let store = open_store(dir.path(), SHARDS);
    let store = Arc::new(Watched { store, watch: Counting::default() });
    let engine = Engine::over(store.clone(), dir.path(), SHARDS).await;
    engine.put_item("tea", 5, false).await;
    // The sweep goes on with every tick: by then timers were due to be looked for several times.
    until("some ticks of every shard", || async {
        let swept = store.watch.swept.load(Ordering::SeqCst);
        if swept >= 16 { Ok(()) } else { Err(format!("{swept} looks of the sweep")) }
    })
    .await;
    assert_eq!(store.watch.timers.load(Ordering::SeqCst), BANDS, "looks at timers");
}
