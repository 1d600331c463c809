//! The event feed: every shard's journal, read side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use ordermill_journal::{Record, decode};
use ordermill_order::{Item, Order, Status};
use ordermill_shard::{Row, status_of};
use ordermill_station::limits;
use ordermill_store::{Error as StoreError, ShardId, keys};
use tokio::sync::watch;

use crate::router::decoded;
use crate::served::{Served, State};
use crate::view::{Owner, Place};
use crate::{Error, Router};

/// What an event is about, as the record that holds the event left it.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An order has changed.
    Order {
        /// The order.
        order: Arc<Order>,
        /// Its status when the event happened.
        status: Status,
        /// Whether that status was new.
        entered: bool,
    },
    /// An item was changed by hand.
    Item {
        /// The item's SKU.
        sku: Box<str>,
        /// The item.
        item: Item,
    },
}

/// One event.
#[derive(Clone, Debug)]
pub struct FeedEvent {
    /// The shard that it happened in.
    pub shard: u32,
    /// The record that holds it.
    pub record: u64,
    /// Its place in the record, from 0.
    pub index: u32,
    /// When, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Where to go on after this event.
    pub cursor: String,
    /// What it is about.
    pub subject: Subject,
}

/// A page of events.
#[derive(Clone, Debug)]
pub struct FeedPage {
    /// In order within a shard.
    pub events: Vec<FeedEvent>,
    /// Where to go on; also when there are no events.
    pub next: String,
}

/// The format of a cursor: a format byte, then per shard the number of the last record that was
/// read whole and how many events of the next one, as LEB128.
const CURSOR_FORMAT: u8 = 1;

/// How far one shard has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    record: u64,
    events: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor(Vec<Position>);

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

impl Cursor {
    fn to_text(&self) -> String {
        let mut bytes = vec![CURSOR_FORMAT];
        for position in &self.0 {
            put_number(&mut bytes, position.record);
            put_number(&mut bytes, position.events);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn of_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let mut rest = bytes.strip_prefix(&[CURSOR_FORMAT])?;
        let mut positions = Vec::new();
        while !rest.is_empty() {
            positions.push(Position { record: take_number(&mut rest)?, events: take_number(&mut rest)? });
        }
        // There is no feed without a shard.
        (!positions.is_empty()).then_some(Self(positions))
    }
}

impl Router {
    /// Reads the tenant's events after `after` (from the oldest kept one without), at most about
    /// `size`. An empty page means that there is nothing new.
    pub async fn events(&self, tenant: Arc<str>, after: Option<&str>, size: usize) -> Result<FeedPage, Error> {
        let view = self.inner.shards.view();
        let shards = view.places().len();
        let mut cursor = match after {
            Some(text) => match Cursor::of_text(text) {
                Some(cursor) if cursor.0.len() == shards => cursor,
                // The data have been moved here since: this feed has begun anew.
                Some(_) => return Err(Error::CursorExpired),
                None => return Err(Error::BadToken("the cursor was not made by this cluster")),
            },
            None => self.oldest().await?,
        };
        let mut events = Vec::new();
        let elsewhere = self.inner.shards.numbers_elsewhere().await;
        // Every shard gets its share first, so that a busy one does not keep the others back.
        let mut share = (size / shards).max(1);
        while events.len() < size {
            let before = events.len();
            for place in view.places() {
                let wanted = share.min(size.saturating_sub(events.len()));
                let last = self.last_told(place, &elsewhere);
                if wanted > 0 && cursor.0[place.id.0 as usize].record < last {
                    self.read_shard(place.id, last, &tenant, &mut cursor, wanted, &mut events).await?;
                }
            }
            if events.len() == before {
                break;
            }
            share = size;
        }
        Ok(FeedPage { events, next: cursor.to_text() })
    }

    async fn oldest(&self) -> Result<Cursor, Error> {
        let mut positions = Vec::new();
        for place in self.inner.shards.view().places() {
            let extent = self.inner.store.extent(place.id).await.map_err(unavailable)?;
            positions.push(Position { record: extent.trimmed, events: 0 });
        }
        Ok(Cursor(positions))
    }

    /// The last record of a shard that may be told, as far as it is known; where nothing is, all that
    /// are there may be.
    fn last_told(&self, place: &Place, elsewhere: &BTreeMap<ShardId, u64>) -> u64 {
        match &place.owner {
            Owner::Here(served) => match served.handle() {
                Some(handle) => *handle.committed().borrow(),
                // What a store that nobody else can write holds is told once it is read back.
                None if !self.inner.store.is_shared() => 0,
                None => u64::MAX,
            },
            Owner::There(_) | Owner::Nobody => elsewhere.get(&place.id).copied().unwrap_or(u64::MAX),
        }
    }

