//! The store as its clients call it: each call answers at once, and never fails by itself.

use bytes::Bytes;
use ordermill_transactional::{Failure, Mutation, Service, Timestamp};

use super::{Mvcc, check_answer};

#[async_trait::async_trait]
impl Service for Mvcc {
    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        Ok(self.now())
    }

    async fn begin(&self) -> Result<Timestamp, Failure> {
        let start = self.now();
        self.state.lock().begun.insert(start.0);
        Ok(start)
    }

    async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure> {
        self.take(start)?;
        self.one_phase(start, &[(key, Some(value))], true)
    }

    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        self.take(start)?;
        self.one_phase(start, &mutations, false)
    }

    async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure> {
        self.step(("get", at.0, &key.clone()), |state| {
            state.reads(at.0, &key);
            state.see(at.0, &key)
        })
    }

    async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        let first = keys.first().cloned().unwrap_or_default();
        self.step(("get many", at.0, &first), |state| {
            keys.iter().for_each(|key| state.reads(at.0, key));
            let found = keys.iter().map(|key| state.see(at.0, key)).collect::<Result<Vec<_>, _>>()?;
            check_answer(found.iter().flatten().map(Bytes::len).sum())?;
            Ok(found)
        })
    }

    async fn scan(&self, at: Timestamp, from: Bytes, to: Bytes, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        self.step(("scan", at.0, &from.clone()), |state| {
            if from >= to {
                return Ok(Vec::new());
            }
            // A scan may touch every region.
            state.read.iter_mut().for_each(|read| *read = (*read).max(at.0));
            let mut found = Vec::new();
            let names: Vec<Bytes> = state.keys.range(from..to).map(|(name, _)| name.clone()).collect();
            for name in names {
                if found.len() >= limit as usize {
                    break;
                }
                if let Some(value) = state.see(at.0, &name)? {
                    found.push((name, value));
                }
            }
            check_answer(found.iter().map(|(key, value)| key.len() + value.len()).sum())?;
            Ok(found)
        })
    }

    async fn clean_up(&self, before: Timestamp, from: Bytes, to: Bytes) -> Result<(), Failure> {
        self.step(("clean up", before.0, &from.clone()), |state| {
            state.clean_up(before.0, &from, &to);
            Ok(())
        })
    }

    async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure> {
        self.step(("collect garbage", at.0, &[]), |state| {
            state.collect_garbage(at.0);
            Ok(())
        })
    }

    async fn reconnect(&self) -> Result<(), Failure> {
        Ok(())
    }
}
