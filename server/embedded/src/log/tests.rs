//! Crashes, damage and faults of the journal, against files as they would be found.

use std::path::Path;

use ordermill_station::clock::System;
use tokio::runtime::Runtime;

use super::block::{HEAD_BYTES, head};
use super::*;

const SEGMENT_BYTES: u64 = 8 << 10;

fn config(dir: &Path, shards: u32) -> Config {
    Config { dir: dir.to_owned(), shards, segment_bytes: SEGMENT_BYTES, accept_corruption: false }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn open_with(config: Config, marks: &[Marks]) -> Result<(Log, Vec<(u32, u64)>), Error> {
    let mut raised = Vec::new();
    let mut raise = |shard, trimmed| {
        raised.push((shard, trimmed));
        Ok(())
    };
    let log = Log::open(config, marks, &mut raise, System::shared(), Measures::new())?;
    Ok((log, raised))
}

fn open(config: Config) -> Result<Log, Error> {
    let marks = vec![Marks::default(); config.shards as usize];
    open_with(config, &marks).map(|(log, _)| log)
}

fn text(shard: u32, number: u64) -> Bytes {
    format!("record {number} of shard {shard}, {}", "x".repeat(number as usize % 13)).into()
}

async fn fill(log: &Log, shard: u32, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        log.append(shard, number, text(shard, number)).await.unwrap();
    }
}

async fn numbers(log: &Log, shard: u32, after: u64) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let from = found.last().copied().unwrap_or(after);
        let page = log.read(shard, from, 500).await.unwrap();
        if page.is_empty() {
            return found;
        }
        for record in page {
            assert_eq!(record.bytes, text(shard, record.number));
            found.push(record.number);
        }
    }
}

fn segment_file(dir: &Path, generation: u64) -> PathBuf {
    segment::path(dir, generation)
}

/// Where each block of a segment file begins and ends.
fn blocks(bytes: &[u8], shards: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = segment::header_bytes(shards) as usize;
    while let Some(head) = bytes.get(at..).and_then(head) {
        found.push((at, at + HEAD_BYTES + head.payload));
        at += HEAD_BYTES + head.payload;
    }
    found
}

/// A journal of one shard with four blocks of one record each, and the bytes of its segment.
fn four_blocks() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(config(dir.path(), 1)).unwrap();
    runtime().block_on(fill(&log, 0, 1..=4));
    drop(log);
    let file = segment_file(dir.path(), 1);
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(blocks(&bytes, 1).len(), 4);
    (dir, file, bytes)
}

#[test]
fn a_torn_tail_of_any_length_is_cut_off() {
    let (dir, file, whole) = four_blocks();
    let runtime = runtime();
    let (begin, end) = blocks(&whole, 1)[3];
    for kept in 0..=end - begin {
        let mut zeroed = whole.clone();
        zeroed[begin + kept..].fill(0);
        let truncated = whole[..begin + kept].to_vec();
        let mut headless = whole.clone();
        headless[begin..begin + kept].fill(0);
        for (how, torn) in [("zeros", zeroed), ("truncated", truncated), ("headless", headless)] {
            let last = if torn.get(begin..end) == Some(&whole[begin..end]) { 4 } else { 3 };
            std::fs::write(&file, &torn).unwrap();
            let log = open(config(dir.path(), 1)).unwrap_or_else(|error| panic!("{how}, {kept} bytes: {error}"));
            assert_eq!(log.extent(0).last, last, "{how}, {kept} bytes");
            if kept % 16 == 0 {
                runtime.block_on(fill(&log, 0, last + 1..=last + 2));
                drop(log);
                let log = open(config(dir.path(), 1)).unwrap();
                assert_eq!(runtime.block_on(numbers(&log, 0, 0)), (1..=last + 2).collect::<Vec<_>>(), "{how}, {kept}");
            }
            let _ = std::fs::remove_file(segment_file(dir.path(), 2));
        }
    }
}

