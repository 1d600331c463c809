//! The calls of the service as calls of the library: one for one, without a second attempt.

use std::collections::HashMap;

use bytes::Bytes;
use ordermill_transactional::{Failure, Mutation, Service, Timestamp};
use tikv_client::transaction::ResolveLocksOptions;

use crate::Client;
use crate::client::{for_library, from_library, reading, run, writing};
use crate::value::{kept, value};

/// Most bytes of a write of several keys, keys and values together. The library would cut a larger one into
/// several requests, and then it is more likely that one of them gets lost (see the crate).
const WRITE_BYTES_MAX: usize = 16 << 10;

/// Locks that are fetched from a region at once; more are fetched afterwards. The library's own number.
const LOCKS_PER_ANSWER: u32 = 1024;

#[async_trait::async_trait]
impl Service for Client {
    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        let library = self.library();
        run(async move { Ok(from_library(&library.current_timestamp().await?)) }).await
    }

    async fn begin(&self) -> Result<Timestamp, Failure> {
        let library = self.library();
        let transaction = run(async move { library.begin_with_options(writing()).await }).await?;
        let start = from_library(&transaction.start_timestamp());
        self.begun.keep(start, transaction);
        Ok(start)
    }

    /// The library sends a lost request again by itself. A server that does not recognise it (TiKV does)
    /// answers with a conflict although the first one has written.
    async fn insert(&self, start: Timestamp, key: Bytes, value: Bytes) -> Result<(), Failure> {
        let mut transaction = self.transaction(start)?;
        run(async move {
            transaction.insert(Vec::from(key), kept(value)).await?;
            transaction.commit().await.map(drop)
        })
        .await
    }

    /// In one phase where all keys lie in one region. A request that the library lost (see the crate) then
    /// leaves either nothing, or a lock and an error; over three regions or more it may leave a part
    /// written, which is why whoever writes reads it back.
    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        let mut transaction = self.transaction(start)?;
        let bytes = |(key, value): &Mutation| key.len() + value.as_ref().map_or(0, Bytes::len);
        let total: usize = mutations.iter().map(bytes).sum();
        if mutations.len() > 1 && total > WRITE_BYTES_MAX {
            return Err(Failure::Refused(format!("{total} bytes in one write of several keys")));
        }
        run(async move {
            for (key, value) in mutations {
                match value {
                    Some(value) => transaction.put(Vec::from(key), kept(value)).await?,
                    None => transaction.delete(Vec::from(key)).await?,
                }
            }
            transaction.commit().await.map(drop)
        })
        .await
    }

    async fn get(&self, at: Timestamp, key: Bytes) -> Result<Option<Bytes>, Failure> {
        let mut snapshot = self.library().snapshot(for_library(at), reading());
        // Of a key that is not there some servers send an empty value.
        Ok(run(async move { snapshot.get(Vec::from(key)).await }).await?.and_then(value))
    }

    /// One request per region. A look-up of a region that fails is reported: the regions of a batch of reads
    /// come straight from the look-up, without the step in which writes lose an error. So what is not in
    /// the answer is not there.
    async fn get_many(&self, at: Timestamp, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, Failure> {
        let mut snapshot = self.library().snapshot(for_library(at), reading());
        let wanted: Vec<Vec<u8>> = keys.iter().map(|key| key.to_vec()).collect();
        let found = run(async move { snapshot.batch_get(wanted).await.map(pairs) }).await?;
        let found: HashMap<Bytes, Bytes> = found.into_iter().collect();
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    /// The library asks every region of the range for the whole of `limit` and throws away what is too
    /// much; an answer of more than 16 MiB from one region (10 MiB from TiKV as it is shipped) is `Refused`.
    /// Look-ups of regions that fail are reported, as by `get_many`.
    async fn scan(&self, at: Timestamp, from: Bytes, to: Bytes, limit: u32) -> Result<Vec<(Bytes, Bytes)>, Failure> {
        // The library would take an empty `to` for no bound at all, and panic where `from` comes after it.
        if from >= to {
            return Ok(Vec::new());
        }
        let mut snapshot = self.library().snapshot(for_library(at), reading());
        run(async move { snapshot.scan(Vec::from(from)..Vec::from(to), limit).await.map(pairs) }).await
    }

    /// A transaction whose first key was never written is rolled back there too: readers cannot end the locks
    /// of such a one, however old they are. Look-ups of regions that fail are reported.
    async fn clean_up(&self, before: Timestamp, from: Bytes, to: Bytes) -> Result<(), Failure> {
        if from >= to {
            return Ok(());
        }
        // TiKV takes it for the last one included, other servers for the first one that is not; timestamps
        // are given out once, so nobody else's transaction began then.
        let (library, newest) = (self.library(), for_library(before));
        let options = ResolveLocksOptions { batch_size: LOCKS_PER_ANSWER, ..ResolveLocksOptions::default() };
        run(async move { library.cleanup_locks(Vec::from(from)..Vec::from(to), &newest, options).await.map(drop) })
            .await
    }

    /// Ends all transactions of the whole cluster that began at `at` or before, whoever's they are, and
    /// tells PD. The servers learn of it from PD, in their own time. PD keeps the later one of this and
    /// what it has been told before; it does not look at what others have asked it to keep.
    async fn collect_garbage(&self, at: Timestamp) -> Result<(), Failure> {
        let library = self.library();
        run(async move { library.gc(for_library(at)).await.map(drop) }).await
    }

    async fn reconnect(&self) -> Result<(), Failure> {
        self.replace().await
    }
}

/// Keys and values in our own types.
fn pairs(pairs: impl Iterator<Item = tikv_client::KvPair>) -> Vec<(Bytes, Bytes)> {
    let ours = |pair: tikv_client::KvPair| {
        let (key, kept): (tikv_client::Key, tikv_client::Value) = pair.into();
        Some((Bytes::from(Vec::from(key)), value(kept)?))
    };
    pairs.filter_map(ours).collect()
}
