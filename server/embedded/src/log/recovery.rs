//! Opening the journal: finds its end, and tells a write that a crash cut short from damage.
//!
//! Only one block is ever under way, so a crash leaves at most one block that is not whole, and
//! nothing after it. A block that does not check with a whole one behind it, or a number that is
//! missing, is damage: opening refuses and names the place. Segments that the rows contain already
//! are not read, only their headers are.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ordermill_store::{Error, Extent};

use super::block::{self, ALIGN, HEAD_BYTES};
use super::index::{Index, Place};
use super::segment::{self, Header, Opened, Segment};
use super::writer::End;
use super::{Config, Marks, Raise, repair};
use crate::lock::unavailable;

/// Bytes that are looked through at once for a block behind a damaged one.
const SEARCH_BYTES: usize = 1 << 20;

/// A journal that can be written to.
#[derive(Debug)]
pub(super) struct Recovered {
    /// All segments, oldest first.
    pub(super) segments: VecDeque<Arc<Segment>>,
    /// Where the next block goes.
    pub(super) end: End,
    /// Of each shard.
    pub(super) extents: Vec<Extent>,
}

/// A place where the journal is not what was written.
#[derive(Debug)]
pub(super) struct Damage {
    /// Which of the segments, oldest first.
    pub(super) segment: usize,
    /// Where in its file.
    pub(super) offset: u64,
    /// What is wrong.
    pub(super) what: String,
    /// What would make it right.
    pub(super) cure: Cure,
}

/// What going on in spite of damage takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cure {
    /// Dropping the records from there on, or up to there.
    Drop,
    /// Counting the records of this shard that only the rows contain as trimmed.
    TrimShard(usize),
    /// Counting all records that only the rows contain as trimmed.
    TrimAll,
    /// Counting all records before the oldest segment as trimmed.
    TrimBefore,
}

/// What keeps the journal from being opened.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Something that has nothing to do with what was written.
    Other(Error),
    /// What was written is not there any more.
    Damage(Damage),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn damage<T>(segment: usize, offset: u64, what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Damage(Damage { segment, offset, what: what.into(), cure: Cure::Drop }))
}

fn missing<T>(segment: usize, offset: u64, what: impl Into<String>, cure: Cure) -> Result<T, Trouble> {
    Err(Trouble::Damage(Damage { segment, offset, what: what.into(), cure }))
}

/// Opens the journal in `config.dir`, or begins one.
pub(super) fn recover(config: &Config, marks: &[Marks], raise: Raise<'_>) -> Result<Recovered, Error> {
    let mut marks = marks.to_vec();
    loop {
        let files = repair::list(config)?;
        if files.is_empty() && marks.iter().all(|mark| mark.checkpoint <= mark.trimmed) {
            return begin(config, &marks);
        }
        match attempt(config, &files, &marks) {
            Ok(recovered) => return Ok(recovered),
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::Damage(found)) => {
                let place = files.get(found.segment).map_or(config.dir.as_path(), |file| file.as_path());
                let what = format!("{} at byte {}: {}", place.display(), found.offset, found.what);
                if !config.accept_corruption {
                    return Err(Error::Corrupt(format!(
                        "{what}. Restore a backup, or go on without what lies behind the damage with \
                         `accept_corruption`: acknowledged orders may be lost"
                    )));
                }
                tracing::error!(what, "the journal is damaged, and damage was accepted: records are dropped");
                repair::accept(config, &files, &found, &mut marks, raise)?;
            }
        }
    }
}

fn begin(config: &Config, marks: &[Marks]) -> Result<Recovered, Error> {
    let first: Vec<u64> = marks.iter().map(|mark| mark.trimmed + 1).collect();
    let checkpoint = marks.iter().map(|mark| mark.checkpoint).collect();
    let capacity = config.segment_bytes.max(segment::header_bytes(first.len()));
    let generation = repair::next_generation(config)?;
    let header = Header { generation, salt: segment::new_salt(), first_block: 1, first, checkpoint };
    let made = Segment::create(&config.dir, header, capacity).map_err(|error| unavailable(&config.dir, &error))?;
    let end = End { offset: made.blocks_at(), capacity, block: 1 };
    let extents = marks.iter().map(|mark| extent(mark, mark.trimmed)).collect();
    Ok(Recovered { segments: VecDeque::from([Arc::new(made)]), end, extents })
}

fn extent(mark: &Marks, last: u64) -> Extent {
    Extent { checkpoint: mark.checkpoint, trimmed: mark.trimmed, last }
}