#[test]
fn a_flipped_byte_in_the_middle_is_named_refused_and_accepted_when_told() {
    let (dir, file, whole) = four_blocks();
    let (begin, end) = blocks(&whole, 1)[1];
    for at in begin..end {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&file, &flipped).unwrap();
        let error = open(config(dir.path(), 1)).unwrap_err();
        assert_eq!(error.kind(), "corrupt");
        let named = format!("{} at byte {begin}", file.display());
        assert!(error.to_string().contains(&named), "flipped {at}: {error}");
        assert_eq!(std::fs::read(&file).unwrap(), flipped, "refusing changes nothing");
    }
    let damaged = std::fs::read(&file).unwrap();
    let accept = || Config { accept_corruption: true, ..config(dir.path(), 1) };
    let log = open(accept()).unwrap();
    assert_eq!(log.extent(0).last, 1);
    assert_eq!(std::fs::read(file.with_extension("log.corrupt")).unwrap(), damaged, "what was dropped is kept");
    runtime().block_on(fill(&log, 0, 2..=3));
    drop(log);
    let log = open(config(dir.path(), 1)).unwrap();
    assert_eq!(runtime().block_on(numbers(&log, 0, 0)), [1, 2, 3]);
}

#[test]
fn a_missing_block_is_damage() {
    let (dir, file, whole) = four_blocks();
    let found = blocks(&whole, 1);
    let mut shifted = whole.clone();
    shifted.drain(found[1].0..found[1].1);
    std::fs::write(&file, &shifted).unwrap();
    let error = open(config(dir.path(), 1)).unwrap_err().to_string();
    assert!(error.contains(&format!("at byte {}: block 3 stands where block 2 should", found[1].0)), "{error}");
}

#[test]
fn bytes_of_another_segment_are_no_blocks_of_this_one() {
    let (dir, file, whole) = four_blocks();
    let (_other_dir, _, other) = four_blocks();
    let found = blocks(&whole, 1);
    let mut mixed = whole.clone();
    // The third block is torn, and what stands behind it is whole in another journal.
    mixed[found[2].0..found[2].1].fill(0xaa);
    mixed[found[3].0..].copy_from_slice(&other[found[3].0..]);
    std::fs::write(&file, &mixed).unwrap();
    assert_eq!(open(config(dir.path(), 1)).unwrap().extent(0).last, 2);
}

/// A journal of two shards over several segments, 60 records each.
fn several_segments() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(config(dir.path(), 2)).unwrap();
    let runtime = runtime();
    for number in 1..=60 {
        runtime.block_on(fill(&log, 0, number..=number));
        runtime.block_on(fill(&log, 1, number..=number));
    }
    assert!(log.shared.segments.read().len() >= 3);
    dir
}

/// What the header of a segment says of each shard.
fn firsts(dir: &Path, generation: u64) -> Vec<u64> {
    let bytes = std::fs::read(segment_file(dir, generation)).unwrap();
    segment::Header::decode(&bytes[..segment::header_bytes(2) as usize], 2).unwrap().first
}

#[test]
fn a_damaged_segment_header_is_named_refused_and_accepted_when_told() {
    let dir = several_segments();
    let first = firsts(dir.path(), 2);
    let file = segment_file(dir.path(), 2);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let error = open(config(dir.path(), 2)).unwrap_err();
    assert!(error.to_string().contains(&format!("{} at byte 0", file.display())), "{error}");
    let accept = Config { accept_corruption: true, ..config(dir.path(), 2) };
    let (log, raised) = open_with(accept, &[Marks::default(); 2]).unwrap();
    assert_eq!([log.extent(0).last, log.extent(1).last], [first[0] - 1, first[1] - 1]);
    assert_eq!(raised, []);
    assert!(file.with_extension("log.corrupt").exists());
    assert!(segment_file(dir.path(), 3).with_extension("log.corrupt").exists());
    let runtime = runtime();
    runtime.block_on(fill(&log, 0, first[0]..=first[0] + 70));
    drop(log);
    let log = open(config(dir.path(), 2)).unwrap();
    assert_eq!(runtime.block_on(numbers(&log, 0, 0)).len() as u64, first[0] + 70);
}

