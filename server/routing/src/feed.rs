//! The event feed: every shard's journal, read side by side.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use ordermill_journal::{Record, decode};
use ordermill_order::{Item, Order, Status};
use ordermill_shard::{Row, status_of};
use ordermill_station::limits;
use ordermill_store::{Error as StoreError, ShardId, keys};
use tokio::sync::watch;

use crate::cursor::{self, Cursor, Position};
use crate::router::decoded;
use crate::served::{Served, State};
use crate::view::{Owner, Place, View};
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

impl Router {
    /// Reads the tenant's events after `after` (from the oldest kept one without), at most about
    /// `size`. An empty page means that there is nothing new.
    pub async fn events(&self, tenant: Arc<str>, after: Option<&str>, size: usize) -> Result<FeedPage, Error> {
        let (view, mut cursor) = match after {
            Some(text) => self.cursor_of(text).await?,
            None => self.oldest().await?,
        };
        #[cfg(feature = "planted-faults")]
        if self.inner.planted == Some(ordermill_shard::Planted::PassOverParent) {
            cursor.pass_over(&view);
        }
        let mut events = Vec::new();
        let elsewhere = self.inner.shards.numbers_elsewhere().await;
        let places: BTreeMap<ShardId, &Place> = view.places().iter().map(|place| (place.id, place)).collect();
        // Every shard gets its share first, so that a busy one does not keep the others back.
        let mut share = (size / cursor.positions.len()).max(1);
        while events.len() < size {
            let mut news = cursor.advance(&view);
            let before = events.len();
            let shards: Vec<(ShardId, Position)> = cursor.positions.iter().map(|(at, of)| (*at, *of)).collect();
            for (shard, position) in shards {
                let wanted = share.min(size.saturating_sub(events.len()));
                let last = match (view.was_split(shard), places.get(&shard)) {
                    (Some(split), _) => split.number,
                    (None, Some(place)) => self.last_told(place, &elsewhere),
                    (None, None) => continue,
                };
                if wanted > 0 && position.record < last {
                    self.read_shard(shard, last, &tenant, &mut cursor, wanted, &mut events).await?;
                }
            }
            // Behind a shard that has ended there are others to be read.
            news |= events.len() > before || cursor.advance(&view);
            if !news {
                break;
            }
            share = size;
        }
        Ok(FeedPage { events, next: cursor.to_text() })
    }

    /// A client's cursor, and a view that knows all of its shards.
    async fn cursor_of(&self, text: &str) -> Result<(Arc<View>, Cursor), Error> {
        let shards = &self.inner.shards;
        let cursor = Cursor::of_text(text).ok_or(Error::BadToken("the cursor was not made by this cluster"))?;
        let view = shards.view_since(cursor.version).await;
        let Some(view) = view else {
            // Where nobody can say how new the map is, the cursor may be right.
            let unknown = self.members().is_some_and(|members| members.status().map_age > limits::OWNER_WAIT);
            let newer = "the cursor is of a newer map than this cluster has";
            return Err(if unknown { Error::Unavailable(newer.to_owned()) } else { Error::BadToken(newer) });
        };
        // The data have been moved here since: this feed has begun anew.
        if cursor.fits(&view) { Ok((view, cursor)) } else { Err(Error::CursorExpired) }
    }

    /// Where the oldest events are that are kept.
    async fn oldest(&self) -> Result<(Arc<View>, Cursor), Error> {
        let view = self.inner.shards.view();
        let mut positions = BTreeMap::new();
        for shard in cursor::roots(&view) {
            positions.extend(self.oldest_of(&view, shard).await?);
        }
        let version = view.version;
        Ok((view, Cursor { version, positions }))
    }

    /// The same of a shard and those that it was split into: in itself only as long as they are whole.
    fn oldest_of<'a>(
        &'a self,
        view: &'a View,
        shard: ShardId,
    ) -> BoxFuture<'a, Result<BTreeMap<ShardId, Position>, Error>> {
        Box::pin(async move {
            if let Some(one) = view.was_split(shard) {
                let mut below = self.oldest_of(view, one.split.left).await?;
                below.extend(self.oldest_of(view, one.split.right).await?);
                if below.len() > 2 || below.values().any(|position| position.record > 0) {
                    return Ok(below);
                }
            }
            let extent = self.inner.store.extent(shard).await.map_err(unavailable)?;
            Ok(BTreeMap::from([(shard, Position { record: extent.trimmed, events: 0 })]))
        })
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
        let enough = events.len() + wanted;
        while events.len() < enough {
            let position = *cursor.position(shard);
            if position.record >= last {
                return Ok(());
            }
            // Of many shards each gives a few: what is read besides is read again for the next page.
            let bytes = (enough - events.len()).saturating_mul(limits::FEED_EVENT_BYTES);
            let bytes = bytes.clamp(limits::FEED_READ_BYTES, limits::FEED_PAGE_BYTES);
            let records = self.inner.store.read(shard, position.record, bytes).await;
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
                for index in cursor.position(shard).events..total {
                    if events.len() >= enough {
                        return Ok(());
                    }
                    cursor.position(shard).events = index + 1;
                    let Some(subject) = subject_of(&record, index as usize, tenant)? else { continue };
                    if index + 1 == total {
                        *cursor.position(shard) = Position { record: stored.number, events: 0 };
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
                *cursor.position(shard) = Position { record: stored.number, events: 0 };
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
