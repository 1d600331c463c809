//! The embedded store as a whole: directories, full disks, crashes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_embedded::{Config, Embedded};
use ordermill_station::clock::{Manual, System};
use ordermill_store::{Change, Error, Extent, ShardId, Store};

const A: ShardId = ShardId(0);

fn config(dir: &Path) -> Config {
    Config { segment_bytes: 64 << 10, free_bytes_min: 0, ..Config::new(dir, 7, 2) }
}

fn open(config: Config) -> Result<Embedded, Error> {
    Embedded::open(config, System::shared())
}

fn record(number: u64, bytes: usize) -> Bytes {
    let mut record = vec![number as u8; bytes];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record.into()
}

/// A row that says after which record it was written.
fn row(name: u64, number: u64) -> Change {
    (format!("row {name:03}").into(), Some(format!("written with record {number}").into()))
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn a_second_open_of_the_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path())).unwrap();
    let error = open(config(dir.path())).unwrap_err();
    assert_eq!(error.kind(), "unavailable");
    let holder = format!("in use by process {}: stop it, or choose another", std::process::id());
    assert!(error.to_string().contains(&holder), "{error}");
    store.close().await.unwrap();
    open(config(dir.path())).unwrap();
}

#[test]
fn a_directory_keeps_its_cluster_and_its_shards() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(config(dir.path())).unwrap());
    for other in [Config { cluster: 8, ..config(dir.path()) }, Config { shards: 3, ..config(dir.path()) }] {
        let error = open(other).unwrap_err();
        assert_eq!(error.kind(), "invalid");
        assert!(error.to_string().contains("was created as \"ordermill-embedded 1, cluster 7, shards 2\""), "{error}");
    }
    std::fs::remove_file(dir.path().join("FORMAT")).unwrap();
    assert_eq!(open(config(dir.path())).unwrap_err().kind(), "corrupt");
}

#[test]
fn impossible_settings_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for wrong in [
        Config { shards: 0, ..config(dir.path()) },
        Config { cluster: u32::MAX, ..config(dir.path()) },
        Config { segment_bytes: 1, ..config(dir.path()) },
        Config { segment_bytes: 4 << 30, ..config(dir.path()) },
    ] {
        assert_eq!(open(wrong).unwrap_err().kind(), "invalid");
    }
}

#[tokio::test]
async fn a_flush_takes_sorted_rows_and_allowed_keys_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path())).unwrap();
    store.append(A, 1, record(1, 8)).await.unwrap();
    let reserved = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1]);
    for rows in [
        vec![row(2, 1), row(1, 1)],
        vec![row(1, 1), row(1, 1)],
        vec![(Bytes::new(), None)],
        vec![(reserved.clone(), None)],
    ] {
        assert_eq!(store.flush(A, rows, 1).await.unwrap_err().kind(), "invalid");
    }
    assert_eq!(store.extent(A).await.unwrap().checkpoint, 0);
    store.flush(A, vec![], 1).await.unwrap();
    assert_eq!(store.get(&[reserved]).await.unwrap(), [None]);
    let all = store.scan(Bound::Unbounded, Bound::Unbounded, 10).await.unwrap();
    assert_eq!(all.rows, [], "the mark is no row");
}

#[tokio::test]
async fn a_copy_of_an_open_directory_opens_at_a_flushed_mark() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(config(dir.path())).unwrap();
    for number in 1..=20 {
        store.append(A, number, record(number, 3_000)).await.unwrap();
        if number % 8 == 0 {
            store.flush(A, (0..50).map(|name| row(name, number)).collect(), number).await.unwrap();
        }
        // What is on the disk now is what a crash would leave at most.
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let crashed = open(config(copy.path())).unwrap();
        let mark = number / 8 * 8;
        assert_eq!(crashed.extent(A).await.unwrap(), Extent { checkpoint: mark, trimmed: 0, last: number });
        let rows = crashed.scan(Bound::Unbounded, Bound::Unbounded, 100).await.unwrap().rows;
        let expected: Vec<_> = (0..if mark == 0 { 0 } else { 50 }).map(|name| row(name, mark)).collect();
        assert_eq!(rows.into_iter().map(|(key, value)| (key, Some(value))).collect::<Vec<_>>(), expected);
        let tail = crashed.read(A, mark, 1 << 20).await.unwrap();
        assert_eq!(tail.last().map_or(mark, |last| last.number), number);
    }
}

