//! One batch: the rows that its commands have read and changed, and the record that comes of it.

use std::sync::Arc;

use bytes::Bytes;
use ordermill_delivery::Entry;
use ordermill_journal::{Event, Record};
use ordermill_order::rows::Event as OrderEvent;
use ordermill_order::{Order, OrderId, Reservation};
use ordermill_store::keys::RowKey;
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::convert::{Row, estimate, status_code};
use crate::encode::Encoder;
use crate::generation::Changed;

/// A row in a batch.
#[derive(Clone, Debug)]
struct Loaded {
    row: Option<Row>,
    /// Place among the changed rows, once it has changed.
    changed: Option<u32>,
}

/// What undoes one change of the command under way.
#[derive(Debug)]
struct Undo {
    key: RowKey,
    before: Option<Loaded>,
}

/// The rows of a batch. Commands are applied one after another; one that is refused leaves nothing.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rows: FxHashMap<RowKey, Loaded>,
    /// Rows as the batch before left them: newer than the committed ones until it is appended, and
    /// the same from then on.
    before: FxHashMap<RowKey, Loaded>,
    changed: Vec<RowKey>,
    events: Vec<(RowKey, Event)>,
    /// Outbox rows written, with what is in them.
    sent: Vec<(RowKey, Entry)>,
    undo: Vec<Undo>,
    mark: Mark,
    bytes: usize,
}

/// How much of a batch was there before the command under way.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    changed: usize,
    events: usize,
    sent: usize,
    bytes: usize,
}

impl Batch {
    /// Begins a command.
    pub(crate) fn begin(&mut self) {
        self.undo.clear();
        self.mark =
            Mark { changed: self.changed.len(), events: self.events.len(), sent: self.sent.len(), bytes: self.bytes };
    }

    /// Takes back what the command under way has done.
    pub(crate) fn roll_back(&mut self) {
        while let Some(Undo { key, before }) = self.undo.pop() {
            match before {
                Some(before) => self.rows.insert(key, before),
                None => self.rows.remove(&key),
            };
        }
        self.changed.truncate(self.mark.changed);
        self.events.truncate(self.mark.events);
        self.sent.truncate(self.mark.sent);
        self.bytes = self.mark.bytes;
    }