    async fn read_shard(
        &self,
        shard: ShardId,
        last: u64,
        tenant: &str,
        cursor: &mut Cursor,
        wanted: usize,
        events: &mut Vec<FeedEvent>,
    ) -> Result<(), Error> {
        let place = shard.0 as usize;
        let enough = events.len() + wanted;
        while events.len() < enough {
            let position = cursor.0[place];
            if position.record >= last {
                return Ok(());
            }
            let records = self.inner.store.read(shard, position.record, limits::FEED_PAGE_BYTES).await;
            let records = records.map_err(|error| match error {
                StoreError::Invalid(_) => Error::CursorExpired,
                other => unavailable(other),
            })?;
            if records.is_empty() {
                return Ok(());
            }
            for stored in records {
                let record: Record = decode("a record", stored.bytes).map_err(unavailable)?;
                let readable = self.inner.formats.check(record.format);
                readable.map_err(|why| unavailable(format!("record {} of shard {shard} {why}", stored.number)))?;
                let total = record.events.len() as u64;
                for index in cursor.0[place].events..total {
                    if events.len() >= enough {
                        return Ok(());
                    }
                    cursor.0[place].events = index + 1;
                    let Some(subject) = subject_of(&record, index as usize, tenant)? else { continue };
                    if index + 1 == total {
                        cursor.0[place] = Position { record: stored.number, events: 0 };
                    }
                    events.push(FeedEvent {
                        shard: shard.0,
                        record: stored.number,
                        index: index as u32,
                        time_ms: record.time_ms,
                        cursor: cursor.to_text(),
                        subject,
                    });
                }
                cursor.0[place] = Position { record: stored.number, events: 0 };
            }
        }
        Ok(())
    }

    /// Changes whenever a record may have been committed in any shard.
    pub fn changed(&self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let shards = self.inner.shards.clone();
        tokio::spawn(async move {
            let mut view_changed = shards.changed();
            loop {
                let view = shards.view();
                view_changed.mark_unchanged();
                let mut told: FuturesUnordered<_> = view.here().map(|served| tell(served.clone(), &sender)).collect();
                let elsewhere = view.places().len() > told.len();
                tokio::select! {
                    biased;
                    () = sender.closed() => return,
                    changed = view_changed.changed() => if changed.is_err() { return },
                    () = async { while told.next().await.is_some() {} }, if !told.is_empty() => {}
                    () = tell_often(&sender), if elsewhere => {}
                }
            }
        });
        receiver
    }
}

/// Tells of every record that is committed in a shard here, as long as it is served.
async fn tell(served: Arc<Served>, sender: &watch::Sender<u64>) {
    loop {
        let State::Serving(handle) = served.wait_for(|state| matches!(state, State::Serving(_))).await else { return };
        let mut committed = handle.committed();
        drop(handle);
        sender.send_modify(|changes| *changes += 1);
        while committed.changed().await.is_ok() {
            sender.send_modify(|changes| *changes += 1);
        }
        served.wait_for(|state| !matches!(state, State::Serving(_))).await;
    }
}

/// Of what other members commit nobody tells: it is looked at often.
async fn tell_often(sender: &watch::Sender<u64>) {
    loop {
        tokio::time::sleep(limits::FEED_LOOK).await;
        sender.send_modify(|changes| *changes += 1);
    }
}

fn unavailable(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}

/// What an event is about; `None` when it belongs to another tenant.
fn subject_of(record: &Record, index: usize, tenant: &str) -> Result<Option<Subject>, Error> {
    let event = record.events[index];
    let change = record.changes.get(event.change as usize);
    let change = change.ok_or_else(|| unavailable("an event is about a row that its record has not"))?;
    let parts = keys::decode(&change.key).ok_or_else(|| unavailable("a row in a record has no key"))?;
    let Some(value) = change.value.as_ref().filter(|_| parts.tenant == tenant) else { return Ok(None) };
    Ok(match decoded(&change.key, &Bytes::clone(value))? {
        Row::Order(order) => {
            let status = status_of(event.status).unwrap_or_else(|| order.status());
            Some(Subject::Order { order, status, entered: event.entered })
        }
        Row::Item(item) => {
            let sku = String::from_utf8_lossy(parts.rest).into_owned().into();
            Some(Subject::Item { sku, item })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursor = Cursor(vec![Position { record: 300, events: 2 }, Position { record: u64::MAX, events: 0 }]);
        let text = cursor.to_text();
        assert_eq!(Cursor::of_text(&text), Some(cursor));
        assert_eq!(Cursor::of_text("nonsense!"), None);
    }
}
