//! The store that all members of a simulated cluster share: two values, and the way to them.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_members::Map;
use ordermill_store::{Change, Error, Extent, Fence, Page, Record, ShardId, Store};

use crate::world::Shared;

/// One member's way to the store.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) shared: Arc<Shared>,
    pub(crate) member: u64,
}

/// Longest time one way, milliseconds.
const WAY_MS: u64 = 10;

impl View {
    async fn travel(&self) {
        self.shared.travel(WAY_MS).await;
        if !self.shared.net.lock().reaches_store(self.member) {
            std::future::pending::<()>().await;
        }
    }

    async fn back(&self) {
        if self.shared.loses_an_answer() {
            std::future::pending::<()>().await;
        }
        self.travel().await;
    }
}

fn not_here<T>() -> Result<T, Error> {
    Err(Error::Invalid("this store holds coordination values only".into()))
}

#[async_trait::async_trait]
impl Store for View {
    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.travel().await;
        let value = self.shared.net.lock().values.get(name).cloned();
        self.back().await;
        Ok(value)
    }

    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        self.travel().await;
        let replaced = {
            let mut net = self.shared.net.lock();
            let replaced = net.values.get(name) == expected.as_ref();
            if replaced {
                net.values.insert(name.to_owned(), new.clone());
                if name == "map" {
                    let map = Map::decode(&new).unwrap();
                    net.history.push((self.shared.now(), map));
                }
            }
            replaced
        };
        self.back().await;
        Ok(replaced)
    }

    async fn take_over(&self, _: ShardId, _: &Fence<'_>) -> Result<Extent, Error> {
        not_here()
    }

    async fn prove(&self, _: ShardId) -> Result<(), Error> {
        not_here()
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn append(&self, _: ShardId, _: u64, _: Bytes) -> Result<(), Error> {
        not_here()
    }

    async fn read(&self, _: ShardId, _: u64, _: usize) -> Result<Vec<Record>, Error> {
        not_here()
    }

    async fn extent(&self, _: ShardId) -> Result<Extent, Error> {
        not_here()
    }

    async fn trim(&self, _: ShardId, _: u64) -> Result<(), Error> {
        not_here()
    }

    async fn get(&self, _: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        not_here()
    }

    async fn scan(&self, _: Bound<Bytes>, _: Bound<Bytes>, _: usize) -> Result<Page, Error> {
        not_here()
    }

    async fn flush(&self, _: ShardId, _: Vec<Change>, _: u64) -> Result<(), Error> {
        not_here()
    }

    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}
