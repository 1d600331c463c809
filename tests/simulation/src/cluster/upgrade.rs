//! A rolling upgrade: one member after another runs the newer build, or goes back; when all do, the store's
//! format is raised. And what starts a process again that has ended by itself.

use std::sync::Arc;
use std::time::Duration;

use ordermill_members::Request;
use tokio::time::sleep;

use super::build::{Build, NEWER, OLDER};
use super::faults::{SEATS, replace};
use super::world::World;
use crate::Lots;

/// Longest wait for an answer of the coordinator's.
const ANSWER: Duration = Duration::from_secs(12);
/// How often one looks for processes that have ended.
const LOOK: Duration = Duration::from_millis(500);

/// Upgrades all members, or begins to; perhaps it is taken back once on the way.
pub(super) async fn run(world: Arc<World>, mut lots: Lots) {
    sleep(Duration::from_millis(lots.skewed(2_000, 15_000))).await;
    if lots.below(3) == 0 {
        let far = 1 + lots.below(SEATS);
        world.log.fault("upgrade", format_args!("seats 1 to {far} shall be upgraded, and go back"));
        roll(&world, NEWER, 1..=far, &mut lots).await;
        world.log.fault("rollback", format_args!("seats 1 to {far} go back"));
        roll(&world, OLDER, 1..=far, &mut lots).await;
        sleep(Duration::from_millis(lots.skewed(0, 5_000))).await;
    }
    world.log.fault("upgrade", format_args!("every member shall be upgraded"));
    while !world.has_stopped() {
        roll(&world, NEWER, 1..=SEATS, &mut lots).await;
        if world.machines().values().all(|machine| machine.build == NEWER) && raise(&world, &mut lots).await {
            return;
        }
        sleep(Duration::from_millis(lots.skewed(100, 2_000))).await;
    }
}

/// Replaces the members of these seats that run another build, one after another.
async fn roll(world: &Arc<World>, build: Build, seats: impl Iterator<Item = u64>, lots: &mut Lots) {
    for seat in seats {
        world.wants(seat, build);
        let Some(machine) = world.machines().get(&seat).filter(|machine| machine.build != build).cloned() else {
            continue;
        };
        if world.has_stopped() {
            return;
        }
        world.log.tell(format_args!("-- {} makes room for build {build}", machine.node));
        let after = Duration::from_millis(lots.skewed(0, 2_000));
        replace(world.clone(), seat, machine, after, lots.branch()).await;
    }
}

/// Asks for the newer format; says whether the store is in it.
async fn raise(world: &World, lots: &mut Lots) -> bool {
    let Some(machine) = world.any_machine(lots) else { return false };
    let Some(members) = machine.router.members() else { return false };
    let raised = machine.ask(ANSWER, members.admin(Request::RaiseFormat(NEWER))).await;
    match raised {
        Ok(Ok(_)) => {
            world.log.fault("format raised", format_args!("the store is in format {NEWER}"));
            true
        }
        other => {
            world.log.tell(format_args!("-- the format is not raised yet: {other:?}"));
            false
        }
    }
}

/// Starts processes again that have ended by themselves, until it is dropped.
pub(super) async fn restart(world: Arc<World>, mut lots: Lots) {
    loop {
        sleep(LOOK).await;
        let ended = world.machines().into_iter().find(|(_, machine)| machine.has_ended());
        let Some((seat, machine)) = ended else { continue };
        if world.take_this(seat, &machine) {
            machine.kill(false);
            world.log.fault("ended by itself", format_args!("{} has ended by itself", machine.node));
            let (world, mut lots) = (world.clone(), lots.branch());
            tokio::spawn(async move { world.start(seat, &mut lots).await });
        }
    }
}