/// A small file system of its own. Needs root.
struct Tmpfs(PathBuf, #[allow(dead_code, reason = "removed when dropped")] tempfile::TempDir);

impl Tmpfs {
    fn mount(mib: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(&path)
            .output()
            .expect("this test runs the program `mount`");
        let why = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "this test mounts a file system, which needs root: {why}");
        Self(path, dir)
    }

    /// Takes all room but `left` bytes away; deleting the file gives it back.
    fn fill(&self, left: u64) -> PathBuf {
        let filler = self.0.join("filler");
        let mut bytes = vec![0xaa; 1 << 20];
        let mut file = std::fs::File::create(&filler).unwrap();
        while !bytes.is_empty() {
            if std::io::Write::write_all(&mut file, &bytes).is_err() {
                bytes.truncate(bytes.len() / 2);
            }
        }
        let full = file.metadata().unwrap().len();
        file.set_len(full.saturating_sub(left)).unwrap();
        filler
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily: the store may still hold a file when a test has failed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_appends_serves_reads_and_recovers() {
    let disk = Tmpfs::mount(16);
    let clock = Manual::at(0);
    let store = Embedded::open(config(&disk.0.join("data")), Arc::clone(&clock) as _).unwrap();
    store.append(A, 1, record(1, 10_000)).await.unwrap();
    let filler = disk.fill(0);
    let mut last = 1;
    let refusal = loop {
        match store.append(A, last + 1, record(last + 1, 10_000)).await {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
        assert!(last < 100, "the disk is full");
    };
    assert_eq!(refusal.kind(), "full", "{refusal}");
    assert!(store.is_full());
    assert_eq!(store.extent(A).await.unwrap().last, last);
    assert_eq!(store.append(A, last + 1, record(last + 1, 10_000)).await.unwrap_err().kind(), "full");
    assert_eq!(store.read(A, last - 1, 1).await.unwrap()[0].bytes, record(last, 10_000));
    // How much is free is looked at every 100 ms.
    clock.advance(Duration::from_millis(100));
    assert_eq!(store.flush(A, vec![row(1, 1)], 1).await.unwrap_err().kind(), "full");
    assert_eq!(store.get(&[row(1, 1).0]).await.unwrap(), [None]);
    std::fs::remove_file(filler).unwrap();
    clock.advance(Duration::from_millis(100));
    store.append(A, last + 1, record(last + 1, 10_000)).await.unwrap();
    assert!(!store.is_full());
    store.flush(A, vec![row(1, 1)], 1).await.unwrap();
    assert_eq!(store.get(&[row(1, 1).0]).await.unwrap(), [row(1, 1).1]);
    store.close().await.unwrap();
    drop(store);
    let store = open(config(&disk.0.join("data"))).unwrap();
    assert_eq!(store.extent(A).await.unwrap(), Extent { checkpoint: 1, trimmed: 0, last: last + 1 });
}

#[tokio::test]
async fn a_nearly_full_disk_refuses_before_the_engines_meet_its_end() {
    let disk = Tmpfs::mount(16);
    let clock = Manual::at(0);
    let config = Config { free_bytes_min: 4 << 20, ..config(&disk.0.join("data")) };
    let store = Embedded::open(config, Arc::clone(&clock) as _).unwrap();
    store.append(A, 1, record(1, 100)).await.unwrap();
    assert!(!store.is_full());
    let filler = disk.fill(3 << 20);
    clock.advance(Duration::from_millis(100));
    let refusal = store.append(A, 2, record(2, 100)).await.unwrap_err();
    assert_eq!(refusal.kind(), "full");
    assert!(refusal.to_string().contains("writes go on by themselves"), "{refusal}");
    assert_eq!(store.flush(A, vec![row(1, 1)], 1).await.unwrap_err().kind(), "full");
    assert!(store.is_full());
    assert_eq!(store.read(A, 0, 1).await.unwrap()[0].number, 1);
    assert!(store.compare_and_set("map", None, Bytes::from_static(b"small things still fit")).await.unwrap());
    std::fs::remove_file(filler).unwrap();
    clock.advance(Duration::from_millis(100));
    assert!(!store.is_full());
    store.append(A, 2, record(2, 100)).await.unwrap();
    store.flush(A, vec![row(1, 1)], 2).await.unwrap();
}

#[tokio::test]
async fn rows_survive_a_disk_that_fills_up_while_tables_are_merged() {
    const ROUND: u64 = 20;
    let disk = Tmpfs::mount(48);
    let clock = Manual::at(0);
    let store = Embedded::open(config(&disk.0.join("data")), Arc::clone(&clock) as _).unwrap();
    let mut expected = BTreeMap::new();
    let mut filler = None;
    let mut refused = 0;
    // In the second half of each round the disk is full, sooner for flushes, sooner for merges.
    for number in 1..=6 * ROUND {
        let (round, step) = (number / ROUND, number % ROUND);
        match step {
            0 => filler.take().into_iter().for_each(|filler| std::fs::remove_file(filler).unwrap()),
            10 => filler = Some(disk.fill((400 + 500 * round) << 10)),
            _ => {}
        }
        clock.advance(Duration::from_millis(100));
        store.append(A, number, record(number, 100)).await.unwrap();
        // About 500 KiB that do not compress, over keys that come again: merging needs room.
        let value =
            |name: u64| (0..1_000).map(|at| ((at * (name + 7) * (number + 3) * 31) >> 3) as u8).collect::<Bytes>();
        let key = |name: u64| Bytes::from(format!("row {name:03} {}", number % 3));
        let rows: Vec<Change> = (0..500).map(|name| (key(name), Some(value(name)))).collect();
        match store.flush(A, rows.clone(), number).await {
            Ok(()) => expected.extend(rows.into_iter().map(|(key, value)| (key, value.unwrap()))),
            Err(error) => {
                assert_eq!(error.kind(), "full", "{error}");
                assert!(step >= 10, "flush {number}: {error}");
                refused += 1;
            }
        }
        let some = store.get(&[key(7)]).await.unwrap();
        assert_eq!(some, [expected.get(&key(7)).cloned()]);
    }
    assert!(refused > 0, "the disk was full for a while");
    let page = store.scan(Bound::Unbounded, Bound::Unbounded, 10_000).await.unwrap();
    assert_eq!(page.rows, expected.into_iter().collect::<Vec<_>>());
    assert_eq!(store.extent(A).await.unwrap().checkpoint, 6 * ROUND);
}