fn attempt(config: &Config, files: &[std::path::PathBuf], marks: &[Marks]) -> Result<Recovered, Trouble> {
    let segments = headers(config, files)?;
    let Some(oldest) = segments.front() else {
        return missing(0, 0, "the journal is gone, and the rows tell of records in it", Cure::TrimAll);
    };
    let reach = |segment: &Segment, known: fn(&Marks) -> u64| {
        segment.header.first.iter().zip(marks).position(|(&first, mark)| first - 1 > known(mark))
    };
    if let Some(shard) = reach(oldest, |mark| mark.trimmed) {
        let what = format!("records of shard {shard} before this segment are missing");
        return missing(0, 0, what, Cure::TrimBefore);
    }
    // The newest segment before which the rows contain everything.
    let begin = (0..segments.len()).rev().find(|&at| reach(&segments[at], |mark| mark.checkpoint).is_none());
    let begin = begin.unwrap_or(0);
    let (end, next) = replay(&segments, begin, marks)?;
    let mut capacity = end.capacity;
    let mut extents = Vec::with_capacity(marks.len());
    for (shard, (mark, next)) in marks.iter().zip(next).enumerate() {
        let last = (next - 1).max(mark.trimmed);
        if last < mark.checkpoint {
            let what = format!("shard {shard} ends with record {last}, and the rows contain {}", mark.checkpoint);
            return missing(segments.len() - 1, end.offset, what, Cure::TrimShard(shard));
        }
        if last >= next {
            // Damage was accepted, and numbers go on after a gap: in a new segment.
            capacity = end.offset;
        }
        extents.push(extent(mark, last));
    }
    Ok(Recovered { segments, end: End { capacity, ..end }, extents })
}

/// Reads the headers and checks that they follow each other.
fn headers(config: &Config, files: &[std::path::PathBuf]) -> Result<VecDeque<Arc<Segment>>, Trouble> {
    let shards = config.shards as usize;
    let mut segments: VecDeque<Arc<Segment>> = VecDeque::with_capacity(files.len());
    for (at, path) in files.iter().enumerate() {
        let mut bytes = vec![0; segment::header_bytes(shards) as usize];
        match File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return damage(at, 0, "the file ends inside its header");
            }
            Err(error) => return Err(unavailable(path, &error).into()),
        }
        let header = match Header::decode(&bytes, shards) {
            Ok(header) => header,
            Err(what) => return damage(at, 0, what),
        };
        if Some(header.generation) != segment::generation_of(path) {
            return damage(at, 0, format!("the header is that of generation {}", header.generation));
        }
        if let Some(before) = segments.back() {
            if header.generation != before.header.generation + 1 {
                return damage(at, 0, format!("the segment after {} is missing", before.path.display()));
            }
            let follows = header.first.iter().zip(&before.header.first).all(|(next, first)| next >= first);
            if !follows || header.first_block < before.header.first_block {
                return damage(at, 0, "the header's numbers are lower than those of the segment before");
            }
        }
        segments.push_back(Arc::new(Segment::new(&config.dir, header)));
    }
    Ok(segments)
}

/// Reads the segments from `begin` on; returns the end, and the next number of each shard.
fn replay(segments: &VecDeque<Arc<Segment>>, begin: usize, marks: &[Marks]) -> Result<(End, Vec<u64>), Trouble> {
    let mut at = begin;
    loop {
        let segment = &segments[at];
        let io = |error: io::Error| Trouble::Other(unavailable(&segment.path, &error));
        let file = OpenOptions::new().read(true).write(true).open(&segment.path).map_err(io)?;
        let scanned = scan(segment, &file).map_err(io)?;
        if let Some((offset, what)) = scanned.wrong {
            return damage(at, offset, what);
        }
        let next: Vec<u64> = (0..marks.len() as u32).filter_map(|shard| scanned.index.next(shard)).collect();
        let Some(following) = segments.get(at + 1) else {
            let capacity = finish(segment, &file, &scanned).map_err(io)?;
            let Some(capacity) = capacity else {
                return damage(at, scanned.offset, "a block does not check, and a whole one follows it");
            };
            let end = End { offset: scanned.offset, capacity, block: scanned.block };
            keep(segment, file, scanned.index);
            return Ok((end, next));
        };
        if scanned.block != following.header.first_block {
            let (have, want) = (scanned.block, following.header.first_block);
            return damage(
                at,
                scanned.offset,
                format!("block {have} does not check, the next segment begins with {want}"),
            );
        }
        let gap = next
            .iter()
            .zip(&following.header.first)
            .zip(marks)
            .position(|((&next, &first), mark)| first < next || (first > next && first - 1 > mark.trimmed));
        if let Some(shard) = gap {
            return damage(at + 1, 0, format!("shard {shard} does not go on where the segment before ends"));
        }
        keep(segment, file, scanned.index);
        at += 1;
    }
}

fn keep(segment: &Segment, file: File, index: Index) {
    *segment.opened.lock() = Some(Arc::new(Opened { file, index: parking_lot::RwLock::new(index) }));
}

