//! Batches: what has queued is gathered, its rows are read, its commands are applied in turn, and
//! what has changed becomes a record.
//!
//! One record is appended at a time. Bulk work does not wait for that: while one record is being
//! appended, the rows of the next full batch are read and its commands applied, on top of what the
//! first will have changed. Nothing of the second counts, or is answered, before the first is
//! durable; if that fails, so does the second.

use ordermill_journal::Record;
use ordermill_order::{Action, Outcome, Refusal};
use ordermill_station::limits;
use ordermill_store::Error as StoreError;
use ordermill_store::keys::RowKey;

use crate::batch::{Batch, Closed};
use crate::handle::Sink;
use crate::planted::Planted;
use crate::rows::{decoded, hints};
use crate::state::Found;
use crate::task::{Appending, Service};

/// A batch whose commands are applied; nobody knows of it yet.
pub(crate) struct Built {
    /// None when nothing has changed.
    closed: Option<Closed>,
    answers: Vec<(Sink, Result<Outcome, Refusal>)>,
    began: std::time::Duration,
}

impl Service {
    /// Takes what has queued: messages first, then steps, then creates, up to a batch behind the first
    /// `skip` commands of the backlog. Says how many commands make that batch, and whether it is full.
    fn gather(&mut self, skip: usize) -> (usize, bool) {
        let (mut count, mut bytes) = (0, 0);
        loop {
            for waiting in self.backlog.iter().skip(skip + count) {
                if bytes >= limits::BATCH_BYTES || count == limits::BATCH_COMMANDS {
                    return (count, true);
                }
                bytes += weight(&waiting.command.action);
                count += 1;
            }
            let room = self.has_room();
            let queued = self.lanes.messages.try_recv().or_else(|_| self.lanes.steps.try_recv());
            let queued = queued.or_else(|error| if room { self.lanes.creates.try_recv() } else { Err(error) });
            match queued {
                Ok(queued) => self.enqueue(queued),
                Err(_) => return (count, false),
            }
        }
    }

    /// Begins to append the next record, if there is anything to write; what changes nothing is answered at
    /// once where nobody else can write, and else once it is proven that nobody has. No append is under way.
    pub(crate) async fn next_append(&mut self) -> Result<Option<Appending>, StoreError> {
        loop {
            let built = match self.built.take() {
                Some(built) => built,
                None => {
                    let (most, _) = self.gather(0);
                    if most == 0 && self.forgotten.is_empty() {
                        return Ok(None);
                    }
                    self.build(most).await?
                }
            };
            let Built { closed, mut answers, began } = built;
            let Some(closed) = closed else {
                let unheard = answers.iter().all(|(sink, _)| matches!(sink, Sink::None));
                if unheard || !self.store.is_shared() || self.config.leaves_out(Planted::ReadWithoutProof) {
                    self.answer(answers);
                    continue;
                }
                // A refusal tells of the state too: whoever has lost the shard must not tell an old one.
                let (store, id) = (self.store.clone(), self.config.id);
                let done = Box::pin(async move { store.prove(id).await });
                return Ok(Some(Appending { closed: None, answers, began, done }));
            };
            let (store, id, number, bytes) =
                (self.store.clone(), self.config.id, self.number + 1, closed.bytes.clone());
            if self.config.leaves_out(Planted::AcknowledgeEarly) {
                self.answer(std::mem::take(&mut answers));
            }
            let early = self.config.leaves_out(Planted::FlushEarly).then(|| {
                let mut rows: Vec<_> =
                    closed.changes.iter().map(|(key, value)| (key.to_bytes(), value.clone())).collect();
                rows.sort();
                rows
            });
            let done = Box::pin(async move {
                if let Some(rows) = early {
                    store.flush(id, rows, number - 1).await?;
                }
                store.append(id, number, bytes).await
            });
            return Ok(Some(Appending { closed: Some(closed), answers, began, done }));
        }
    }

