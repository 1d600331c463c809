//! A store under test whose shards are owned. Counts the test's own records, whatever the store writes
//! between them.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_store::{Change, Error, Extent, Page, Record, ShardId, Store};
use parking_lot::Mutex;

use super::{Place, SHARDS};

/// What an owner begins with, when the store asks for it.
pub(super) const FENCE: &[u8] = b"fence";

/// An open store whose shards are owned. Its numbers count the records of the test: those that the
/// store has written to say who owns a shard are left out.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    /// Numbers of the fences of each shard, ascending.
    fences: Mutex<Vec<Vec<u64>>>,
}

impl Opened {
    pub(super) async fn at(place: &dyn Place) -> Arc<Self> {
        let fences = Mutex::new(vec![Vec::new(); SHARDS as usize]);
        let opened = Self { store: place.open().await, fences };
        opened.take_over().await;
        Arc::new(opened)
    }

    /// Closed, and opened again.
    pub(super) async fn again(self: Arc<Self>, place: &dyn Place) -> Arc<Self> {
        let fences = self.fences.lock().clone();
        drop(self);
        let opened = Self { store: place.open().await, fences: Mutex::new(fences) };
        opened.take_over().await;
        Arc::new(opened)
    }

    async fn take_over(&self) {
        for shard in 0..SHARDS {
            let before = self.store.extent(ShardId(shard)).await.unwrap().last;
            let extent = self.store.take_over(ShardId(shard), &|_| Ok(FENCE.into())).await.unwrap();
            if extent.last > before {
                assert!(self.store.is_shared(), "a store that nobody else can write needs no fence");
                self.fences.lock()[shard as usize].push(extent.last);
            }
        }
    }

    /// The store's number of the test's record `number`.
    fn stored(&self, shard: ShardId, number: u64) -> u64 {
        let mut stored = number;
        for fence in &self.fences.lock()[shard.0 as usize] {
            stored += u64::from(*fence <= stored);
        }
        stored
    }

    /// The number that the test gave to the store's record `stored`.
    fn told(&self, shard: ShardId, stored: u64) -> u64 {
        stored - self.fences.lock()[shard.0 as usize].iter().filter(|fence| **fence <= stored).count() as u64
    }

    pub(super) async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error> {
        let stored = if number == 0 { 0 } else { self.stored(shard, number) };
        self.store.append(shard, stored, record).await
    }

    pub(super) async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        // What comes before the next record of the test: fences may lie in between, and are left out.
        let mut page = self.store.read(shard, self.stored(shard, after + 1) - 1, max_bytes).await?;
        page.retain(|found| found.bytes != FENCE);
        page.iter_mut().for_each(|found| found.number = self.told(shard, found.number));
        Ok(page)
    }

    pub(super) async fn extent(&self, shard: ShardId) -> Result<Extent, Error> {
        let Extent { checkpoint, trimmed, last } = self.store.extent(shard).await?;
        let [checkpoint, trimmed, last] = [checkpoint, trimmed, last].map(|number| self.told(shard, number));
        Ok(Extent { checkpoint, trimmed, last })
    }

    pub(super) async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        self.store.trim(shard, self.stored(shard, through)).await
    }

    pub(super) async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        self.store.get(keys).await
    }

    pub(super) async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        self.store.scan(from, to, limit).await
    }

    pub(super) async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        self.store.flush(shard, rows, self.stored(shard, checkpoint)).await
    }

    pub(super) async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.store.load(name).await
    }

    pub(super) async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        self.store.compare_and_set(name, expected, new).await
    }

    pub(super) async fn close(&self) -> Result<(), Error> {
        self.store.close().await
    }
}