/// Makes the last segment's blocks durable and cuts off what a crash left behind them. Returns the
/// bytes that the segment has for blocks; `None` when a whole block follows: then this is damage.
fn finish(segment: &Segment, file: &File, scanned: &Scanned) -> io::Result<Option<u64>> {
    let length = file.metadata()?.len();
    let mut capacity = length;
    match search(segment, file, scanned, length)? {
        Rest::Zeros => {}
        Rest::Block => return Ok(None),
        Rest::Torn => {
            tracing::warn!(
                file = %segment.path.display(),
                offset = scanned.offset,
                "cuts off a block that a crash left unfinished"
            );
            file.set_len(scanned.offset)?;
            if segment::allocate(file, length).is_err() {
                // No room now: the next block goes into a segment of its own once there is.
                file.set_len(scanned.offset)?;
                capacity = scanned.offset;
            }
        }
    }
    // Blocks may be whole in memory and not yet on the disk; what is read must survive from now on.
    file.sync_all()?;
    Ok(Some(capacity))
}

/// What lies behind a segment's last block.
enum Rest {
    /// Nothing.
    Zeros,
    /// Bytes, but no whole block.
    Torn,
    /// A whole block that should not be there.
    Block,
}

fn search(segment: &Segment, file: &File, scanned: &Scanned, length: u64) -> io::Result<Rest> {
    let mut rest = Rest::Zeros;
    let mut buffer = vec![0; SEARCH_BYTES];
    let mut bytes = Vec::new();
    let mut at = scanned.offset;
    while at < length {
        let count = (length - at).min(SEARCH_BYTES as u64) as usize;
        file.read_exact_at(&mut buffer[..count], at)?;
        if buffer[..count].iter().any(|&byte| byte != 0) {
            rest = Rest::Torn;
            for inside in (0..count).step_by(ALIGN).filter(|&inside| block::begins(&buffer[inside..count])) {
                let found = read_block(segment, file, length, at + inside as u64, &mut bytes)?;
                if found.is_some_and(|head| head.sequence >= scanned.block) {
                    return Ok(Rest::Block);
                }
            }
        }
        at += count as u64;
    }
    Ok(rest)
}

/// Reads the block at `at` of a file of `length` bytes, if there is a whole one of this segment.
fn read_block(
    segment: &Segment,
    file: &File,
    length: u64,
    at: u64,
    bytes: &mut Vec<u8>,
) -> io::Result<Option<block::Head>> {
    bytes.resize(HEAD_BYTES, 0);
    if !read_whole(file, bytes, at)? {
        return Ok(None);
    }
    let Some(head) = block::head(bytes) else {
        return Ok(None);
    };
    let fits = at + (HEAD_BYTES + head.payload) as u64 <= length;
    if head.generation != segment.header.generation || !fits {
        return Ok(None);
    }
    bytes.resize(HEAD_BYTES + head.payload, 0);
    let whole = read_whole(file, &mut bytes[HEAD_BYTES..], at + HEAD_BYTES as u64)?;
    Ok((whole && block::is_whole(bytes, segment.header.salt)).then_some(head))
}

/// Fills `bytes`; false when the file ends before.
fn read_whole(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// What the blocks of a segment hold.
#[derive(Debug)]
pub(super) struct Scanned {
    /// Where the records are.
    pub(super) index: Index,
    /// Where the first block begins that does not check.
    pub(super) offset: u64,
    /// The sequence that it should have.
    pub(super) block: u64,
    /// Where and why a block that does check cannot be.
    pub(super) wrong: Option<(u64, String)>,
}

/// Reads the blocks of a segment in order, up to the first that does not check.
pub(super) fn scan(segment: &Segment, file: &File) -> io::Result<Scanned> {
    let mut scanned = Scanned {
        index: segment.empty_index(),
        offset: segment.blocks_at(),
        block: segment.header.first_block,
        wrong: None,
    };
    let mut bytes = Vec::new();
    let length = file.metadata()?.len();
    while let Some(head) = read_block(segment, file, length, scanned.offset, &mut bytes)? {
        if let Err(what) = take(&mut scanned, head, &bytes[HEAD_BYTES..]) {
            scanned.wrong = Some((scanned.offset, what));
            break;
        }
        scanned.offset += (HEAD_BYTES + head.payload) as u64;
        scanned.block += 1;
    }
    Ok(scanned)
}

fn take(scanned: &mut Scanned, head: block::Head, payload: &[u8]) -> Result<(), String> {
    if head.sequence != scanned.block {
        return Err(format!("block {} stands where block {} should", head.sequence, scanned.block));
    }
    let frames = block::frames(head, payload).ok_or("the block's frames are not laid out as frames")?;
    for frame in frames {
        let next = scanned.index.next(frame.shard);
        if next != Some(frame.number) {
            let (shard, number, next) = (frame.shard, frame.number, next.unwrap_or(0));
            return Err(format!("record {number} of shard {shard} stands where record {next} should"));
        }
        let offset = scanned.offset + (HEAD_BYTES + frame.offset) as u64;
        scanned.index.push(frame.shard, Place::new(offset, frame.length));
    }
    Ok(())
}
