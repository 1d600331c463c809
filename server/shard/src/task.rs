//! The task of a shard: one batch after another, reads in between.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ordermill_delivery::{Mail, Outstanding, Peers};
use ordermill_order::{Action, Command, Context, Halt, Order, OrderId, Outcome, Refusal, Reservation, SlotRange, apply};
use ordermill_station::measure::Station;
use ordermill_station::{clock, limits};
use ordermill_store::{Error as StoreError, ShardId, Store, keys};
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot, watch};

use crate::Keys;
use crate::batch::{Batch, Closed};
use crate::handle::{Collector, Error, Gauges, Handle, Lanes, Queued, Read, Reply, Sink, Work, from_store, merge};
use crate::keys::order_of;
use crate::rows::{View, decoded, hints, hints_of_order};
use crate::state::{Committed, Found};
use crate::sweep::Attendant;

/// What a shard needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The cluster: the first part of every key.
    pub cluster: u32,
    /// The shard.
    pub id: ShardId,
    /// Its slots.
    pub range: SlotRange,
    /// Names this run of the owner.
    pub incarnation: u64,
    /// Bytes of clean rows kept in memory.
    pub cache_bytes: u64,
    /// Bytes of changed rows at which a flush begins.
    pub flush_bytes: usize,
    /// Longest time a changed row waits for a flush.
    pub flush_interval: Duration,
    /// How long journal records stay after the checkpoint.
    pub journal_retention: Duration,
    /// How long an idempotency key is remembered.
    pub idempotency_retention: Duration,
}

/// A command that waits for its batch.
struct Waiting {
    command: Command,
    sink: Sink,
}

/// A batch whose record is being appended.
struct Appending {
    closed: Closed,
    answers: Vec<(Sink, Result<Outcome, Refusal>)>,
    began: Duration,
    done: BoxFuture<'static, Result<(), StoreError>>,
}

/// A shard before it runs.
pub struct Service {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) store: Arc<dyn Store>,
    clock: clock::Shared,
    peers: Arc<dyn Peers>,
    lanes: Lanes,
    handle: Handle,
    gauges: Arc<Gauges>,
    committed_number: watch::Sender<u64>,
    pub(crate) committed: Committed,
    pub(crate) outstanding: Outstanding,
    /// The last committed record.
    pub(crate) number: u64,
    /// The shard's time, milliseconds since the Unix epoch.
    pub(crate) last_ms: u64,
    /// The number of the next order.
    pub(crate) sequence: u64,
    backlog: VecDeque<Waiting>,
    /// Rows that may be deleted if they are still as they were read.
    forgotten: Vec<(Bytes, Bytes)>,
    settling: FxHashMap<OrderId, Vec<oneshot::Sender<Arc<Order>>>>,
    flushes: (mpsc::Sender<Flushed>, mpsc::Receiver<Flushed>),
    last_flush: Duration,
    /// Checkpoints and when they were taken, for trimming.
    checkpoints: VecDeque<(u64, Duration)>,
    closing: Option<oneshot::Sender<Result<(), Error>>>,
    /// The last flush before closing has failed.
    unflushed: bool,
    shard_station: Station,
    order_station: Station,
}

