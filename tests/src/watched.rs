//! A store under the engine that tells a test of some calls before they are made.

use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_store::{Change, Error, Extent, Fence, Known, Page, Peek, Record, ShardId, Store};

/// What a test is told.
#[async_trait::async_trait]
pub trait Watch: Debug + Send + Sync + 'static {
    /// A record is about to be appended; an error is answered instead.
    async fn before_append(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Rows are about to be read from `from` on.
    fn before_scan(&self, _from: &Bound<Bytes>) {}
}

/// A store that is watched.
#[derive(Debug)]
pub struct Watched<W> {
    /// What answers.
    pub store: Arc<dyn Store>,
    /// Who is told.
    pub watch: W,
}

#[async_trait::async_trait]
impl<W: Watch> Store for Watched<W> {
    async fn take_over(&self, shard: ShardId, fence: &Fence<'_>) -> Result<Extent, Error> {
        self.store.take_over(shard, fence).await
    }

    async fn prove(&self, shard: ShardId) -> Result<(), Error> {
        self.store.prove(shard).await
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error> {
        self.watch.before_append().await?;
        self.store.append(shard, number, record).await
    }

    async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        self.store.read(shard, after, max_bytes).await
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent, Error> {
        self.store.extent(shard).await
    }

    async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        self.store.trim(shard, through).await
    }

    async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        self.store.get(keys).await
    }

    async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        self.watch.before_scan(&from);
        self.store.scan(from, to, limit).await
    }

    async fn peek(&self, shard: ShardId, key: &[u8], known: Known) -> Result<Peek, Error> {
        self.store.peek(shard, key, known).await
    }

    async fn time_ms(&self) -> Result<Option<u64>, Error> {
        self.store.time_ms().await
    }

    async fn flush(&self, shard: ShardId, rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        self.store.flush(shard, rows, checkpoint).await
    }

    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.store.load(name).await
    }

    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        self.store.compare_and_set(name, expected, new).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.store.close().await
    }
}
