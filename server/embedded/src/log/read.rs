//! Reading records: from the segment that holds them, with one call per run of neighbours.
//!
//! The newest segments stay open with their indexes, so that a reader at the tail costs a look-up
//! and a read from the page cache. Indexes of older ones are built when somebody reads them, which
//! reads the whole segment and therefore happens off the runtime's threads.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_store::{Error, Record};

use super::block;
use super::index::{self, Run};
use super::recovery::scan;
use super::segment::{Opened, Segment};
use super::{Log, Shared};

/// Segments besides the last one that stay open.
const RECENT_SEGMENTS: usize = 32;
/// Bytes of indexes of segments besides the last one.
const RECENT_INDEX_BYTES: usize = 16 << 20;

/// Segments that are open besides the last one, in the order of use.
#[derive(Debug, Default)]
pub(super) struct Recent {
    segments: VecDeque<Arc<Segment>>,
}

/// What a look into the journal found.
enum Found {
    Records(Vec<Record>),
    /// A segment has to be opened first.
    Closed,
}

impl Log {
    /// Reads records of `shard` after number `after`, about `max_bytes` of them.
    pub(crate) async fn read(&self, shard: u32, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        if let Found::Records(records) = self.shared.read(shard, after, max_bytes, false)? {
            return Ok(records);
        }
        let shared = Arc::clone(&self.shared);
        let reading = tokio::task::spawn_blocking(move || shared.read(shard, after, max_bytes, true));
        match reading.await.map_err(|error| Error::Unavailable(error.to_string()))?? {
            Found::Records(records) => Ok(records),
            Found::Closed => Err(Error::Unavailable("the segment was closed while it was read".to_owned())),
        }
    }
}

impl Shared {
    fn read(&self, shard: u32, after: u64, max_bytes: usize, may_open: bool) -> Result<Found, Error> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut from = after + 1;
        loop {
            let extent = self.state.lock().shards[shard as usize].extent;
            if after < extent.trimmed {
                return Err(Error::Invalid(format!(
                    "records of shard {shard} up to {} are trimmed, asked for those after {after}",
                    extent.trimmed
                )));
            }
            if from > extent.last || (bytes >= max_bytes && !records.is_empty()) {
                return Ok(Found::Records(records));
            }
            let segment = self.holder(shard, from)?;
            // The lock is taken for long only while the segment is being opened.
            let opened = segment.opened.try_lock().and_then(|opened| opened.clone());
            let opened = match opened {
                Some(opened) => opened,
                None if !may_open => return Ok(Found::Closed),
                None => match self.open(&segment) {
                    Ok(opened) => opened,
                    // Trimmed at this very moment: the next round says so.
                    Err(_) if !segment.path.exists() => continue,
                    Err(error) => return Err(error),
                },
            };
            let (runs, more) = {
                let index = opened.index.read();
                index::runs(index.from(shard, from), from, max_bytes.saturating_sub(bytes))
            };
            if runs.is_empty() {
                return Err(Error::Corrupt(format!(
                    "{}: record {from} of shard {shard} should be here and is not",
                    segment.path.display()
                )));
            }
            for run in &runs {
                read_run(&segment, &opened, shard, run, &mut records)?;
            }
            bytes += more;
            from = after + 1 + records.len() as u64;
        }
    }

    /// The segment that holds a record which is known to be there.
    fn holder(&self, shard: u32, number: u64) -> Result<Arc<Segment>, Error> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.header.first[shard as usize] <= number);
        after
            .checked_sub(1)
            .and_then(|at| segments.get(at))
            .cloned()
            .ok_or_else(|| Error::Invalid(format!("record {number} of shard {shard} is trimmed")))
    }

    /// The file and index of a segment; reads the whole segment when it was closed.
    pub(super) fn open(&self, segment: &Arc<Segment>) -> Result<Arc<Opened>, Error> {
        let mut slot = segment.opened.lock();
        if let Some(opened) = &*slot {
            return Ok(Arc::clone(opened));
        }
        let io = |error: std::io::Error| Error::Unavailable(format!("{}: {error}", segment.path.display()));
        let file = OpenOptions::new().read(true).write(true).open(&segment.path).map_err(io)?;
        let scanned = scan(segment, &file).map_err(io)?;
        let opened = Arc::new(Opened { file, index: parking_lot::RwLock::new(scanned.index) });
        *slot = Some(Arc::clone(&opened));
        drop(slot);
        self.retire(Arc::clone(segment));
        Ok(opened)
    }

    /// Keeps a segment that is not the last one open for a while, and closes others instead.
    pub(super) fn retire(&self, segment: Arc<Segment>) {
        let mut recent = self.recent.lock();
        recent.segments.retain(|other| other.header.generation != segment.header.generation);
        recent.segments.push_back(segment);
        while recent.segments.len() > 1
            && (recent.segments.len() > RECENT_SEGMENTS || index_bytes(&recent.segments) > RECENT_INDEX_BYTES)
        {
            let Some(oldest) = recent.segments.pop_front() else { break };
            *oldest.opened.lock() = None;
        }
    }

    /// Keeps what was opened by recovery open, within bounds.
    pub(super) fn keep_recent(&self) {
        let segments = self.segments.read().clone();
        for segment in segments.iter().rev().skip(1).rev() {
            if segment.opened.lock().is_some() {
                self.retire(Arc::clone(segment));
            }
        }
    }
}

fn index_bytes(segments: &VecDeque<Arc<Segment>>) -> usize {
    let of = |segment: &Arc<Segment>| {
        let opened = segment.opened.lock().clone();
        opened.map_or(0, |opened| opened.index.read().memory_bytes())
    };
    segments.iter().map(of).sum()
}

fn read_run(segment: &Segment, opened: &Opened, shard: u32, run: &Run, records: &mut Vec<Record>) -> Result<(), Error> {
    let begin = run.places[0].begin();
    let end = run.places[run.places.len() - 1].end();
    let mut bytes = vec![0; (end - begin) as usize];
    opened
        .file
        .read_exact_at(&mut bytes, begin)
        .map_err(|error| Error::Unavailable(format!("{} at {begin}: {error}", segment.path.display())))?;
    let bytes = Bytes::from(bytes);
    for (place, number) in run.places.iter().zip(run.first..) {
        let frame = bytes.slice((place.begin() - begin) as usize..(place.end() - begin) as usize);
        let record = block::record(&frame, shard, number, segment.header.salt).ok_or_else(|| {
            Error::Corrupt(format!(
                "{} at byte {}: record {number} of shard {shard} is not what was written",
                segment.path.display(),
                place.begin()
            ))
        })?;
        records.push(Record { number, bytes: record });
    }
    Ok(())
}
