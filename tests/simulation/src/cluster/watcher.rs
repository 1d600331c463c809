//! Whoever only looks: at orders and items of everybody, often, at every member at once. A member that has
//! lost its shards and does not know is found out by what it answers to a read.

use std::sync::Arc;
use std::time::Duration;

use ordermill_history::{Call, Deed};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::customer::sku;
use super::machine::Machine;
use super::request::{Send, Tried, attempted};
use super::world::World;
use crate::Lots;

/// Reads that may be under way at once.
const AT_ONCE: usize = 12;
/// Longest wait for one answer. A member that stands still is asked anew all the time: what counts is what it
/// is asked last before it goes on, when others serve its shards already.
const ANSWER: Duration = Duration::from_millis(1_500);

/// A client that reads.
pub(super) struct Watcher {
    pub(super) world: Arc<World>,
    pub(super) lots: Lots,
}

impl Watcher {
    /// Watches until everybody stops.
    pub(super) async fn run(mut self) {
        let mut reads = JoinSet::new();
        let rest_ms = self.world.rhythm_ms / 4;
        while !self.world.has_stopped() {
            sleep(Duration::from_millis(self.lots.skewed(1, rest_ms))).await;
            while reads.len() >= AT_ONCE && reads.join_next().await.is_some() {}
            let Some(machine) = self.world.any_machine(&mut self.lots) else { continue };
            let (deed, send) = match self.world.any_order(&mut self.lots) {
                Some(id) if self.lots.below(2) == 0 => (Deed::ReadOrder(id.to_string()), Send::Order(id)),
                _ => {
                    let sku = sku(self.lots.below(self.world.items));
                    (Deed::ReadItem(sku.clone()), Send::Item(sku))
                }
            };
            reads.spawn(look(self.world.clone(), machine, deed, send));
        }
        while reads.join_next().await.is_some() {}
    }
}

/// Reads once.
async fn look(world: Arc<World>, machine: Arc<Machine>, deed: Deed, send: Send) {
    let begin = world.log.instant();
    let tried = attempted(&world, &machine, &send, ANSWER).await;
    let end = world.log.instant();
    if let Tried::Came(outcome) = tried {
        world.log.tell(format_args!("somebody sees at {}: {deed:?} {outcome:?}", machine.node));
        world.log.count(|counts| counts.reads += 1);
        world.log.called(Call { begin, end, deed, outcome });
    }
}
