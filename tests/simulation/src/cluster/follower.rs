//! One client that follows the event feed from its beginning to its end, at whichever member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ordermill_history::Event;
use ordermill_routing::{Error, FeedPage, Subject};
use tokio::time::sleep;

use super::world::World;
use crate::Lots;

/// Longest wait for a page.
const PAGE: Duration = Duration::from_secs(20);

/// A client of the feed.
pub(super) struct Follower {
    pub(super) world: Arc<World>,
    pub(super) lots: Lots,
    cursor: Option<String>,
    /// The last event of each shard.
    last: BTreeMap<u32, (u64, u32)>,
    /// It was told that the records behind its place are gone.
    pub(super) gone: bool,
}

impl Follower {
    /// One that begins with the oldest event.
    pub(super) fn new(world: Arc<World>, lots: Lots) -> Self {
        Self { world, lots, cursor: None, last: BTreeMap::new(), gone: false }
    }

    /// Follows until everybody stops.
    pub(super) async fn run(mut self) -> Self {
        while !self.world.has_stopped() {
            let rest = self.lots.skewed(50, 3_000);
            sleep(Duration::from_millis(rest)).await;
            let size = self.lots.skewed(1, 60) as usize;
            self.read(size).await;
        }
        self
    }

    /// Reads a page somewhere; says how many events it had, if it came.
    pub(super) async fn read(&mut self, size: usize) -> Option<usize> {
        let machine = self.world.any_machine(&mut self.lots)?;
        let read = machine.router.events("".into(), self.cursor.as_deref(), size);
        let page = match machine.ask(PAGE, read).await {
            Ok(Ok(page)) => page,
            Ok(Err(Error::CursorExpired)) => {
                self.world.log.tell(format_args!("the feed hears from {}: its place is gone", machine.node));
                self.world.log.happened("feed begun anew");
                (self.cursor, self.gone) = (None, true);
                return None;
            }
            Ok(Err(error)) => {
                self.world.log.tell(format_args!("the feed hears from {}: {error}", machine.node));
                return None;
            }
            Err(lost) => {
                self.world.log.tell(format_args!("the feed hears nothing from {}: {lost:?}", machine.node));
                return None;
            }
        };
        let count = page.events.len();
        self.take(page);
        Some(count)
    }

    fn take(&mut self, page: FeedPage) {
        let FeedPage { events, next } = page;
        for event in events {
            let order = match event.subject {
                Subject::Order { order, .. } => Some((order.id.to_string(), order.version)),
                Subject::Item { .. } => None,
            };
            let (shard, record, index) = (event.shard, event.record, event.index);
            // Having begun anew, it leaves out what it knows.
            if self.gone && self.last.get(&shard).is_some_and(|last| (record, index) <= *last) {
                continue;
            }
            self.last.insert(shard, (record, index));
            self.world.log.tell(format_args!("the feed tells {shard}/{record}/{index}: {order:?}"));
            self.world.log.event(Event { shard, record, index, order });
        }
        self.cursor = Some(next);
    }
}