/// A flush that has ended.
struct Flushed {
    checkpoint: u64,
    result: Result<(), StoreError>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Service {
    /// A shard and the way into it.
    pub fn new(config: Config, store: Arc<dyn Store>, clock: clock::Shared, peers: Arc<dyn Peers>) -> (Handle, Self) {
        let (committed_number, number) = watch::channel(0);
        let (handle, lanes) = Handle::new(
            config.id,
            config.range,
            clock.clone(),
            store.clone(),
            number,
            limits::MAILBOX,
            limits::MAILBOX_MESSAGES,
        );
        let service = Self {
            keys: Keys { cluster: config.cluster },
            gauges: handle.gauges(),
            committed: Committed::new(config.cache_bytes),
            last_flush: clock.elapsed(),
            store,
            clock,
            peers,
            lanes,
            handle: handle.clone(),
            committed_number,
            outstanding: Outstanding::default(),
            number: 0,
            last_ms: 0,
            sequence: 1,
            backlog: VecDeque::new(),
            forgotten: Vec::new(),
            settling: FxHashMap::default(),
            flushes: mpsc::channel(1),
            checkpoints: VecDeque::new(),
            closing: None,
            unflushed: false,
            shard_station: Station::new("shard"),
            order_station: Station::new("order"),
            config,
        };
        (handle, service)
    }

    /// Recovers, says so, and serves until it is closed or its store fails for good.
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
            next_slot: 0,
        };
        let attendant = tokio::spawn(attendant.run());
        let _ = ready.send(Ok(()));
        let result = self.serve().await;
        attendant.abort();
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
            let room = idle && self.has_room();
            tokio::select! {
                biased;
                result = appended(&mut appending), if !idle => {
                    let done = appending.take().expect("a batch was being appended");
                    self.finish(done, result)?;
                }
                Some(flushed) = self.flushes.1.recv() => self.flushed(flushed).await,
                Some(read) = self.lanes.reads.recv() => self.read(read),
                Some(queued) = self.lanes.messages.recv(), if idle => self.enqueue(queued),
                Some(queued) = self.lanes.steps.recv(), if idle => self.enqueue(queued),
                Some(queued) = self.lanes.creates.recv(), if room => self.enqueue(queued),
                _ = ticks.tick() => self.tick(),
            }
            if appending.is_none() {
                appending = self.next_batch().await?;
            }
            self.flush_if_due();
            if self.closing.is_some() && appending.is_none() && self.is_finished() {
                return Ok(());
            }
        }
    }

    /// Whether creates may be taken: what waits for a flush, or for other shards, is bounded.
    fn has_room(&self) -> bool {
        self.committed.dirty_bytes() < self.config.flush_bytes * limits::FLUSH_BACKLOG_FACTOR
            && self.outstanding.len() < limits::OUTBOX_ROWS
    }

    /// When closing: nothing queued, everything flushed.
    fn is_finished(&mut self) -> bool {
        let queued = !self.backlog.is_empty()
            || !self.lanes.messages.is_empty()
            || !self.lanes.steps.is_empty()
            || !self.lanes.creates.is_empty();
        !queued && !self.committed.is_flushing() && (self.unflushed || self.committed.dirty_bytes() == 0)
    }

    fn enqueue(&mut self, Queued { work, since }: Queued) {
        let waited = self.clock.elapsed().saturating_sub(since);
        self.shard_station.waited(waited);
        self.gauges.queue_delay_us.store(waited.as_micros() as u64, Ordering::Relaxed);
        match work {
            Work::One(command, sink) => self.backlog.push_back(Waiting { command: *command, sink }),
            Work::Many(commands, done) => {
                let all = Collector::new(commands.len(), done);
                let one = |(index, command)| Waiting { command, sink: Sink::Part(all.clone(), index) };
                self.backlog.extend(commands.into_iter().enumerate().map(one));
            }
            // Deleted with the next batch.
            Work::Forget(rows) => self.forgotten.extend(rows),
        }
    }

    /// Takes what has queued: messages first, then steps, then creates, up to a batch.
    fn gather(&mut self) {
        let mut bytes: usize = self.backlog.iter().take(limits::BATCH_COMMANDS).map(|w| weight(&w.command)).sum();
        loop {
            let before = self.backlog.len();
            if before >= limits::BATCH_COMMANDS || bytes >= limits::BATCH_BYTES {
                return;
            }
            let room = self.has_room();
            let queued = self.lanes.messages.try_recv().or_else(|_| self.lanes.steps.try_recv());
            let queued = queued.or_else(|error| if room { self.lanes.creates.try_recv() } else { Err(error) });
            match queued {
                Ok(queued) => self.enqueue(queued),
                Err(_) => return,
            }
            bytes += self.backlog.iter().skip(before).map(|waiting| weight(&waiting.command)).sum::<usize>();
        }
    }

    /// Applies what has queued and begins to append its record; answers at once what changes
    /// nothing.
    async fn next_batch(&mut self) -> Result<Option<Appending>, StoreError> {
        loop {
            self.gather();
            if self.backlog.is_empty() && self.forgotten.is_empty() {
                return Ok(None);
            }
            let began = self.clock.elapsed();
            let mut batch = Batch::default();
            self.prefetch(&mut batch).await?;
            self.forget(&mut batch).await?;
            let time_ms = self.last_ms.max(self.clock.now_ms());
            let mut answers = Vec::with_capacity(self.backlog.len().min(limits::BATCH_COMMANDS));
            let mut placed = false;
            while batch.bytes() < limits::BATCH_BYTES && answers.len() < limits::BATCH_COMMANDS {
                // A credit looks at the customer's committed orders: none may be in this batch.
                let credit = |waiting: &Waiting| matches!(waiting.command.action, Action::Credit(_));
                if placed && self.backlog.front().is_some_and(credit) {
                    break;
                }
                let Some(mut waiting) = self.backlog.pop_front() else { break };
                placed |= matches!(waiting.command.action, Action::Create(_));
                let result = self.apply(&mut batch, &mut waiting.command, time_ms).await?;
                answers.push((waiting.sink, result));
            }
            let took = self.clock.elapsed().saturating_sub(began);
            self.order_station.called(answers.len() as u64);
            self.order_station.took(took);
            if batch.is_clean() {
                self.answer(answers);
                continue;
            }
            self.last_ms = time_ms;
            let closed = batch.close(time_ms, self.sequence, self.config.incarnation);
            let (store, id, number, bytes) = (self.store.clone(), self.config.id, self.number + 1, closed.bytes.clone());
            let done = Box::pin(async move { store.append(id, number, bytes).await });
            return Ok(Some(Appending { closed, answers, began, done }));
        }
    }

    async fn apply(
        &mut self,
        batch: &mut Batch,
        command: &mut Command,
        time_ms: u64,
    ) -> Result<Result<Outcome, Refusal>, StoreError> {
        let tenant = command.tenant.clone();
        if let Action::Credit(credit) = &mut command.action
            && credit.customer.is_some()
        {
            credit.candidates = self.orders_of(&tenant, credit.partition).await?;
        }
        let mut wanted = Vec::new();
        loop {
            batch.begin();
            let mut view = View {
                keys: self.keys,
                tenant: &tenant,
                batch,
                committed: &mut self.committed,
                outstanding: &self.outstanding,
                wanted: &mut wanted,
            };
            let mut context = Context {
                now_ms: time_ms,
                range: self.config.range,
                sequence: &mut self.sequence,
                idempotency_ms: self.config.idempotency_retention.as_millis() as u64,
                fill_steps: limits::FILL_STEPS,
            };
            match apply(&mut view, &mut context, command) {
                Ok(outcome) => return Ok(Ok(outcome)),
                Err(Halt::Refused(refusal)) => {
                    batch.roll_back();
                    return Ok(Err(refusal));
                }
                Err(Halt::Missing) => {
                    batch.roll_back();
                    self.hint_order(batch, command, &mut wanted);
                    self.fetch(batch, &mut wanted).await?;
                }
            }
        }
    }

    /// Once the order of a step is known, everything that the step may read is.
    fn hint_order(&self, batch: &Batch, command: &Command, wanted: &mut Vec<Bytes>) {
        let id = match &command.action {
            Action::Step { id, .. } => *id,
            Action::Report(report) => report.order,
            _ => return,
        };
        let key = self.keys.order(&command.tenant, id);
        if let Some(Some(crate::Row::Order(order))) = batch.get(&key) {
            hints_of_order(self.keys, self.config.range, &command.tenant, order, wanted);
        }
    }

    async fn prefetch(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let mut wanted = Vec::with_capacity(self.backlog.len() * 4);
        for waiting in self.backlog.iter().take(limits::BATCH_COMMANDS) {
            hints(self.keys, self.config.range, &waiting.command, &mut wanted);
        }
        self.fetch(batch, &mut wanted).await
    }

    /// Puts rows into the batch: from memory, and what is not there from the store in one call.
    async fn fetch(&mut self, batch: &mut Batch, wanted: &mut Vec<Bytes>) -> Result<(), StoreError> {
        let mut elsewhere = Vec::new();
        for key in wanted.drain(..) {
            if batch.get(&key).is_some() {
                continue;
            }
            match self.committed.get(&key) {
                Found::Row(value) => {
                    let row = decoded(&key, &value);
                    batch.load(key, Some(row));
                }
                Found::Deleted => batch.load(key, None),
                Found::Elsewhere => elsewhere.push(key),
            }
        }
        if elsewhere.is_empty() {
            return Ok(());
        }
        elsewhere.sort_unstable();
        elsewhere.dedup();
        let values = self.get_stored(&elsewhere).await?;
        for (key, value) in elsewhere.into_iter().zip(values) {
            let row = value.as_ref().map(|value| decoded(&key, value));
            if let Some(value) = value {
                self.committed.keep(key.clone(), value);
            }
            batch.load(key, row);
        }
        Ok(())
    }

    /// Reads rows, again and again while the store is only unavailable.
    async fn get_stored(&self, wanted: &[Bytes]) -> Result<Vec<Option<Bytes>>, StoreError> {
        loop {
            match self.store.get(wanted).await {
                Err(StoreError::Unavailable(why)) => {
                    tracing::warn!(shard = %self.config.id, why, "rows cannot be read; trying again");
                    tokio::time::sleep(limits::TICK).await;
                }
                result => return result,
            }
        }
    }

    /// A customer's orders, newest first.
    async fn orders_of(&self, tenant: &str, partition: ordermill_order::Partition) -> Result<Vec<OrderId>, StoreError> {
        let prefix = self.keys.orders_of(tenant, partition);
        let to = keys::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let mut from = Bound::Included(prefix);
        let mut orders = VecDeque::new();
        loop {
            let (changed, more) = self.committed.changed(from.clone(), to.clone(), limits::PAGE_MAX);
            let stored = self.store.scan(from, to.clone(), limits::PAGE_MAX).await?;
            let page = merge(changed, more, stored, limits::PAGE_MAX);
            for (key, _) in page.rows {
                orders.extend(keys::decode(&key).as_ref().and_then(order_of));
                if orders.len() > limits::CREDIT_ORDERS {
                    orders.pop_front();
                }
            }
            match page.next {
                Some(next) => from = Bound::Excluded(next),
                None => return Ok(orders.into_iter().rev().collect()),
            }
        }
    }

    /// Deletes rows that may be forgotten, if they are still as they were read.
    async fn forget(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        let rows = std::mem::take(&mut self.forgotten);
        let mut wanted = rows.iter().map(|(key, _)| key.clone()).collect();
        self.fetch(batch, &mut wanted).await?;
        for (key, value) in rows {
            let then = decoded(&key, &value);
            if batch.get(&key) == Some(Some(&then)) {
                batch.begin();
                batch.put(key, None);
            }
        }
        Ok(())
    }

    fn finish(&mut self, done: Appending, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Appending { closed, answers, began, .. } = done;
        if let Err(error) = result {
            self.shard_station.failed(error.kind());
            tracing::warn!(shard = %self.config.id, %error, "a record was not appended");
            let failure = from_store(&error);
            for (sink, _) in answers {
                reply(sink, Reply::failed(failure.clone()));
            }
            return match error {
                StoreError::Full(_) | StoreError::Unavailable(_) => Ok(()),
                error => Err(error),
            };
        }
        self.number += 1;
        self.committed.commit(closed.changes);
        for key in &closed.removed {
            self.outstanding.answered(key);
        }
        let now = self.clock.elapsed();
        for (key, entry) in closed.sent {
            if !closed.removed.contains(&key) {
                self.peers.deliver(self.outstanding.sent(key, entry, now));
            }
        }
        self.committed_number.send_replace(self.number);
        self.shard_station.called(answers.len() as u64);
        self.shard_station.took(now.saturating_sub(began));
        self.answer(answers);
        for (id, order) in closed.decided {
            for waiting in self.settling.remove(&id).into_iter().flatten() {
                let _ = waiting.send(order.clone());
            }
        }
        Ok(())
    }

    fn answer(&mut self, answers: Vec<(Sink, Result<Outcome, Refusal>)>) {
        for (sink, result) in answers {
            match sink {
                Sink::Mail(mail) => {
                    if let Some(answer) = answer_to(mail, result) {
                        self.peers.deliver(answer);
                    }
                }
                sink => {
                    let settled = match &result {
                        Ok(Outcome::Order { order, .. }) if order.reservation == Reservation::Undecided => {
                            let (sender, receiver) = oneshot::channel();
                            self.settling.entry(order.id).or_default().push(sender);
                            Some(receiver)
                        }
                        _ => None,
                    };
                    reply(sink, Reply { outcome: result.map_err(Error::from), settled });
                }
            }
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
            Read::Close(reply) => self.closing = Some(reply),
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

    fn flush_if_due(&mut self) {
        let now = self.clock.elapsed();
        let due = self.committed.dirty_bytes() >= self.config.flush_bytes
            || now.saturating_sub(self.last_flush) >= self.config.flush_interval
            || (self.closing.is_some() && !self.unflushed);
        if !due || self.committed.is_flushing() {
            return;
        }
        let Some(rows) = self.committed.begin_flush() else { return };
        self.last_flush = now;
        let (store, id, checkpoint) = (self.store.clone(), self.config.id, self.number);
        let ended = self.flushes.0.clone();
        tokio::spawn(async move {
            let rows = rows.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
            let result = store.flush(id, rows, checkpoint).await;
            // A shard that has stopped needs no word of it.
            let _ = ended.send(Flushed { checkpoint, result }).await;
        });
    }

    async fn flushed(&mut self, Flushed { checkpoint, result }: Flushed) {
        let now = self.clock.elapsed();
        self.committed.end_flush(result.is_ok());
        match result {
            Ok(()) => {
                self.checkpoints.push_back((checkpoint, now));
                let mut trim = None;
                while let Some(&(number, at)) = self.checkpoints.front()
                    && now.saturating_sub(at) >= self.config.journal_retention
                {
                    trim = Some(number);
                    self.checkpoints.pop_front();
                }
                // The last record stays: time and sequence go on from it.
                if let Some(through) = trim.map(|number| number.min(self.number.saturating_sub(1)))
                    && through > 0
                    && let Err(error) = self.store.trim(self.config.id, through).await
                {
                    tracing::warn!(shard = %self.config.id, %error, "old records were not trimmed");
                }
            }
            Err(error) => {
                self.shard_station.failed(error.kind());
                tracing::warn!(shard = %self.config.id, %error, "changed rows were not flushed; trying again");
                self.last_flush = now;
                // The journal has them: a shard that is closing leaves them to recovery.
                self.unflushed = self.closing.is_some();
            }
        }
    }
}

/// About how many bytes a command adds to a record.
fn weight(command: &Command) -> usize {
    match &command.action {
        Action::Create(new) => 250 + new.lines.len() * 100,
        Action::Step { .. } | Action::Credit(_) => 500,
        _ => 200,
    }
}

async fn appended(appending: &mut Option<Appending>) -> Result<(), StoreError> {
    match appending {
        Some(appending) => (&mut appending.done).await,
        None => std::future::pending().await,
    }
}

fn reply(sink: Sink, answer: Reply) {
    match sink {
        // A caller that has gone away needs no answer.
        Sink::One(sender) => drop(sender.send(answer)),
        Sink::Part(all, index) => all.put(index, answer),
        Sink::Mail(_) | Sink::None => {}
    }
}

/// What the sender of mail is to be told.
fn answer_to(mail: Mail, result: Result<Outcome, Refusal>) -> Option<Mail> {
    match (result, mail.action) {
        (Ok(Outcome::Report(report)), _) => {
            Some(Mail { slot: report.order.slot(), tenant: mail.tenant, action: Action::Report(report), note_to: None })
        }
        (Ok(_), Action::Report(report)) => {
            let slot = mail.note_to?;
            let (order, line, revision) = (report.order, report.line, report.revision);
            let action = Action::Noted { slot, order, line, revision };
            Some(Mail { slot, tenant: mail.tenant, action, note_to: None })
        }
        _ => None,
    }
}
