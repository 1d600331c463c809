//! The thread that writes the journal: takes what has queued, writes one block, makes it durable,
//! answers.
//!
//! Without room nothing counts as written and the same place is tried again with the next block.
//! After any other failed write or fsync nothing may be believed any more: whatever the disk holds
//! now, only reading it again can tell, so the journal takes no more until it is reopened.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ordermill_station::limits;
use ordermill_store::Error;

use super::block::{self, Builder};
use super::index::Place;
use super::segment::{self, Header, Opened, Segment};
use super::{Pending, Shared, State};

/// Blocks up to this size are written into bytes that were written before: an fsync that only
/// overwrites needs no commit of the file system's own journal, which takes half of its time away.
const SMALL_BLOCK_BYTES: usize = 64 << 10;
/// How many bytes ahead are zeroed at once for that.
const ZERO_AHEAD_BYTES: usize = 512 << 10;
/// Bytes of the block buffer that are kept between blocks.
const BUFFER_BYTES: usize = 1 << 20;

/// Where the next block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Offset in the last segment.
    pub(super) offset: u64,
    /// Bytes that the last segment has for blocks; the next block goes elsewhere if it does not fit.
    pub(super) capacity: u64,
    /// The next block's sequence.
    pub(super) block: u64,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Arc<Segment>,
    opened: Arc<Opened>,
    end: End,
    zeroed: u64,
    builder: Builder,
    /// Each frame of the block being built: place inside the block.
    frames: Vec<usize>,
    batch: Vec<Pending>,
}

/// Why a block is not durable.
enum Failure {
    /// No room; nothing is written.
    Full(String),
    /// Something else stood in the way before anything was written.
    Unavailable(String),
    /// Nobody knows what is written.
    Fatal(String),
}

impl Failure {
    fn to_error(&self) -> Error {
        match self {
            Self::Full(why) => Error::Full(why.clone()),
            Self::Unavailable(why) => Error::Unavailable(why.clone()),
            Self::Fatal(why) => Error::Unknown(why.clone()),
        }
    }
}