    /// While an append is under way: reads the rows of the next batch, then builds it, if a full one
    /// waits.
    pub(crate) async fn work_ahead(&mut self) -> Result<(), StoreError> {
        if self.built.is_some() || self.ahead.is_reading() {
            return Ok(());
        }
        let (most, full) = self.gather(0);
        if !full || self.credit_is_next() {
            return Ok(());
        }
        self.read_ahead(most);
        if !self.ahead.is_reading() {
            self.built = Some(self.build(most).await?);
        }
        Ok(())
    }

    /// Begins to read the rows of the first `count` commands of the backlog that are not in memory.
    fn read_ahead(&mut self, count: usize) {
        let first = self.ahead.commands();
        if first >= count || self.ahead.is_reading() {
            return;
        }
        let mut keys = self.wanted(first, count);
        keys.retain(|key| self.batch.get(key).is_none() && matches!(self.committed.get(key), Found::Elsewhere));
        keys.sort_unstable();
        keys.dedup();
        let (store, bytes) = (self.store.clone(), keys.iter().map(RowKey::to_bytes).collect::<Vec<_>>());
        self.ahead.begin(count, keys, async move { store.get(&bytes).await });
    }

    /// A credit looks at the customer's committed orders: none may be in a batch that is not.
    fn credit_is_next(&self) -> bool {
        self.backlog.front().is_some_and(|waiting| matches!(waiting.command.action, Action::Credit(_)))
    }

    /// Applies the next commands of the backlog, at most `most`.
    async fn build(&mut self, most: usize) -> Result<Built, StoreError> {
        let began = self.clock.elapsed();
        self.ahead.arrive().await;
        let (next, full) = if self.bulk { self.gather(most) } else { (0, false) };
        if full {
            self.read_ahead(most + next);
        }
        let mut batch = std::mem::take(&mut self.batch);
        self.fetch(&mut batch, &mut self.wanted(0, most)).await?;
        self.forget(&mut batch).await?;
        let time_ms = self.last_ms.max(self.clock.now_ms());
        let mut answers = Vec::with_capacity(most);
        let mut placed = false;
        while batch.bytes() < limits::BATCH_BYTES && answers.len() < most {
            if self.credit_is_next() && (placed || self.appending) {
                break;
            }
            let Some(mut waiting) = self.backlog.pop_front() else { break };
            placed |= matches!(waiting.command.action, Action::Create(_));
            let result = self.apply(&mut batch, &mut waiting.command, time_ms).await?;
            answers.push((waiting.sink, result));
        }
        self.ahead.left(answers.len());
        self.order_station.called(answers.len() as u64);
        self.order_station.took(self.clock.elapsed().saturating_sub(began));
        let closed = if batch.is_clean() {
            batch.clear();
            None
        } else {
            self.last_ms = time_ms;
            self.format = self.format.max(self.config.formats.store());
            if self.config.leaves_out(Planted::NewestFormat) {
                self.format = self.config.formats.newest();
            }
            let (format, sequence, incarnation) = (self.format, self.sequence, self.config.incarnation);
            Some(batch.close(&Record { format, time_ms, sequence, incarnation, ..Record::default() }))
        };
        self.batch = batch;
        Ok(Built { closed, answers, began })
    }

    /// The answers of a batch that was built on a record that was not appended.
    pub(crate) fn give_up_built(&mut self) -> Vec<(Sink, Result<Outcome, Refusal>)> {
        self.ahead.clear();
        self.batch.give_up();
        self.built.take().map_or_else(Vec::new, |built| built.answers)
    }

    /// What the commands of the backlog from place `first` up to place `end` are sure to read.
    fn wanted(&self, first: usize, end: usize) -> Vec<RowKey> {
        let mut wanted = Vec::with_capacity((end - first) * 4);
        for waiting in self.backlog.iter().take(end).skip(first) {
            hints(self.keys, self.config.range, &waiting.command, &mut wanted);
        }
        wanted
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
}

/// About how many bytes a command adds to a record.
fn weight(action: &Action) -> usize {
    match action {
        Action::Create(new) => 150 + new.lines.len() * 45,
        Action::Step { .. } | Action::Credit(_) => 500,
        _ => 200,
    }
}
