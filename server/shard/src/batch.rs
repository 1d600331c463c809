//! One batch: the rows that its commands have read and changed, and the record that comes of it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ordermill_delivery::Entry;
use ordermill_journal::{Change, Event, FORMAT, Record};
use ordermill_order::rows::Event as OrderEvent;
use ordermill_order::{Order, OrderId, Reservation};
use prost::Message as _;
use rustc_hash::FxHashMap;

use crate::convert::{Row, encode_row, estimate, status_code};

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
    key: Bytes,
    before: Option<Loaded>,
}

/// The rows of a batch. Commands are applied one after another; one that is refused leaves nothing.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    rows: FxHashMap<Bytes, Loaded>,
    changed: Vec<Bytes>,
    events: Vec<(Bytes, Event)>,
    /// Outbox rows written, with what is in them.
    sent: Vec<(Bytes, Entry)>,
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
        self.rows.get(key).map(|loaded| loaded.row.as_ref())
    }

    /// Puts a committed row into the batch.
    pub(crate) fn load(&mut self, key: Bytes, row: Option<Row>) {
        self.rows.entry(key).or_insert(Loaded { row, changed: None });
    }

    /// Changes or deletes a row.
    pub(crate) fn put(&mut self, key: Bytes, row: Option<Row>) {
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
    pub(crate) fn send(&mut self, key: Bytes, entry: Entry) {
        self.sent.push((key, entry));
    }

    /// Takes note of an event about the row `key`.
    pub(crate) fn emit(&mut self, key: Bytes, event: &OrderEvent) {
        let event = match event {
            OrderEvent::Order { version, status, entered, .. } => {
                Event { change: 0, version: *version, status: status_code(*status), entered: *entered }
            }
            OrderEvent::Item { version, .. } => Event { change: 0, version: *version, status: 0, entered: false },
        };
        self.events.push((key, event));
    }

    /// About how many bytes the record will have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing has changed.
    pub(crate) fn is_clean(&self) -> bool {
        self.changed.is_empty()
    }

    /// Closes the batch.
    pub(crate) fn close(self, time_ms: u64, sequence: u64, incarnation: u64) -> Closed {
        let mut arena = BytesMut::with_capacity(self.bytes + self.bytes / 4);
        let mut changes = Vec::with_capacity(self.changed.len());
        let mut decided = Vec::new();
        let mut removed = Vec::new();
        for key in &self.changed {
            let row = self.rows.get(key).and_then(|loaded| loaded.row.as_ref());
            let value = row.map(|row| {
                encode_row(row, &mut arena);
                arena.split().freeze()
            });
            match row {
                Some(Row::Order(order)) if order.reservation != Reservation::Undecided => {
                    decided.push((order.id, order.clone()));
                }
                None => removed.push(key.clone()),
                _ => {}
            }
            changes.push(Change { key: key.clone(), value });
        }
        let place = |key: &Bytes| self.rows.get(key).and_then(|loaded| loaded.changed);
        let events = self.events.iter().map(|(key, event)| {
            let change = place(key).expect("an event is about a row that has changed");
            Event { change, ..*event }
        });
        let events = events.collect();
        let record = Record { format: FORMAT, time_ms, sequence, incarnation, changes, events };
        let bytes = Bytes::from(record.encode_to_vec());
        Closed { bytes, changes: record.changes, decided, sent: self.sent, removed }
    }
}

/// A batch that is ready to be appended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The encoded record.
    pub(crate) bytes: Bytes,
    /// The changed rows.
    pub(crate) changes: Vec<Change>,
    /// Orders that changed and are decided.
    pub(crate) decided: Vec<(OrderId, Arc<Order>)>,
    /// Outbox rows written.
    pub(crate) sent: Vec<(Bytes, Entry)>,
    /// Rows deleted, outbox rows among them.
    pub(crate) removed: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use ordermill_order::Item;

    use super::*;

    fn item(on_hand: u64) -> Option<Row> {
        Some(Row::Item(Item { on_hand, ..Item::default() }))
    }

    #[test]
    fn a_refused_command_leaves_nothing() {
        let mut batch = Batch::default();
        batch.load("a".into(), item(1));
        batch.begin();
        batch.put("a".into(), item(2));
        batch.put("b".into(), item(3));
        batch.begin();
        batch.put("a".into(), item(4));
        batch.put("b".into(), None);
        batch.put("c".into(), item(5));
        batch.roll_back();
        assert_eq!(batch.get(b"a"), Some(item(2).as_ref()));
        assert_eq!(batch.get(b"b"), Some(item(3).as_ref()));
        assert_eq!(batch.get(b"c"), None);
        let closed = batch.close(1, 0, 0);
        assert_eq!(closed.changes.iter().map(|change| &change.key[..]).collect::<Vec<_>>(), [b"a", b"b"]);
    }

    #[test]
    fn a_row_that_changes_twice_is_in_the_record_once() {
        let mut batch = Batch::default();
        for on_hand in 1..4 {
            batch.begin();
            batch.put("a".into(), item(on_hand));
            batch.emit("a".into(), &OrderEvent::Item { sku: "a".into(), version: on_hand });
        }
        let record = Record::decode(batch.close(1, 0, 0).bytes).expect("it was just encoded");
        assert_eq!(record.changes.len(), 1);
        assert_eq!(
            record.events.iter().map(|event| (event.change, event.version)).collect::<Vec<_>>(),
            [(0, 1), (0, 2), (0, 3)]
        );
    }
}