/// Answers what is left when the thread ends, however it ends.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if std::thread::panicking() {
            state.poisoned = Some("the journal's thread has failed".to_owned());
        }
        state.stopping = true;
        // Dropping an append answers it: unknown.
        state.queue.clear();
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, end: End) -> Result<Self, Error> {
        let active = shared.segments.read().back().cloned();
        let active = active.ok_or_else(|| Error::Invalid("a journal has at least one segment".to_owned()))?;
        let opened = shared.open(&active)?;
        let builder = Builder::new(active.header.salt);
        Ok(Self { shared, active, opened, end, zeroed: 0, builder, frames: Vec::new(), batch: Vec::new() })
    }

    /// Writes until told to stop.
    pub(super) fn run(mut self) {
        let _farewell = Farewell(Arc::clone(&self.shared));
        while self.take() {
            let begun = self.shared.clock.elapsed();
            let poisoned = self.shared.state.lock().poisoned.clone();
            let written = match poisoned {
                Some(why) => Err(Failure::Fatal(why)),
                None => self.write(),
            };
            self.answer(&written);
            let took = self.shared.clock.elapsed().saturating_sub(begun);
            self.shared.measures.journal.took(took);
        }
    }

    /// Waits for appends and takes as many as go into one block; false when there will be none.
    fn take(&mut self) -> bool {
        let mut state = self.shared.state.lock();
        while state.queue.is_empty() {
            if state.stopping {
                return false;
            }
            state.idle = true;
            self.shared.wake.wait(&mut state);
        }
        state.idle = false;
        let room = limits::BLOCK_BYTES.min(self.shared.config.segment_bytes as usize);
        let mut bytes = 0;
        let fits = state.queue.iter().take_while(|pending| {
            bytes += block::frame_bytes(pending.record.len());
            bytes <= room
        });
        let count = fits.count().max(1);
        if count == state.queue.len() {
            std::mem::swap(&mut state.queue, &mut self.batch);
        } else {
            self.batch.extend(state.queue.drain(..count));
        }
        true
    }

    fn write(&mut self) -> Result<(), Failure> {
        self.build();
        let bytes = self.builder.len();
        if self.end.offset + bytes as u64 > self.end.capacity {
            self.roll(bytes)?;
            // Salt and generation are others now.
            self.build();
        }
        self.zero_ahead(bytes)?;
        let block = self.builder.finish(self.active.header.generation, self.end.block);
        if let Err(error) = self.opened.file.write_all_at(block, self.end.offset) {
            return Err(self.give_up(&error));
        }
        let begun = self.shared.clock.elapsed();
        self.sync().map_err(|error| {
            Failure::Fatal(format!("fsync of {} failed: {error}; reopen the store", self.active.path.display()))
        })?;
        let measures = &self.shared.measures;
        measures.fsync.record(self.shared.clock.elapsed().saturating_sub(begun));
        measures.wrote_block(self.batch.len(), bytes);
        self.index();
        self.end.offset += bytes as u64;
        self.end.block += 1;
        Ok(())
    }

    fn build(&mut self) {
        self.builder.clear(self.active.header.salt);
        self.frames.clear();
        for pending in &self.batch {
            self.frames.push(self.builder.push(pending.shard, pending.number, &pending.record));
        }
    }

    fn index(&mut self) {
        let mut index = self.opened.index.write();
        for (pending, &at) in self.batch.iter().zip(&self.frames) {
            index.push(pending.shard, Place::new(self.end.offset + at as u64, pending.record.len()));
        }
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.shared.fault.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(io::Error::other("a fault that a test asked for"));
        }
        self.opened.file.sync_data()
    }

    /// Zeroes the bytes that the next small blocks will go to.
    fn zero_ahead(&mut self, bytes: usize) -> Result<(), Failure> {
        let (begin, end) = (self.end.offset, self.end.offset + bytes as u64);
        if bytes > SMALL_BLOCK_BYTES || end <= self.zeroed {
            self.zeroed = self.zeroed.max(end);
            return Ok(());
        }
        let from = self.zeroed.max(begin);
        let to = (from + ZERO_AHEAD_BYTES as u64).max(end).min(self.end.capacity);
        let zeros = vec![0; (to - from) as usize];
        if let Err(error) = self.opened.file.write_all_at(&zeros, from) {
            return Err(self.give_up(&error));
        }
        self.zeroed = to;
        Ok(())
    }

    /// What a failed write means. The head is wiped, so that what did get written is no block.
    fn give_up(&mut self, error: &io::Error) -> Failure {
        let what = format!("writing {} at {} failed: {error}", self.active.path.display(), self.end.offset);
        let wiped = self.opened.file.write_all_at(&[0; block::HEAD_BYTES], self.end.offset);
        if segment::is_no_room(error) && (wiped.is_ok() || wiped.is_err_and(|error| segment::is_no_room(&error))) {
            Failure::Full(what)
        } else {
            Failure::Fatal(format!("{what}; reopen the store"))
        }
    }

    /// Begins the next segment, with room for a block of `bytes` at least.
    fn roll(&mut self, bytes: usize) -> Result<(), Failure> {
        let config = &self.shared.config;
        let (first, checkpoint): (Vec<u64>, Vec<u64>) = {
            let state = self.shared.state.lock();
            state.shards.iter().map(|shard| (shard.extent.last + 1, shard.extent.checkpoint)).unzip()
        };
        let capacity = config.segment_bytes.max(segment::header_bytes(first.len()) + bytes as u64);
        let header = Header {
            generation: self.active.header.generation + 1,
            salt: segment::new_salt(),
            first_block: self.end.block,
            first,
            checkpoint,
        };
        let made = Segment::create(&config.dir, header, capacity).map_err(|error| {
            let why = format!("no new journal segment of {capacity} bytes in {}: {error}", config.dir.display());
            if segment::path(&config.dir, self.active.header.generation + 1).exists() {
                // It has its name, and only a crash would show whether it keeps it.
                Failure::Fatal(why)
            } else if segment::is_no_room(&error) {
                Failure::Full(why)
            } else {
                Failure::Unavailable(why)
            }
        })?;
        // What was reserved and is not needed goes back; a failure costs room only.
        let _ = self.opened.file.set_len(self.end.offset);
        let next = Arc::new(made);
        self.opened = self.shared.open(&next).map_err(|error| Failure::Fatal(error.to_string()))?;
        self.shared.segments.write().push_back(Arc::clone(&next));
        self.shared.retire(std::mem::replace(&mut self.active, next));
        self.end.offset = self.active.blocks_at();
        self.end.capacity = capacity;
        self.zeroed = 0;
        tracing::debug!(file = %self.active.path.display(), "begins a journal segment");
        Ok(())
    }

    fn answer(&mut self, written: &Result<(), Failure>) {
        let shared = &self.shared;
        let error = written.as_ref().err().map(Failure::to_error);
        {
            let mut state = shared.state.lock();
            note(&mut state, written);
            for pending in &self.batch {
                let position = &mut state.shards[pending.shard as usize];
                position.under_way = false;
                if error.is_none() {
                    position.extent.last = pending.number;
                }
            }
        }
        let now = shared.clock.elapsed();
        for pending in self.batch.drain(..) {
            shared.measures.journal.waited(now.saturating_sub(pending.since));
            // The appender may be gone: what it asked for is done all the same.
            let _ = pending.answer.send(error.clone().map_or(Ok(()), Err));
        }
        if let Some(error) = error {
            shared.measures.journal.failed(error.kind());
        }
        self.builder.shrink(BUFFER_BYTES);
    }
}

fn note(state: &mut State, written: &Result<(), Failure>) {
    let full = matches!(written, Err(Failure::Full(_)));
    match written {
        Err(Failure::Full(why)) if !state.full => tracing::warn!(why, "the journal has no room"),
        Err(Failure::Fatal(why)) if state.poisoned.is_none() => {
            tracing::error!(why, "the journal takes no more appends");
            state.poisoned = Some(why.clone());
        }
        Ok(()) if state.full => tracing::info!("the journal has room again"),
        _ => {}
    }
    state.full = full;
}
