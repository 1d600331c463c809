//! The task of a shard: one batch after another, reads in between.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ordermill_delivery::{Outstanding, Peers};
use ordermill_order::{Command, Order, OrderId, Outcome, Refusal, SlotRange};
use ordermill_station::measure::Station;
use ordermill_station::{clock, limits};
use ordermill_store::keys::RowKey;
use ordermill_store::{Error as StoreError, ShardId, Store};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::ahead::Ahead;
use crate::batch::{Batch, Closed};
use crate::build::Built;
use crate::flush::Flushed;
use crate::format::Formats;
use crate::handle::{Collector, Error, Gauges, Handle, Lanes, Queued, Read, Sink, Work, from_store};
use crate::planted::Planted;
use crate::proof::Lost;
use crate::state::{Committed, Found};
use crate::sweep::{Attendant, Swept};
use crate::timers::NextTimer;
use crate::{Keys, Unflushed};

/// What a shard needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster: the first part of every key.
    pub cluster: u32,
    /// The shard.
    pub id: ShardId,
    /// Its slots.
    pub range: SlotRange,
    /// Where it goes on, if it was split from another.
    pub parent: Option<Parent>,
    /// Names this run of the owner.
    pub incarnation: u64,
    /// What may be written, and what can be read.
    pub formats: Arc<Formats>,
    /// Bytes of clean rows kept in memory.
    pub cache_bytes: u64,
    /// What all shards of the process keep unflushed.
    pub unflushed: Arc<Unflushed>,
    /// Longest time a changed row waits for a flush.
    pub flush_interval: Duration,
    /// How long journal records stay after the checkpoint.
    pub journal_retention: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency_retention: Duration,
    /// The step that a test leaves out.
    #[cfg(feature = "planted-faults")]
    pub planted: Option<crate::planted::Planted>,
}

/// The end of another shard's journal, behind which one that was split from it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The other shard.
    pub shard: ShardId,
    /// The last record of its journal.
    pub number: u64,
}

/// A command that waits for its batch.
pub(crate) struct Waiting {
    pub(crate) command: Command,
    pub(crate) sink: Sink,
}

/// A batch whose record is being appended; of one that changes nothing, that it was answered from the last
/// state is being proven.
pub(crate) struct Appending {
    pub(crate) closed: Option<Closed>,
    pub(crate) answers: Vec<(Sink, Result<Outcome, Refusal>)>,
    pub(crate) began: Duration,
    pub(crate) done: BoxFuture<'static, Result<(), StoreError>>,
}

/// A shard before it runs.
pub struct Service {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: clock::Shared,
    pub(crate) peers: Arc<dyn Peers>,
    pub(crate) lanes: Lanes,
    pub(crate) lost: Lost,
    pub(crate) handle: Handle,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) committed_number: watch::Sender<u64>,
    pub(crate) committed: Committed,
    pub(crate) outstanding: Outstanding,
    /// What the attendant looks for.
    pub(crate) next_timer: Arc<NextTimer>,
    /// The last committed record.
    pub(crate) number: u64,
    /// The shard's time, milliseconds since the Unix epoch.
    pub(crate) last_ms: u64,
    /// The number of the next order.
    pub(crate) sequence: u64,
    /// The newest format that any record of the shard was written in: older ones would lose what it holds.
    pub(crate) format: u32,
    pub(crate) backlog: VecDeque<Waiting>,
    pub(crate) ahead: Ahead,
    /// The next batch, when it was built while an append was under way.
    pub(crate) built: Option<Built>,
    /// Whether an append is under way.
    pub(crate) appending: bool,
    /// Whether the last creates came many at once: then more are taken while an append is under way.
    pub(crate) bulk: bool,
    /// Empty between batches; kept for its memory.
    pub(crate) batch: Batch,
    /// Rows that may be deleted if they are still as they were read.
    pub(crate) forgotten: Vec<(RowKey, Bytes)>,
    pub(crate) settling: FxHashMap<OrderId, Vec<oneshot::Sender<Arc<Order>>>>,
    pub(crate) flushes: (mpsc::Sender<Flushed>, mpsc::Receiver<Flushed>),
    pub(crate) last_flush: Duration,
    /// When a flush that has failed may be tried again.
    pub(crate) flush_not_before: Duration,
    /// The round of flushes that the last one belonged to.
    pub(crate) flush_round: u64,
    /// Bytes of changed rows that the process knows of.
    pub(crate) counted_bytes: usize,
    /// Checkpoints and when they were taken, for trimming.
    pub(crate) checkpoints: VecDeque<(u64, Duration)>,
    pub(crate) closing: Option<oneshot::Sender<Result<(), Error>>>,
    /// When closed, the journal ends for good.
    pub(crate) sealing: bool,
    /// Who waits for a flush.
    pub(crate) awaiting_flush: Vec<oneshot::Sender<bool>>,
    /// The last flush before closing has failed.
    pub(crate) flush_failed: bool,
    pub(crate) shard_station: Station,
    pub(crate) order_station: Station,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.config.unflushed.changed(self.counted_bytes, 0);
    }
}