    /// A row that is in the batch: `None` when it has not been loaded.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&Row>> {
        self.rows.get(key).or_else(|| self.before.get(key)).map(|loaded| loaded.row.as_ref())
    }

    /// Puts a committed row into the batch.
    pub(crate) fn load(&mut self, key: RowKey, row: Option<Row>) {
        self.rows.entry(key).or_insert(Loaded { row, changed: None });
    }

    /// Changes or deletes a row.
    pub(crate) fn put(&mut self, key: RowKey, row: Option<Row>) {
        let before = self.rows.get(&key).cloned();
        let changed = before.as_ref().and_then(|loaded| loaded.changed);
        if changed.is_none() {
            self.bytes += row.as_ref().map_or(40, estimate);
            self.changed.push(key.clone());
        }
        let changed = changed.or(Some(self.changed.len() as u32 - 1));
        self.rows.insert(key.clone(), Loaded { row, changed });
        self.undo.push(Undo { key, before });
    }

    /// Takes note of an outbox row.
    pub(crate) fn send(&mut self, key: RowKey, entry: Entry) {
        self.sent.push((key, entry));
    }

    /// Takes note of an event about the row `key`.
    pub(crate) fn emit(&mut self, key: RowKey, event: &OrderEvent) {
        let event = match event {
            OrderEvent::Order { version, status, entered, .. } => {
                Event { change: 0, version: *version, status: status_code(*status), entered: *entered }
            }
            OrderEvent::Item { version, .. } => Event { change: 0, version: *version, status: 0, entered: false },
        };
        self.events.push((key, event));
    }

    /// Forgets the batch before, which was not appended.
    pub(crate) fn give_up(&mut self) {
        self.before.clear();
    }

    /// Forgets this batch, and keeps its memory for the next one.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.changed.clear();
        self.events.clear();
        self.sent.clear();
        self.undo.clear();
        self.mark = Mark::default();
        self.bytes = 0;
    }

    /// About how many bytes the record will have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing has changed.
    pub(crate) fn is_clean(&self) -> bool {
        self.changed.is_empty()
    }

    /// Closes the batch: encodes its record, which begins as `head` does, and keeps the rows as parts of the
    /// record's bytes. The next batch begins on top of them.
    pub(crate) fn close(&mut self, head: &Record) -> Closed {
        let mut out = Vec::with_capacity(self.bytes + self.bytes / 4);
        head.encode(&mut out).expect("a growing buffer has room");
        let mut values = Vec::with_capacity(self.changed.len());
        let (mut decided, mut removed) = (Vec::new(), Vec::new());
        let mut encoder = Encoder::default();
        for key in &self.changed {
            let row = self.rows.get(key).and_then(|loaded| loaded.row.as_ref());
            values.push(encoder.put_change(key, row, &mut out));
            match row {
                Some(Row::Order(order)) if order.reservation != Reservation::Undecided => {
                    decided.push((order.id, order.clone()));
                }
                None => removed.push(key.clone()),
                _ => {}
            }
        }
        let place = |key: &RowKey| self.rows.get(key).and_then(|loaded| loaded.changed);
        for (key, event) in &self.events {
            let change = place(key).expect("an event is about a row that has changed");
            prost::encoding::message::encode(6, &Event { change, ..*event }, &mut out);
        }
        let bytes = Bytes::from(out);
        let changes = self.changed.drain(..).zip(values);
        let changes = changes.map(|(key, value)| (key, value.map(|range| bytes.slice(range)))).collect();
        let sent = std::mem::take(&mut self.sent);
        std::mem::swap(&mut self.rows, &mut self.before);
        self.clear();
        Closed { bytes, changes, decided, sent, removed }
    }
}

/// A batch that is ready to be appended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The encoded record.
    pub(crate) bytes: Bytes,
    /// The changed rows.
    pub(crate) changes: Vec<Changed>,
    /// Orders that changed and are decided.
    pub(crate) decided: Vec<(OrderId, Arc<Order>)>,
    /// Outbox rows written.
    pub(crate) sent: Vec<(RowKey, Entry)>,
    /// Rows deleted, outbox rows among them.
    pub(crate) removed: Vec<RowKey>,
}

#[cfg(test)]
mod tests {
    use ordermill_order::Item;

    use super::*;

    fn key(text: &str) -> RowKey {
        text.as_bytes().into()
    }

    fn item(on_hand: u64) -> Option<Row> {
        Some(Row::Item(Item { on_hand, ..Item::default() }))
    }

    #[test]
    fn a_refused_command_leaves_nothing() {
        let mut batch = Batch::default();
        batch.load(key("a"), item(1));
        batch.begin();
        batch.put(key("a"), item(2));
        batch.put(key("b"), item(3));
        batch.begin();
        batch.put(key("a"), item(4));
        batch.put(key("b"), None);
        batch.put(key("c"), item(5));
        batch.roll_back();
        assert_eq!(batch.get(b"a"), Some(item(2).as_ref()));
        assert_eq!(batch.get(b"b"), Some(item(3).as_ref()));
        assert_eq!(batch.get(b"c"), None);
        let closed = batch.close(&Record::default());
        assert_eq!(closed.changes.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn a_row_that_changes_twice_is_in_the_record_once() {
        let mut batch = Batch::default();
        for on_hand in 1..4 {
            batch.begin();
            batch.put(key("a"), item(on_hand));
            batch.emit(key("a"), &OrderEvent::Item { sku: "a".into(), version: on_hand });
        }
        let record = Record::decode(batch.close(&Record::default()).bytes).expect("it was just encoded");
        assert_eq!(record.changes.len(), 1);
        assert_eq!(
            record.events.iter().map(|event| (event.change, event.version)).collect::<Vec<_>>(),
            [(0, 1), (0, 2), (0, 3)]
        );
    }
}
