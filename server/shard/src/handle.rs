//! The way into a shard: commands in lanes, reads beside them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Mail;
use ordermill_order::{Command, Order, Outcome, Refusal, SlotRange};
use ordermill_station::{clock, limits};
use ordermill_store::keys::RowKey;
use ordermill_store::{Page, ShardId, Store};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use crate::generation::Changes;
use crate::proof::{Lost, Proofs};

/// Why a command came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Refused by the state machine: nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Too much is waiting: nothing has changed.
    #[error("too much is waiting")]
    Busy,
    /// The shard is not served here, or no longer: nothing has changed, another process may serve it.
    #[error("the shard is not served here")]
    NotServed,
    /// The store does not answer: nothing has changed.
    #[error("{0}")]
    Unavailable(String),
    /// Nobody can say yet whether it has happened: with an idempotency key, asking again tells.
    #[error("{0}")]
    Unknown(String),
    /// The store has no room: nothing has changed.
    #[error("{0}")]
    Full(String),
}

/// The answer to a command.
#[derive(Debug)]
pub struct Reply {
    /// What became of it.
    pub outcome: Result<Outcome, Error>,
    /// When the outcome is an order that is still pending: the order once it is decided.
    pub settled: Option<oneshot::Receiver<Arc<Order>>>,
}

impl Reply {
    pub(crate) fn failed(error: Error) -> Self {
        Self { outcome: Err(error), settled: None }
    }
}

/// An answer that is on its way.
pub type Pending<T> = oneshot::Receiver<T>;

/// Who gets an answer.
#[derive(Debug)]
pub(crate) enum Sink {
    /// One caller.
    One(oneshot::Sender<Reply>),
    /// A caller that sent many commands at once.
    Part(Arc<Collector>, usize),
    /// The shard that sent the mail.
    Mail(Mail),
    /// Nobody.
    None,
}

/// Collects the answers to many commands.
#[derive(Debug)]
pub(crate) struct Collector {
    replies: Mutex<Vec<Option<Reply>>>,
    left: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<Vec<Reply>>>>,
}

impl Collector {
    pub(crate) fn new(size: usize, done: oneshot::Sender<Vec<Reply>>) -> Arc<Self> {
        let replies = Mutex::new((0..size).map(|_| None).collect());
        Arc::new(Self { replies, left: AtomicUsize::new(size), done: Mutex::new(Some(done)) })
    }

    pub(crate) fn put(&self, index: usize, reply: Reply) {
        self.replies.lock()[index] = Some(reply);
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = self.done.lock().take()
        {
            let replies = std::mem::take(&mut *self.replies.lock());
            // A caller that has gone away needs no answer.
            let _ = done.send(replies.into_iter().flatten().collect());
        }
    }
}

/// Something for the shard to do in a batch.
#[derive(Debug)]
pub(crate) enum Work {
    One(Box<Command>, Sink),
    Many(Vec<Command>, oneshot::Sender<Vec<Reply>>),
    /// Delete rows that are still as they were read.
    Forget(Vec<(RowKey, Bytes)>),
}

/// Work with the time at which it was handed in.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) work: Work,
    pub(crate) since: Duration,
}

/// A read of what is in memory.
#[derive(Debug)]
pub(crate) enum Read {
    Get(RowKey, oneshot::Sender<Option<Option<Bytes>>>),
    Changed {
        from: Bound<Bytes>,
        to: Bound<Bytes>,
        limit: usize,
        reply: oneshot::Sender<(Changes, bool)>,
    },
    /// Flush what has changed so far, go on, and say whether that is done.
    Flush(oneshot::Sender<bool>),
    /// Finish what has queued, flush, stop, and say when that is done; end the journal if it shall be sealed.
    Close {
        seal: bool,
        reply: oneshot::Sender<Result<(), Error>>,
    },
}

/// The receiving ends.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) messages: mpsc::Receiver<Queued>,
    pub(crate) steps: mpsc::Receiver<Queued>,
    pub(crate) creates: mpsc::Receiver<Queued>,
    pub(crate) reads: mpsc::Receiver<Read>,
    /// The shard is not its own any more, as its store says.
    pub(crate) lost: mpsc::Receiver<ordermill_store::Error>,
}

/// What a shard tells of itself.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    /// How long commands have waited lately, microseconds.
    pub(crate) queue_delay_us: AtomicU64,
    pub(crate) epoch: AtomicU64,
    pub(crate) checkpoint: AtomicU64,
    pub(crate) commands: AtomicU64,
    pub(crate) unflushed_bytes: AtomicU64,
}