impl Service {
    /// A shard and the way into it.
    pub fn new(config: Config, store: Arc<dyn Store>, clock: clock::Shared, peers: Arc<dyn Peers>) -> (Handle, Self) {
        let (committed_number, number) = watch::channel(0);
        let (lost, told) = Lost::new();
        let (handle, lanes) =
            Handle::new(config.id, config.range, clock.clone(), store.clone(), number, (lost.clone(), told));
        let handle = if config.leaves_out(Planted::ReadWithoutProof) { handle.without_proofs() } else { handle };
        let service = Self {
            keys: Keys { cluster: config.cluster },
            gauges: handle.gauges(),
            committed: Committed::new(config.range, config.cache_bytes),
            last_flush: clock.elapsed(),
            flush_not_before: Duration::ZERO,
            flush_round: config.unflushed.round(),
            counted_bytes: 0,
            store,
            clock,
            peers,
            lanes,
            lost,
            handle: handle.clone(),
            committed_number,
            outstanding: Outstanding::default(),
            next_timer: Arc::default(),
            number: 0,
            last_ms: 0,
            sequence: 1,
            format: 0,
            backlog: VecDeque::new(),
            ahead: Ahead::default(),
            built: None,
            appending: false,
            bulk: false,
            batch: Batch::default(),
            forgotten: Vec::new(),
            settling: FxHashMap::default(),
            flushes: mpsc::channel(1),
            checkpoints: VecDeque::new(),
            closing: None,
            sealing: false,
            awaiting_flush: Vec::new(),
            flush_failed: false,
            shard_station: Station::new("shard"),
            order_station: Station::new("order"),
            config,
        };
        (handle, service)
    }

    /// Recovers, says so, and serves until it is closed or its store fails for good. Ends with `Sealed` once
    /// the journal has ended.
    pub async fn run(mut self, ready: oneshot::Sender<Result<(), StoreError>>) -> Result<(), StoreError> {
        let mail = match self.recover().await {
            Ok(mail) => mail,
            Err(error) => {
                let _ = ready.send(Err(error.clone()));
                return Err(error);
            }
        };
        self.checkpoints.push_back((self.number, self.clock.elapsed()));
        self.committed_number.send_replace(self.number);
        mail.into_iter().for_each(|mail| self.peers.deliver(mail));
        let attendant = Attendant {
            handle: self.handle.clone(),
            keys: self.keys,
            clock: self.clock.clone(),
            peers: self.peers.clone(),
            keep: self.config.idempotency_retention,
            next_timer: self.next_timer.clone(),
            swept: Swept::default(),
            #[cfg(feature = "planted-faults")]
            releases: self.config.leaves_out(Planted::ReleaseByItself),
        };
        let attendant = tokio::spawn(attendant.run());
        let _ = ready.send(Ok(()));
        let mut result = self.serve().await;
        attendant.abort();
        if self.sealing && result.is_ok() {
            result = Err(self.seal().await);
        }
        let closing = match &result {
            Ok(()) => Ok(()),
            Err(error) => Err(from_store(error)),
        };
        if let Some(closed) = self.closing.take() {
            let _ = closed.send(closing);
        }
        result
    }