#[test]
fn damage_in_history_costs_history_only() {
    let dir = several_segments();
    let first = firsts(dir.path(), 2);
    let file = segment_file(dir.path(), 1);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    // The rows contain all that the damaged segment held.
    let marks: Vec<Marks> = first.iter().map(|&first| Marks { checkpoint: first + 5, trimmed: 0 }).collect();
    assert_eq!(open_with(config(dir.path(), 2), &marks).unwrap_err().kind(), "corrupt");
    let accept = Config { accept_corruption: true, ..config(dir.path(), 2) };
    let (log, raised) = open_with(accept, &marks).unwrap();
    assert_eq!(raised, [(0, first[0] - 1), (1, first[1] - 1)]);
    assert_eq!(log.extent(0), Extent { checkpoint: first[0] + 5, trimmed: first[0] - 1, last: 60 });
    assert_eq!(runtime().block_on(numbers(&log, 0, first[0] - 1)).last(), Some(&60));
}

#[test]
fn a_journal_that_ends_before_the_rows_is_damage() {
    let (dir, _, _) = four_blocks();
    let marks = [Marks { checkpoint: 9, trimmed: 2 }];
    let error = open_with(config(dir.path(), 1), &marks).unwrap_err().to_string();
    assert!(error.contains("shard 0 ends with record 4, and the rows contain 9"), "{error}");
    let accept = Config { accept_corruption: true, ..config(dir.path(), 1) };
    let (log, raised) = open_with(accept, &marks).unwrap();
    assert_eq!((log.extent(0).last, raised), (9, vec![(0, 9)]));
    let runtime = runtime();
    runtime.block_on(fill(&log, 0, 10..=11));
    drop(log);
    let (log, _) = open_with(config(dir.path(), 1), &[Marks { checkpoint: 9, trimmed: 9 }]).unwrap();
    assert_eq!(runtime.block_on(numbers(&log, 0, 9)), [10, 11]);
}

#[test]
fn a_journal_that_is_gone_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let marks = [Marks { checkpoint: 9, trimmed: 2 }];
    assert_eq!(open_with(config(dir.path(), 1), &marks).unwrap_err().kind(), "corrupt");
    let accept = Config { accept_corruption: true, ..config(dir.path(), 1) };
    let (log, raised) = open_with(accept, &marks).unwrap();
    assert_eq!((log.extent(0).last, raised), (9, vec![(0, 9)]));
}

#[test]
fn a_missing_segment_is_damage() {
    let dir = several_segments();
    std::fs::remove_file(segment_file(dir.path(), 2)).unwrap();
    let error = open(config(dir.path(), 2)).unwrap_err().to_string();
    assert!(error.contains("0000000000000001.log is missing"), "{error}");
    std::fs::remove_file(segment_file(dir.path(), 1)).unwrap();
    let error = open(config(dir.path(), 2)).unwrap_err().to_string();
    assert!(error.contains("records of shard 0 before this segment are missing"), "{error}");
}

#[test]
fn a_segment_that_was_not_finished_is_forgotten() {
    let (dir, _, _) = four_blocks();
    let unfinished = segment_file(dir.path(), 2).with_extension("tmp");
    std::fs::write(&unfinished, b"half a header").unwrap();
    assert_eq!(open(config(dir.path(), 1)).unwrap().extent(0).last, 4);
    assert!(!unfinished.exists());
}

#[test]
fn segments_below_the_checkpoint_are_not_read() {
    let dir = several_segments();
    let newest = std::fs::read_dir(dir.path()).unwrap().count() as u64;
    let marks: Vec<Marks> =
        firsts(dir.path(), newest).iter().map(|&first| Marks { checkpoint: first - 1, trimmed: 0 }).collect();
    // Damage among the blocks of an old segment shows when it is read, and names the place.
    let file = segment_file(dir.path(), 1);
    let mut bytes = std::fs::read(&file).unwrap();
    let (at, _) = blocks(&bytes, 2)[5];
    bytes[at + HEAD_BYTES + 30] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (log, _) = open_with(config(dir.path(), 2), &marks).unwrap();
    let opened = log.shared.segments.read().iter().filter(|segment| segment.opened.lock().is_some()).count();
    assert_eq!(opened, 1);
    let runtime = runtime();
    assert_eq!(runtime.block_on(log.read(0, 0, 1)).unwrap()[0].number, 1);
    let error = runtime.block_on(log.read(0, 0, 1 << 20)).unwrap_err();
    assert!(error.to_string().contains("0000000000000001.log"), "{error}");
    assert_eq!(error.kind(), "corrupt");
}