/// How a shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// The number of the record with which this owner began, or the last one before it began.
    pub epoch: u64,
    /// Records up to here are contained in the flushed rows.
    pub checkpoint: u64,
    /// Commands that were applied by this owner.
    pub commands: u64,
    /// Bytes of changed rows that are not flushed.
    pub unflushed_bytes: u64,
}

/// Committed rows in key order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Keys and values.
    pub rows: Vec<(Bytes, Bytes)>,
    /// Where to go on (after this key); `None` at the end of the range. There may be more even
    /// when there are no rows.
    pub next: Option<Bytes>,
}

/// The way into one shard; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    id: ShardId,
    range: SlotRange,
    clock: clock::Shared,
    store: Arc<dyn Store>,
    messages: mpsc::Sender<Queued>,
    steps: mpsc::Sender<Queued>,
    creates: mpsc::Sender<Queued>,
    reads: mpsc::Sender<Read>,
    proofs: Option<Proofs>,
    gauges: Arc<Gauges>,
    committed: watch::Receiver<u64>,
}

impl Handle {
    pub(crate) fn new(
        id: ShardId,
        range: SlotRange,
        clock: clock::Shared,
        store: Arc<dyn Store>,
        committed: watch::Receiver<u64>,
        (lost, lost_in): (Lost, mpsc::Receiver<ordermill_store::Error>),
    ) -> (Self, Lanes) {
        let (messages, messages_in) = mpsc::channel(limits::MAILBOX_MESSAGES);
        let (steps, steps_in) = mpsc::channel(limits::MAILBOX);
        let (creates, creates_in) = mpsc::channel(limits::MAILBOX);
        let (reads, reads_in) = mpsc::channel(limits::MAILBOX);
        let gauges = Arc::default();
        let proofs = store.is_shared().then(|| Proofs::of(store.clone(), id, lost));
        let handle = Self { id, range, clock, store, messages, steps, creates, reads, proofs, gauges, committed };
        (handle, Lanes { messages: messages_in, steps: steps_in, creates: creates_in, reads: reads_in, lost: lost_in })
    }

    /// The same for tests that leave proofs out.
    pub(crate) fn without_proofs(self) -> Self {
        Self { proofs: None, ..self }
    }

    pub(crate) fn gauges(&self) -> Arc<Gauges> {
        self.gauges.clone()
    }

    /// The shard's identity.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// The shard's slots.
    pub fn range(&self) -> SlotRange {
        self.range
    }

    /// How long commands have waited lately before the shard took them.
    pub fn queue_delay(&self) -> Duration {
        Duration::from_micros(self.gauges.queue_delay_us.load(Ordering::Relaxed))
    }

    /// How the shard is, as of lately.
    pub fn vitals(&self) -> Vitals {
        let told = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        Vitals {
            epoch: told(&self.gauges.epoch),
            checkpoint: told(&self.gauges.checkpoint),
            commands: told(&self.gauges.commands),
            unflushed_bytes: told(&self.gauges.unflushed_bytes),
        }
    }

