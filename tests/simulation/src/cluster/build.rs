//! Which build a member runs, and what all builds have written: an older one, or a newer one whose records
//! hold what the older does not know.
//!
//! The newer build is this one and, in its store, what it would write beside: a field that only it knows, in
//! every record of the newer format and in every row that it flushes once a record of the row's shard was
//! in that format. Who reads such a row and writes it again in the older format loses the field: seen here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_journal::{FORMAT, Record as Stored, decode};
use ordermill_members::{Formats, Map};
use ordermill_store::{Change, Error, Extent, Fence, Known, Page, Peek, Record, ShardId, Store};
use ordermill_transactional::Transactional;
use ordermill_transactional::keys::{Keys, is_flush_number};
use parking_lot::Mutex;
use prost::Message as _;

use super::CLUSTER;
use crate::Mvcc;

/// The newest format that a build knows.
pub(super) type Build = u32;
/// The build with which every cluster begins.
pub(super) const OLDER: Build = FORMAT;
/// The build to which some are upgraded.
pub(super) const NEWER: Build = FORMAT + 1;
/// Field 1000, with eight bytes: no build before the newer one knows it.
const FIELD: &[u8] = b"\xC2\x3E\x08newfield";

/// What `build` can read and write.
pub(super) fn formats(build: Build) -> Formats {
    Formats { min: OLDER, max: build }
}

fn has_field(bytes: &[u8]) -> bool {
    bytes.windows(FIELD.len()).any(|part| part == FIELD)
}

fn with_field(bytes: &Bytes) -> Bytes {
    if has_field(bytes) { bytes.clone() } else { [bytes, FIELD].concat().into() }
}

#[derive(Debug, Default)]
struct Inner {
    /// Somebody has begun to raise the store's format.
    raised: bool,
    /// The format of each record that was acknowledged.
    formats: BTreeMap<(ShardId, u64), u32>,
    /// The build that took each shard over last.
    owners: BTreeMap<ShardId, Build>,
    /// How often an older build took a shard over from a newer one.
    back: u64,
    wrong: Vec<String>,
}

/// What the builds of one simulation have written.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Inner>);

impl Written {
    /// A record is about to be written.
    fn begins(&self, shard: ShardId, format: u32) {
        let mut inner = self.0.lock();
        if format > OLDER && !inner.raised {
            inner.wrong.push(format!("shard {shard} has a record in format {format} before the store is in it"));
        }
    }

    fn acknowledged(&self, shard: ShardId, number: u64, format: u32) {
        self.0.lock().formats.insert((shard, number), format);
    }

    fn taken_over(&self, shard: ShardId, build: Build) {
        let mut inner = self.0.lock();
        let before = inner.owners.insert(shard, build);
        inner.back += u64::from(before.is_some_and(|before| before > build));
    }

    /// How often what happened.
    pub(super) fn happened(&self) -> [(&'static str, u64); 2] {
        let inner = self.0.lock();
        let newer = inner.formats.values().filter(|format| **format > OLDER).count() as u64;
        [("newer records", newer), ("taken over from a newer build", inner.back)]
    }

    /// What is wrong with what was written, `service` being where.
    pub(super) fn check(&self, service: &Mvcc) -> Vec<String> {
        let inner = self.0.lock();
        let mut wrong = inner.wrong.clone();
        let mut before = (ShardId(u32::MAX), 0);
        for ((shard, number), format) in &inner.formats {
            if before.0 == *shard && before.1 > *format {
                wrong.push(format!("record {number} of shard {shard} is in format {format}, behind {}", before.1));
            }
            before = (*shard, *format);
        }
        let (first, _) = Keys { cluster: CLUSTER }.rows();
        for key in service.keys(&first) {
            let rows = service.history(&key).into_iter().filter_map(|version| version.value);
            let had = rows.map(|row| has_field(&row)).collect::<Vec<_>>();
            if had.is_sorted() || is_flush_number(&key) {
                continue;
            }
            wrong.push(format!("{key:?} has lost the field of the newer format"));
        }
        wrong
    }
}

/// The store of a member that runs a certain build.
#[derive(Debug)]
pub(super) struct Built {
    store: Transactional,
    build: Build,
    written: Arc<Written>,
    /// The newest format that this process has met in each shard.
    met: Mutex<BTreeMap<ShardId, u32>>,
}

impl Built {
    pub(super) fn new(store: Transactional, build: Build, written: Arc<Written>) -> Self {
        Self { store, build, written, met: Mutex::default() }
    }

