//! A process that is killed at any instant: what it has acknowledged is there, and rows and mark
//! fit each other.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::ops::Bound;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use ordermill_embedded::{Config, Embedded};
use ordermill_station::clock::System;
use ordermill_store::{Change, ShardId, Store};

const SHARDS: u32 = 4;
const ROWS: u64 = 40;
/// Tells a process started from this program which directory to write to.
const WRITER: &str = "ORDERMILL_TEST_WRITER_DIRECTORY";

fn open(dir: &Path) -> Embedded {
    let config = Config { segment_bytes: 256 << 10, free_bytes_min: 0, ..Config::new(dir, 1, SHARDS) };
    Embedded::open(config, System::shared()).unwrap()
}

fn record(shard: u32, number: u64) -> Bytes {
    let mut record = vec![shard as u8 ^ number as u8; 100 + (number * 977 % 6_000) as usize];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record.into()
}

/// Rows of `shard` as of record `mark`: each says at which mark it was last written.
fn rows(shard: u32, mark: u64) -> Vec<Change> {
    let key = |name: u64| Bytes::from(vec![shard as u8, name as u8]);
    (0..ROWS).map(|name| (key(name), (name != mark % ROWS).then(|| mark.to_be_bytes().to_vec().into()))).collect()
}

/// Appends, flushes and trims without end, and says on standard output what was acknowledged.
async fn write(store: Embedded, shard: u32) {
    let extent = store.extent(ShardId(shard)).await.unwrap();
    for number in extent.last + 1.. {
        store.append(ShardId(shard), number, record(shard, number)).await.unwrap();
        println!("appended {shard} {number}");
        if number % 16 == u64::from(shard) {
            store.flush(ShardId(shard), rows(shard, number), number).await.unwrap();
            println!("flushed {shard} {number}");
        }
        if number % 64 == u64::from(shard) {
            let checkpoint = store.extent(ShardId(shard)).await.unwrap().checkpoint;
            store.trim(ShardId(shard), checkpoint.saturating_sub(30)).await.unwrap();
        }
    }
}

/// Does nothing unless this process was started to be killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writer() {
    let Some(dir) = std::env::var_os(WRITER) else { return };
    let store = open(Path::new(&dir));
    let mut shards = tokio::task::JoinSet::new();
    for shard in 0..SHARDS {
        shards.spawn(write(store.clone(), shard));
    }
    shards.join_all().await;
}

#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    appended: u64,
    flushed: u64,
}

/// Starts a writer, kills it after so many lines, and returns what it had said by then.
fn write_and_kill(dir: &Path, lines: usize) -> [Acknowledged; SHARDS as usize] {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture", "--test-threads=1"])
        .env(WRITER, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [Acknowledged::default(); SHARDS as usize];
    let mut note = |line: &str| {
        let mut words = line.split(' ').skip_while(|word| !["appended", "flushed"].contains(word));
        let what = words.next();
        if let (Some(what), Some(Ok(shard)), Some(Ok(number))) =
            (what, words.next().map(str::parse::<usize>), words.next().map(str::parse::<u64>))
        {
            let shard = &mut said[shard];
            let which = if what == "appended" { &mut shard.appended } else { &mut shard.flushed };
            *which = (*which).max(number);
        }
    };
    let mut output = BufReader::new(writer.stdout.take().unwrap()).lines();
    for line in output.by_ref().take(lines) {
        note(&line.unwrap());
    }
    writer.kill().unwrap();
    // What is in the pipe was acknowledged too; the last line may be half of one.
    let rest: Vec<String> = output.map_while(Result::ok).collect();
    for line in &rest[..rest.len().saturating_sub(1)] {
        note(line);
    }
    assert_eq!(writer.wait().unwrap().signal(), Some(9), "the writer ran until it was killed");
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..8 {
        let said = write_and_kill(dir.path(), 40 + round * 173);
        let store = open(dir.path());
        for (shard, said) in (0..SHARDS).zip(said) {
            let extent = store.extent(ShardId(shard)).await.unwrap();
            assert!(extent.last >= said.appended, "shard {shard}: {extent:?}, acknowledged {said:?}");
            assert!(extent.checkpoint >= said.flushed, "shard {shard}: {extent:?}, acknowledged {said:?}");
            let mut after = extent.trimmed;
            while after < extent.last {
                for found in store.read(ShardId(shard), after, 50_000).await.unwrap() {
                    assert_eq!((found.number, &found.bytes), (after + 1, &record(shard, after + 1)));
                    after += 1;
                }
            }
            let bounds = (Bound::Included(vec![shard as u8].into()), Bound::Excluded(vec![shard as u8 + 1].into()));
            let found = store.scan(bounds.0, bounds.1, 1_000).await.unwrap().rows;
            let expected = if extent.checkpoint == 0 { vec![] } else { rows(shard, extent.checkpoint) };
            let expected: Vec<_> = expected.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
            assert_eq!(found, expected, "shard {shard}, {extent:?}");
        }
        store.close().await.unwrap();
    }
}
