//! An administrator who splits shards while everything else goes on, at whichever member.
//!
//! Draws from a row of its own: what else happens in a seed does not hang on it before the first split.

use std::sync::Arc;
use std::time::Duration;

use ordermill_routing::administration::Request;
use tokio::time::sleep;

use super::world::World;
use crate::Lots;

/// Splits that are asked for.
const SPLITS: u64 = 6;
/// Longest wait for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// Splits shards until everybody stops.
pub(super) async fn run(world: Arc<World>, mut lots: Lots) {
    let mut taken_on = 0;
    while !world.has_stopped() && taken_on < SPLITS {
        sleep(Duration::from_millis(lots.skewed(500, 20_000))).await;
        let Some(machine) = world.any_machine(&mut lots) else { continue };
        let Some(members) = machine.router.members() else { continue };
        let map = members.current();
        let shard = &map.shards[lots.below(map.shards.len() as u64) as usize];
        let (id, first, last) = (shard.id, shard.range.first, shard.range.last);
        let at = (lots.below(2) == 0).then(|| first + lots.below(u64::from(last - first) + 1) as u16);
        let asked = machine.ask(ANSWER, machine.router.administrate(Request::Split { shard: id, at })).await;
        world.log.tell(format_args!("-- shard {id} shall be split before {at:?}, says {}: {asked:?}", machine.node));
        if matches!(asked, Ok(Ok(_))) {
            taken_on += 1;
            world.log.count(|counts| counts.splits += 1);
        }
    }
}
