//! Any sequence of calls, and of reopening, against a model that fits on a page.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use ordermill_embedded::{Config, Embedded};
use ordermill_station::clock::System;
use ordermill_store::{Change, Extent, ShardId, Store};
use proptest::prelude::*;

const SHARDS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    /// Appends so many records of about so many bytes.
    Append { shard: u32, count: u64, bytes: usize },
    /// Flushes these rows; the mark lies so far behind the last record.
    Flush { shard: u32, rows: BTreeMap<u8, Option<u8>>, behind: u64 },
    /// Trims; the trim mark lies so far behind the checkpoint.
    Trim { shard: u32, behind: u64 },
    /// Reads everything with pages of so many bytes.
    Read { shard: u32, page_bytes: usize },
    /// Closes and opens again, or opens again without closing.
    Reopen { close: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    prop_oneof![
        6 => (shard.clone(), 1_u64..12, 0_usize..3_000).prop_map(|(shard, count, bytes)| Step::Append { shard, count, bytes }),
        3 => (shard.clone(), proptest::collection::btree_map(any::<u8>(), any::<Option<u8>>(), 0..20), 0_u64..8)
            .prop_map(|(shard, rows, behind)| Step::Flush { shard, rows, behind }),
        2 => (shard.clone(), 0_u64..8).prop_map(|(shard, behind)| Step::Trim { shard, behind }),
        2 => (shard, 0_usize..20_000).prop_map(|(shard, page_bytes)| Step::Read { shard, page_bytes }),
        1 => any::<bool>().prop_map(|close| Step::Reopen { close }),
    ]
}

#[derive(Clone, Debug, Default)]
struct Shard {
    records: Vec<Bytes>,
    checkpoint: u64,
    trimmed: u64,
}

#[derive(Debug, Default)]
struct Model {
    shards: [Shard; SHARDS as usize],
    rows: BTreeMap<Bytes, Bytes>,
}

struct Run {
    dir: tempfile::TempDir,
    store: Embedded,
    model: Model,
}

fn open(dir: &tempfile::TempDir) -> Embedded {
    let config = Config { segment_bytes: 16 << 10, free_bytes_min: 0, ..Config::new(dir.path(), 1, SHARDS) };
    Embedded::open(config, System::shared()).unwrap()
}

fn row(shard: u32, name: u8, value: Option<u8>) -> Change {
    (vec![shard as u8, name].into(), value.map(|value| vec![value; usize::from(value)].into()))
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&dir);
        Self { dir, store, model: Model::default() }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append { shard, count, bytes } => {
                for at in 0..count {
                    let records = &mut self.model.shards[shard as usize].records;
                    let number = records.len() as u64 + 1;
                    let record = Bytes::from(vec![number as u8; bytes + at as usize]);
                    self.store.append(ShardId(shard), number, record.clone()).await.unwrap();
                    records.push(record);
                }
            }
            Step::Flush { shard, rows, behind } => {
                let known = &mut self.model.shards[shard as usize];
                let mark = known.checkpoint.max((known.records.len() as u64).saturating_sub(behind));
                let changes: Vec<Change> = rows.into_iter().map(|(name, value)| row(shard, name, value)).collect();
                self.store.flush(ShardId(shard), changes.clone(), mark).await.unwrap();
                known.checkpoint = mark;
                for (key, value) in changes {
                    match value {
                        Some(value) => self.model.rows.insert(key, value),
                        None => self.model.rows.remove(&key),
                    };
                }
            }
            Step::Trim { shard, behind } => {
                let known = &mut self.model.shards[shard as usize];
                let through = known.checkpoint.saturating_sub(behind);
                self.store.trim(ShardId(shard), through).await.unwrap();
                known.trimmed = known.trimmed.max(through);
            }
            Step::Read { shard, page_bytes } => self.read(shard, page_bytes).await,
            Step::Reopen { close } => self.reopen(close).await,
        }
    }

    async fn read(&self, shard: u32, page_bytes: usize) {
        let known = &self.model.shards[shard as usize];
        let mut after = known.trimmed;
        loop {
            let page = self.store.read(ShardId(shard), after, page_bytes).await.unwrap();
            if page.is_empty() {
                assert_eq!(after, known.records.len() as u64);
                return;
            }
            for found in page {
                assert_eq!(found.number, after + 1);
                assert_eq!(found.bytes, known.records[after as usize]);
                after += 1;
            }
        }
    }

    async fn reopen(&mut self, close: bool) {
        if close {
            self.store.close().await.unwrap();
        }
        let placeholder = tempfile::tempdir().unwrap();
        self.store = open(&placeholder);
        self.store = open(&self.dir);
        self.check().await;
    }

    async fn check(&self) {
        for (shard, known) in (0..).zip(&self.model.shards) {
            let expected =
                Extent { checkpoint: known.checkpoint, trimmed: known.trimmed, last: known.records.len() as u64 };
            assert_eq!(self.store.extent(ShardId(shard)).await.unwrap(), expected);
            self.read(shard, 5_000).await;
        }
        let page = self.store.scan(Bound::Unbounded, Bound::Unbounded, 10_000).await.unwrap();
        assert_eq!(page.rows, self.model.rows.clone().into_iter().collect::<Vec<_>>());
        let keys: Vec<Bytes> =
            (0..SHARDS).flat_map(|shard| (0..=255).map(move |name| row(shard, name, None).0)).collect();
        let found = self.store.get(&keys).await.unwrap();
        assert!(keys.iter().zip(&found).all(|(key, value)| self.model.rows.get(key) == value.as_ref()));
    }

    /// Segments that hold only records that may go are gone.
    fn check_files(&self) {
        let held: usize = self
            .model
            .shards
            .iter()
            .flat_map(|shard| &shard.records[shard.trimmed as usize..])
            .map(|r| r.len() + 80)
            .sum();
        let files = std::fs::read_dir(self.dir.path().join("journal")).unwrap().count();
        if held == 0 {
            assert_eq!(files, 1, "only the last segment stays");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new();
            for step in steps {
                run.step(step).await;
            }
            run.check().await;
            run.reopen(true).await;
            run.check_files();
        });
    }
}
