//! The shared store on a real PD that has lost its stores: an append that nobody can have written is not acknowledged,
//! whatever the calls under it have answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusBuilder;
use ordermill_station::clock;
use ordermill_store::{Error, ShardId, Store as _};
use ordermill_tests::cluster::{self, Cluster};
use ordermill_tikv::Client;
use ordermill_transactional::{Config, Failure, Mutation, Service, Timestamp, Transactional};
use parking_lot::Mutex;

const SHARD: ShardId = ShardId(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Whole,
    /// Inserts happen, and their answers are lost.
    Unanswered,
    /// Everything goes to the PD without a store.
    Elsewhere,
}

/// A service that from some moment on is that of another PD: one without a store.
#[derive(Debug)]
struct TwoPds {
    here: Client,
    there: Client,
    mode: Mutex<Mode>,
    /// Inserts that were answered `Ok` there, where nothing can be inserted.
    believed: AtomicUsize,
}

impl TwoPds {
    fn set(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    fn mode(&self) -> Mode {
        *self.mode.lock()
    }

    fn now(&self) -> &Client {
        if self.mode() == Mode::Elsewhere { &self.there } else { &self.here }
    }
}

#[async_trait::async_trait]
impl Service for TwoPds {
    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        self.now().timestamp().await
    }

    async fn begin(&self) -> Result<Timestamp, Failure> {
        self.now().begin().await
    }

    async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure> {
        let mode = self.mode();
        if mode == Mode::Elsewhere {
            // What was begun before is not known there.
            let done = self.there.insert(self.there.begin().await?, key, value).await;
            self.believed.fetch_add(usize::from(done.is_ok()), Ordering::Relaxed);
            return done;
        }
        let done = self.here.insert(start, key, value).await;
        if mode == Mode::Unanswered { Err(Failure::Unavailable("the answer is lost".to_owned())) } else { done }
    }

    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        self.now().write(start, mutations).await
    }

    async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure> {
        self.now().get(at, key).await
    }

    async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        self.now().get_many(at, keys).await
    }

    async fn scan(&self, at: Timestamp, from: Bytes, to: Bytes, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        self.now().scan(at, from, to, limit).await
    }

    async fn clean_up(&self, before: Timestamp, from: Bytes, to: Bytes) -> Result<(), Failure> {
        self.now().clean_up(before, from, to).await
    }

    async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure> {
        self.now().collect_garbage(at).await
    }

    async fn reconnect(&self) -> Result<(), Failure> {
        self.now().reconnect().await
    }
}

#[test]
fn a_pd_without_a_store_never_lets_an_append_be_acknowledged() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    metrics::with_local_recorder(&recorder, || runtime.block_on(appends()));
    // How each unknown outcome was resolved, and what was tried again, is counted.
    let measured = recorder.handle().render();
    for line in [
        "ordermill_store_uncertain_total{what=\"record\",resolved=\"mine\"} 1",
        "ordermill_store_uncertain_total{what=\"record\",resolved=\"never\"} 1",
        "ordermill_service_retries_total{work=\"append\"}",
        "ordermill_service_calls_total{call=\"insert\",outcome=\"unavailable\"} 1",
        "ordermill_service_call_seconds_count{call=\"insert\"}",
    ] {
        assert!(measured.contains(line), "{line} is not among\n{measured}");
    }
}

async fn appends() {
    let (full, empty) = (cluster::shared().await, Cluster::without_store().await);
    let (mode, believed) = (Mutex::new(Mode::Whole), AtomicUsize::new(0));
    let service = Arc::new(TwoPds { here: full.client().await, there: empty.client().await, mode, believed });
    let number = rand::random_range(2..u32::MAX);
    let store = |service: Arc<dyn Service>| {
        Transactional::new(Config::new(number, rand::random()), service, clock::System::shared())
    };
    let owner = store(service.clone());
    let epoch = owner.take_over(SHARD, &|_| Ok("fence".into())).await.unwrap().last;
    service.set(Mode::Unanswered);
    owner.append(SHARD, epoch + 1, "kept".into()).await.unwrap();

    service.set(Mode::Elsewhere);
    let lost = owner.append(SHARD, epoch + 2, "lost".into()).await;
    assert!(matches!(lost, Err(Error::Unknown(_))), "{lost:?}");
    assert!(service.believed.load(Ordering::Relaxed) > 0, "the client has not claimed to have inserted");

    // Nobody finds it, and the number is free for whoever comes next.
    let next = store(Arc::new(full.client().await));
    let records = next.read(SHARD, epoch, 1 << 20).await.unwrap();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), [epoch + 1]);
    assert_eq!(next.take_over(SHARD, &|_| Ok("fence".into())).await.unwrap().last, epoch + 2);
}
