//! The journal of all shards: one append-only log in segment files, one fsync for what has queued.
//!
//! An append queues its record and waits. One thread takes everything that has queued, writes it as
//! one block, makes it durable and answers; what arrives meanwhile is the next block. There is no
//! timer. Knows numbers and bytes; knows no rows.

mod block;
mod index;
mod read;
mod recovery;
mod repair;
mod segment;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::{clock, limits};
use ordermill_store::{Error, Extent};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::oneshot;

use self::segment::Segment;
pub(crate) use self::segment::{is_no_room, sync_dir};
use crate::measure::Measures;

/// How the journal is kept.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Where the segments are.
    pub(crate) dir: PathBuf,
    /// How many shards there are.
    pub(crate) shards: u32,
    /// Bytes of one segment.
    pub(crate) segment_bytes: u64,
    /// Whether to go on without the records from a corrupt place on.
    pub(crate) accept_corruption: bool,
}

/// What the rest of the store knows of a shard when the journal is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The durable checkpoint.
    pub(crate) checkpoint: u64,
    /// The durable trim mark.
    pub(crate) trimmed: u64,
}

/// Makes a raised trim mark of a shard durable.
pub(crate) type Raise<'a> = &'a mut dyn FnMut(u32, u64) -> Result<(), Error>;

/// The open journal.
pub(crate) struct Log {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What appenders, readers and the writing thread share.
struct Shared {
    config: Config,
    clock: clock::Shared,
    measures: Measures,
    state: Mutex<State>,
    wake: Condvar,
    /// Oldest first; the last one is written to. Never empty.
    segments: RwLock<VecDeque<Arc<Segment>>>,
    recent: Mutex<read::Recent>,
    #[cfg(test)]
    fault: std::sync::atomic::AtomicBool,
}

struct State {
    queue: Vec<Pending>,
    /// True while the writing thread waits for work.
    idle: bool,
    stopping: bool,
    /// Why nothing more can be appended.
    poisoned: Option<String>,
    /// Whether the last block found no room.
    full: bool,
    shards: Vec<Position>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    extent: Extent,
    under_way: bool,
}

/// An append that waits for its block.
struct Pending {
    shard: u32,
    number: u64,
    record: Bytes,
    since: Duration,
    answer: oneshot::Sender<Result<(), Error>>,
}

impl Log {
    /// Opens the journal, or makes an empty one, and reads what lies after the checkpoints.
    pub(crate) fn open(
        config: Config,
        marks: &[Marks],
        raise: Raise<'_>,
        clock: clock::Shared,
        measures: Measures,
    ) -> Result<Self, Error> {
        let recovered = recovery::recover(&config, marks, raise)?;
        let shards = recovered.extents.iter().map(|&extent| Position { extent, under_way: false }).collect();
        let shared = Arc::new(Shared {
            config,
            clock,
            measures,
            state: Mutex::new(State {
                queue: Vec::new(),
                idle: false,
                stopping: false,
                poisoned: None,
                full: false,
                shards,
            }),
            wake: Condvar::new(),
            segments: RwLock::new(recovered.segments),
            recent: Mutex::new(read::Recent::default()),
            #[cfg(test)]
            fault: std::sync::atomic::AtomicBool::new(false),
        });
        shared.keep_recent();
        let writer = writer::Writer::new(Arc::clone(&shared), recovered.end)?;
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| Error::Unavailable(format!("the journal's thread does not start: {error}")))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Makes a record durable.
    pub(crate) async fn append(&self, shard: u32, number: u64, record: Bytes) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let since = self.shared.clock.elapsed();
        self.shared.enqueue(Pending { shard, number, record, since, answer })?;
        answered.await.unwrap_or_else(|_| Err(Error::Unknown("the journal has stopped".to_owned())))
    }

    /// How far the journal of `shard` is.
    pub(crate) fn extent(&self, shard: u32) -> Extent {
        self.shared.state.lock().shards[shard as usize].extent
    }

    /// Whether the last block found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.shared.state.lock().full
    }

    /// Tells the journal what the rows contain durably.
    pub(crate) fn set_checkpoint(&self, shard: u32, checkpoint: u64) {
        self.shared.state.lock().shards[shard as usize].extent.checkpoint = checkpoint;
    }

    /// Deletes the segments that nobody needs now that the records of `shard` up to `through` may
    /// go. Both the trim mark and the checkpoint must be durable already.
    pub(crate) fn trim(&self, shard: u32, through: u64) -> Result<(), Error> {
        let may_go: Vec<u64> = {
            let mut state = self.shared.state.lock();
            let extent = &mut state.shards[shard as usize].extent;
            extent.trimmed = extent.trimmed.max(through);
            state.shards.iter().map(|position| position.extent.trimmed.min(position.extent.checkpoint)).collect()
        };
        let mut gone = false;
        while let Some(segment) = self.shared.take_unneeded(&may_go) {
            tracing::debug!(file = %segment.path.display(), "deletes a journal segment that is trimmed");
            std::fs::remove_file(&segment.path)
                .map_err(|error| Error::Unavailable(format!("{} is not deleted: {error}", segment.path.display())))?;
            gone = true;
        }
        if gone {
            sync_dir(&self.shared.config.dir).map_err(|error| Error::Unavailable(error.to_string()))?;
        }
        Ok(())
    }

    /// Writes what has queued and stops; later appends are refused.
    pub(crate) fn close(&self) {
        self.shared.state.lock().stopping = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has been answered and logged where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn enqueue(&self, pending: Pending) -> Result<(), Error> {
        if pending.record.len() > limits::RECORD_BYTES {
            return Err(Error::Invalid(format!(
                "a record has {} bytes, at most {} fit",
                pending.record.len(),
                limits::RECORD_BYTES
            )));
        }
        let mut state = self.state.lock();
        if let Some(why) = &state.poisoned {
            return Err(Error::Unknown(why.clone()));
        }
        if state.stopping {
            return Err(Error::Unavailable("the store is closed".to_owned()));
        }
        let position = &mut state.shards[pending.shard as usize];
        let next = position.extent.last + 1;
        if position.under_way || pending.number != next {
            let why = if position.under_way { "another append is under way" } else { "numbers have no gaps" };
            return Err(Error::Invalid(format!(
                "record {} of shard {}: the next one is {next}, and {why}",
                pending.number, pending.shard
            )));
        }
        position.under_way = true;
        state.queue.push(pending);
        if state.idle {
            state.idle = false;
            self.wake.notify_one();
        }
        Ok(())
    }

    fn take_unneeded(&self, may_go: &[u64]) -> Option<Arc<Segment>> {
        let mut segments = self.segments.write();
        // The records of a segment end where those of the next one begin.
        let next = segments.get(1)?;
        let unneeded = next.header.first.iter().zip(may_go).all(|(&first, &through)| first - 1 <= through);
        if unneeded { segments.pop_front() } else { None }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("dir", &self.shared.config.dir).finish_non_exhaustive()
    }
}