    /// The number of the last committed record.
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.committed.clone()
    }

    fn queued(&self, work: Work) -> Queued {
        Queued { work, since: self.clock.elapsed() }
    }

    /// Hands a command in; refuses when the lane is full.
    pub fn submit(&self, command: Command) -> Result<Pending<Reply>, Error> {
        let (reply, pending) = oneshot::channel();
        let create = matches!(command.action, ordermill_order::Action::Create(_) | ordermill_order::Action::Credit(_));
        let lane = if create { &self.creates } else { &self.steps };
        let work = self.queued(Work::One(Box::new(command), Sink::One(reply)));
        lane.try_send(work).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::NotServed,
        })?;
        Ok(pending)
    }

    /// Hands many commands in, to be applied in their order; waits for room.
    pub async fn submit_many(&self, commands: Vec<Command>) -> Result<Pending<Vec<Reply>>, Error> {
        let (reply, pending) = oneshot::channel();
        let work = self.queued(Work::Many(commands, reply));
        self.creates.send(work).await.map_err(|_| Error::NotServed)?;
        Ok(pending)
    }

    /// Applies a command and waits for its record to be durable.
    pub async fn call(&self, command: Command) -> Reply {
        match self.submit(command) {
            Ok(pending) => pending.await.unwrap_or_else(|_| Reply::failed(Error::NotServed)),
            Err(error) => Reply::failed(error),
        }
    }

    /// Hands in a message of another shard; it is lost when there is no room, and sent again later.
    pub fn post(&self, mail: Mail) {
        let command = Command { tenant: mail.tenant.clone(), idempotency: None, action: mail.action.clone() };
        let _ = self.messages.try_send(self.queued(Work::One(Box::new(command), Sink::Mail(mail))));
    }

    /// Whether the shard has stopped.
    pub fn is_closed(&self) -> bool {
        self.reads.is_closed()
    }

    pub(crate) async fn post_own(&self, work: Work) {
        let _ = self.messages.send(self.queued(work)).await;
    }

    /// Reads a committed row, linearizably: of the state at the call, or a later one.
    pub async fn get(&self, key: RowKey) -> Result<Option<Bytes>, Error> {
        let proof = self.proof();
        let (reply, pending) = oneshot::channel();
        self.reads.send(Read::Get(key.clone(), reply)).await.map_err(|_| Error::NotServed)?;
        let row = match pending.await.map_err(|_| Error::NotServed)? {
            Some(row) => row,
            None => {
                let mut rows = self.store.get(&[key.to_bytes()]).await.map_err(|error| from_store(&error))?;
                rows.pop().flatten()
            }
        };
        proof.await?;
        Ok(row)
    }

    /// That what is read after this call is the shard's state at the call or later. Begins at once.
    fn proof(&self) -> impl Future<Output = Result<(), Error>> + use<> {
        let proof = self.proofs.as_ref().map(Proofs::begin);
        let reads = self.reads.clone();
        async move {
            match proof {
                Some(proof) => proof.await?,
                None => return Ok(()),
            }
            // This process may have taken the shard over anew meanwhile: what is proven then is not what was read.
            if reads.is_closed() { Err(Error::NotServed) } else { Ok(()) }
        }
    }

    /// Reads committed rows in key order, at most `limit`. Rows that change while the page is read
    /// may be seen before or after their change.
    pub async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Scan, Error> {
        let proof = self.proof();
        let page = self.look(from, to, limit).await?;
        proof.await?;
        Ok(page)
    }

    /// The same as far as this process knows: enough for whoever goes on to hand in a command.
    pub(crate) async fn look(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Scan, Error> {
        let (reply, pending) = oneshot::channel();
        let read = Read::Changed { from: from.clone(), to: to.clone(), limit, reply };
        self.reads.send(read).await.map_err(|_| Error::NotServed)?;
        let (changed, more_changed) = pending.await.map_err(|_| Error::NotServed)?;
        let stored = self.store.scan(from, to, limit).await.map_err(|error| from_store(&error))?;
        Ok(merge(changed, more_changed, stored, limit))
    }

    /// Flushes what has changed so far while the shard goes on; says whether it could be.
    pub async fn flush(&self) -> Result<bool, Error> {
        let (reply, pending) = oneshot::channel();
        self.reads.send(Read::Flush(reply)).await.map_err(|_| Error::NotServed)?;
        pending.await.map_err(|_| Error::NotServed)
    }

    /// Lets the shard finish what has queued, flush and stop.
    pub async fn close(&self) -> Result<(), Error> {
        self.stop(false).await
    }

    /// The same, and ends its journal for good. Its service says how that went.
    pub async fn seal(&self) {
        // What the caller wants to know is what the service ends with.
        let _ = self.stop(true).await;
    }

    async fn stop(&self, seal: bool) -> Result<(), Error> {
        let (reply, pending) = oneshot::channel();
        self.reads.send(Read::Close { seal, reply }).await.map_err(|_| Error::NotServed)?;
        pending.await.map_err(|_| Error::NotServed)?
    }
}

/// Lays changed rows over a page of stored ones. Where one of the two was cut short, nothing after
/// its last key is told.
pub(crate) fn merge(changed: Changes, more_changed: bool, stored: Page, limit: usize) -> Scan {
    let ends = [
        changed.keys().next_back().filter(|_| more_changed).cloned(),
        stored.rows.last().filter(|_| stored.more).map(|(key, _)| key.clone()),
    ];
    let end = ends.into_iter().flatten().min();
    let mut rows: BTreeMap<Bytes, Option<Bytes>> =
        stored.rows.into_iter().map(|(key, value)| (key, Some(value))).collect();
    rows.extend(changed);
    if let Some(end) = &end {
        rows.retain(|key, _| key <= end);
    }
    let mut rows: Vec<_> = rows.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    let mut next = end;
    if rows.len() > limit {
        rows.truncate(limit);
        next = rows.last().map(|(key, _)| key.clone());
    }
    Scan { rows, next }
}

pub(crate) fn from_store(error: &ordermill_store::Error) -> Error {
    match error {
        ordermill_store::Error::Full(text) => Error::Full(text.clone()),
        ordermill_store::Error::Fenced(_) | ordermill_store::Error::Sealed(_) => Error::NotServed,
        ordermill_store::Error::Unknown(text) => Error::Unknown(text.clone()),
        other => Error::Unavailable(other.to_string()),
    }
}
