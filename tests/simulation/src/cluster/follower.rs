//! One client that follows the event feed from its beginning to its end, at whichever member.

use std::sync::Arc;
use std::time::Duration;

use ordermill_history::Event;
use ordermill_routing::{FeedPage, Subject};
use tokio::time::sleep;

use super::world::World;
use crate::Lots;

/// Longest wait for a page.
const PAGE: Duration = Duration::from_secs(20);

/// A client of the feed.
pub(super) struct Follower {
    pub(super) world: Arc<World>,
    pub(super) lots: Lots,
    pub(super) cursor: Option<String>,
}

impl Follower {
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
            self.world.log.tell(format_args!("the feed tells {shard}/{record}/{index}: {order:?}"));
            self.world.log.event(Event { shard, record, index, order });
        }
        self.cursor = Some(next);
    }
}