    fn meets(&self, shard: ShardId, format: u32) {
        let mut met = self.met.lock();
        let newest = met.entry(shard).or_default();
        *newest = format.max(*newest);
    }

    /// A record as this build writes it, and its format.
    fn record(&self, shard: ShardId, bytes: &Bytes) -> Result<(u32, Bytes), Error> {
        let unreadable = |error: ordermill_journal::Unreadable| Error::Corrupt(error.to_string());
        let mut record: Stored = decode("a record", bytes.clone()).map_err(unreadable)?;
        let format = record.format;
        self.written.begins(shard, format);
        if format <= OLDER {
            return Ok((format, bytes.clone()));
        }
        for change in &mut record.changes {
            change.value = change.value.as_ref().map(with_field);
        }
        Ok((format, with_field(&record.encode_to_vec().into())))
    }
}

#[async_trait::async_trait]
impl Store for Built {
    async fn take_over(&self, shard: ShardId, fence: &Fence<'_>) -> Result<Extent, Error> {
        let format = Mutex::new(0);
        let as_built = |last: Option<&[u8]>| {
            let (written, bytes) = self.record(shard, &fence(last)?)?;
            *format.lock() = written;
            Ok(bytes)
        };
        let extent = self.store.take_over(shard, &as_built).await?;
        self.written.taken_over(shard, self.build);
        let format = format.into_inner();
        // With a fence left out there is none.
        if format > 0 {
            self.written.acknowledged(shard, extent.last, format);
            self.meets(shard, format);
        }
        Ok(extent)
    }

    async fn prove(&self, shard: ShardId) -> Result<(), Error> {
        self.store.prove(shard).await
    }

    fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    async fn append(&self, shard: ShardId, number: u64, record: Bytes) -> Result<(), Error> {
        let (format, bytes) = self.record(shard, &record)?;
        self.meets(shard, format);
        self.store.append(shard, number, bytes).await?;
        self.written.acknowledged(shard, number, format);
        Ok(())
    }

    async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        self.store.read(shard, after, max_bytes).await
    }

    async fn extent(&self, shard: ShardId) -> Result<Extent, Error> {
        self.store.extent(shard).await
    }

    async fn seal(&self, shard: ShardId, last: u64) -> Result<(), Error> {
        self.store.seal(shard, last).await
    }

    async fn trim(&self, shard: ShardId, through: u64) -> Result<(), Error> {
        self.store.trim(shard, through).await
    }

    async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        self.store.get(keys).await
    }

    async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        self.store.scan(from, to, limit).await
    }

    async fn peek(&self, shard: ShardId, key: &[u8], known: Known) -> Result<Peek, Error> {
        self.store.peek(shard, key, known).await
    }

    async fn time_ms(&self) -> Result<Option<u64>, Error> {
        self.store.time_ms().await
    }

    async fn flush(&self, shard: ShardId, mut rows: Vec<Change>, checkpoint: u64) -> Result<(), Error> {
        if self.build > OLDER && self.met.lock().get(&shard).is_some_and(|format| *format > OLDER) {
            rows.iter_mut().for_each(|(_, value)| *value = value.as_ref().map(with_field));
        }
        self.store.flush(shard, rows, checkpoint).await
    }

    async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.store.load(name).await
    }

    async fn compare_and_set(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        // From then on it may land at any time.
        self.written.0.lock().raised |= Map::decode(&new).is_ok_and(|map| name == "map" && map.format > OLDER);
        self.store.compare_and_set(name, expected, new).await
    }

    async fn close(&self) -> Result<(), Error> {
        self.store.close().await
    }
}
