//! Clients of the service that go another way for some calls, for situations that a test sets up one by one.

use std::fmt::Debug;

use bytes::Bytes;
use ordermill_transactional::{Failure, Mutation, Service, Timestamp};

use crate::Mvcc;

/// What becomes of the calls that a test cares for; each arrives unless it says otherwise.
#[async_trait::async_trait]
pub trait Detour: Debug + Send + Sync + 'static {
    /// Where calls arrive.
    fn service(&self) -> &Mvcc;

    /// [`Service::timestamp`].
    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        self.service().timestamp().await
    }

    /// [`Service::write`].
    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        self.service().write(start, mutations).await
    }
}

/// A client whose calls take a detour.
#[derive(Debug)]
pub struct Via<D>(pub D);

#[async_trait::async_trait]
impl<D: Detour> Service for Via<D> {
    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        self.0.timestamp().await
    }

    async fn begin(&self) -> Result<Timestamp, Failure> {
        self.0.service().begin().await
    }

    async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure> {
        self.0.service().insert(start, key, value).await
    }

    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        self.0.write(start, mutations).await
    }

    async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure> {
        self.0.service().get(at, key).await
    }

    async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        self.0.service().get_many(at, keys).await
    }

    async fn scan(&self, at: Timestamp, from: Bytes, to: Bytes, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        self.0.service().scan(at, from, to, limit).await
    }

    async fn clean_up(&self, before: Timestamp, from: Bytes, to: Bytes) -> Result<(), Failure> {
        self.0.service().clean_up(before, from, to).await
    }

    async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure> {
        self.0.service().collect_garbage(at).await
    }

    async fn reconnect(&self) -> Result<(), Failure> {
        Ok(())
    }
}