    async fn serve(&mut self) -> Result<(), StoreError> {
        let mut appending: Option<Appending> = None;
        let mut ticks = tokio::time::interval(limits::TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let idle = appending.is_none();
            let room = (idle || (self.bulk && self.built.is_none())) && self.has_room();
            tokio::select! {
                biased;
                result = appended(&mut appending), if !idle => {
                    let done = appending.take().expect("a batch was being appended");
                    self.finish(done, result)?;
                }
                Some(flushed) = self.flushes.1.recv() => self.flushed(flushed).await,
                // An append under way finds out by itself, and what became of it.
                Some(error) = self.lanes.lost.recv(), if idle => return Err(error),
                Some(read) = self.lanes.reads.recv() => self.read(read),
                Some(queued) = self.lanes.messages.recv(), if idle => self.enqueue(queued),
                Some(queued) = self.lanes.steps.recv(), if idle => self.enqueue(queued),
                Some(queued) = self.lanes.creates.recv(), if room => self.enqueue(queued),
                () = self.ahead.proceed() => {}
                _ = ticks.tick() => self.tick(),
            }
            if appending.is_none() {
                self.appending = false;
                appending = self.next_append().await?;
                self.appending = appending.is_some();
            }
            if appending.is_some() {
                self.work_ahead().await?;
            }
            self.flush_if_due();
            if self.closing.is_some() && appending.is_none() && self.is_finished() {
                return Ok(());
            }
        }
    }

    /// Whether creates may be taken: what waits for a flush, or for other shards, is bounded.
    pub(crate) fn has_room(&self) -> bool {
        self.config.unflushed.has_room(self.committed.dirty_bytes()) && self.outstanding.len() < limits::OUTBOX_ROWS
    }

    /// When closing: nothing queued, everything flushed.
    fn is_finished(&mut self) -> bool {
        let queued = self.built.is_some()
            || !self.backlog.is_empty()
            || !self.lanes.messages.is_empty()
            || !self.lanes.steps.is_empty()
            || !self.lanes.creates.is_empty();
        let flushed = !self.committed.is_flushing() && (self.flush_failed || self.committed.dirty_bytes() == 0);
        !queued && (flushed || self.ends_unflushed())
    }

    /// Whether the journal ends with what has been flushed by now; only a test lets it.
    pub(crate) fn ends_unflushed(&self) -> bool {
        self.sealing && self.config.leaves_out(Planted::SealUnflushed)
    }

    pub(crate) fn enqueue(&mut self, Queued { work, since }: Queued) {
        let waited = self.clock.elapsed().saturating_sub(since);
        self.shard_station.waited(waited);
        self.gauges.queue_delay_us.store(waited.as_micros() as u64, Ordering::Relaxed);
        match work {
            Work::One(command, sink) => {
                self.bulk = false;
                self.backlog.push_back(Waiting { command: *command, sink });
            }
            Work::Many(commands, done) => {
                self.bulk = true;
                let all = Collector::new(commands.len(), done);
                let one = |(index, command)| Waiting { command, sink: Sink::Part(all.clone(), index) };
                self.backlog.extend(commands.into_iter().enumerate().map(one));
            }
            // Deleted with the next batch.
            Work::Forget(rows) => self.forgotten.extend(rows),
        }
    }

    fn read(&mut self, read: Read) {
        match read {
            Read::Get(key, reply) => {
                let _ = reply.send(match self.committed.get(&key) {
                    Found::Row(value) => Some(Some(value)),
                    Found::Deleted => Some(None),
                    Found::Elsewhere => None,
                });
            }
            Read::Changed { from, to, limit, reply } => {
                let _ = reply.send(self.committed.changed(from, to, limit));
            }
            Read::Flush(reply) => self.awaiting_flush.push(reply),
            Read::Close { seal, reply } => (self.closing, self.sealing) = (Some(reply), seal),
        }
    }

    fn tick(&mut self) {
        if self.lanes.creates.is_empty() && self.lanes.steps.is_empty() {
            self.gauges.queue_delay_us.store(0, Ordering::Relaxed);
        }
        self.settling.retain(|_, waiting| {
            waiting.retain(|sender| !sender.is_closed());
            !waiting.is_empty()
        });
        let again = self.outstanding.overdue(self.clock.elapsed(), limits::REDELIVER_AFTER, limits::BATCH_COMMANDS);
        again.into_iter().for_each(|mail| self.peers.deliver(mail));
    }
}

async fn appended(appending: &mut Option<Appending>) -> Result<(), StoreError> {
    match appending {
        Some(appending) => (&mut appending.done).await,
        None => std::future::pending().await,
    }
}