#[test]
fn trimming_deletes_what_nobody_needs_and_nothing_else() {
    let dir = several_segments();
    let log = open(config(dir.path(), 2)).unwrap();
    let files = || std::fs::read_dir(dir.path()).unwrap().count();
    let before = files();
    let first = firsts(dir.path(), 3);
    for shard in 0..2 {
        log.set_checkpoint(shard, 60);
    }
    log.trim(0, 60).unwrap();
    assert_eq!(files(), before, "the other shard needs them all");
    log.trim(1, first[1] - 2).unwrap();
    assert_eq!(files(), before - 1, "one record of the second segment is not trimmed");
    log.trim(1, first[1] - 1).unwrap();
    assert_eq!(files(), before - 2);
    assert!(segment_file(dir.path(), 3).exists());
    let runtime = runtime();
    assert_eq!(runtime.block_on(numbers(&log, 1, first[1] - 1)).last(), Some(&60));
    log.trim(1, 60).unwrap();
    assert_eq!(files(), 1, "the last segment stays");
    runtime.block_on(fill(&log, 1, 61..=61));
    drop(log);
    let (log, _) = open_with(config(dir.path(), 2), &[Marks { checkpoint: 60, trimmed: 60 }; 2]).unwrap();
    assert_eq!((log.extent(0).last, log.extent(1).last), (60, 61));
}

#[test]
fn the_checkpoint_keeps_segments_as_well() {
    let dir = several_segments();
    let log = open(config(dir.path(), 2)).unwrap();
    let before = std::fs::read_dir(dir.path()).unwrap().count();
    log.trim(0, 60).unwrap();
    log.trim(1, 60).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
}

#[test]
fn after_a_failed_fsync_nothing_is_taken_until_the_journal_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(config(dir.path(), 1)).unwrap();
    let runtime = runtime();
    runtime.block_on(fill(&log, 0, 1..=2));
    log.shared.fault.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(runtime.block_on(log.append(0, 3, text(0, 3))).unwrap_err().kind(), "unknown");
    log.shared.fault.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(runtime.block_on(log.append(0, 3, text(0, 3))).unwrap_err().kind(), "unknown");
    assert_eq!(runtime.block_on(numbers(&log, 0, 0)), [1, 2]);
    drop(log);
    let log = open(config(dir.path(), 1)).unwrap();
    let last = log.extent(0).last;
    assert_eq!(last, 3, "the write itself had worked");
    runtime.block_on(fill(&log, 0, 4..=4));
}

#[test]
fn shards_share_blocks() {
    const SHARDS: u32 = 64;
    const EACH: u64 = 20;
    let dir = tempfile::tempdir().unwrap();
    let config = || Config { segment_bytes: 1 << 20, ..config(dir.path(), SHARDS) };
    let log = Arc::new(open(config()).unwrap());
    runtime().block_on(async {
        let shards = (0..SHARDS).map(|shard| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { fill(&log, shard, 1..=EACH).await })
        });
        for shard in shards.collect::<Vec<_>>() {
            shard.await.unwrap();
        }
    });
    log.close();
    let recovered = recovery::recover(&config(), &[Marks::default(); SHARDS as usize], &mut |_, _| Ok(())).unwrap();
    let (blocks, frames) = (recovered.end.block - 1, u64::from(SHARDS) * EACH);
    assert!(blocks < frames / 4, "{frames} records took {blocks} blocks");
    assert!(recovered.extents.iter().all(|extent| extent.last == EACH));
}

#[test]
fn a_second_append_of_a_shard_is_refused_while_one_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(config(dir.path(), 1)).unwrap();
    runtime().block_on(async {
        let (one, two) = tokio::join!(log.append(0, 1, text(0, 1)), log.append(0, 1, text(0, 1)));
        one.unwrap();
        assert_eq!(two.unwrap_err().kind(), "invalid");
        fill(&log, 0, 2..=2).await;
    });
}

#[test]
fn an_append_that_nobody_waits_for_is_done_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(config(dir.path(), 1)).unwrap();
    runtime().block_on(async {
        let mut append = Box::pin(log.append(0, 1, text(0, 1)));
        let polled = std::future::poll_fn(|context| std::task::Poll::Ready(append.as_mut().poll(context))).await;
        drop(append);
        assert!(polled.is_pending() || polled.is_ready());
    });
    log.close();
    assert_eq!(log.extent(0).last, 1);
}
