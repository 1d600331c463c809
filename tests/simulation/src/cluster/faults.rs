//! What goes wrong with members, their network and their clocks, and when.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::machine::Machine;
use super::world::{Seat, World};
use crate::{Lots, Plan};

/// Seats that members may have.
pub(super) const SEATS: u64 = 5;
/// How late a write may land at most, milliseconds.
pub(super) const LATE_MS: u64 = 20_000;

/// What goes wrong with the store: some of everything, more or less often.
pub(super) fn plan(lots: &mut Lots) -> Plan {
    let plan = Plan::rough().scaled(|usual| usual * [0, 0, 1, 2][lots.below(4) as usize] / 2);
    Plan { late_ms: LATE_MS, hang: plan.hang / 2, outage: plan.outage / 2, outage_ms: 10_000, ..plan }
}

/// Breaks things until everybody stops; members that were taken down are up again by the time it returns.
pub(super) async fn run(world: Arc<World>, mut lots: Lots) {
    let pause_ms = [3_000, 6_000, 6_000, 15_000][lots.below(4) as usize];
    let mut repairs = JoinSet::new();
    while !world.has_stopped() {
        sleep(Duration::from_millis(lots.skewed(300, pause_ms))).await;
        let (lot, seat) = (lots.below(100), 1 + lots.below(SEATS));
        match lot {
            0..30 => crash(&world, seat, &mut lots, &mut repairs),
            30..50 => freeze(&world, seat, &mut lots),
            50..70 => cut(&world, &mut lots, &mut repairs),
            70..80 => leave(&world, seat, &mut lots, &mut repairs),
            80..90 => reset(&world, &mut lots),
            _ => jump(&world, seat, &mut lots),
        }
    }
    while repairs.join_next().await.is_some() {}
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Starts a member at a seat after a while.
async fn start_again(world: Arc<World>, seat: Seat, after: Duration, mut lots: Lots) {
    sleep(after).await;
    world.start(seat, &mut lots).await;
}

fn crash(world: &Arc<World>, seat: Seat, lots: &mut Lots, repairs: &mut JoinSet<()>) {
    let after = Duration::from_millis(lots.skewed(200, 15_000));
    let silently = lots.below(2) == 0;
    let lots = lots.branch();
    match world.take(seat) {
        Some(machine) => {
            machine.kill(silently);
            let how = if silently { "silently" } else { "and its peers hear of it" };
            let kind = if silently { "silent crash" } else { "crash" };
            world
                .log
                .fault(kind, format_args!("{} dies {how}, seat {seat} is free for {}", machine.node, seconds(after)));
        }
        None if world.reserve(seat) => {
            world.log.fault("join", format_args!("a member more is started at seat {seat} in {}", seconds(after)));
        }
        None => return,
    }
    repairs.spawn(start_again(world.clone(), seat, after, lots));
}

fn freeze(world: &Arc<World>, seat: Seat, lots: &mut Lots) {
    let time = Duration::from_millis(match lots.below(4) {
        0 => lots.skewed(100, 4_000),
        // Just long enough for others to have taken over when it goes on.
        1 | 2 => 1_500 + lots.below(5_000),
        _ => lots.skewed(100, 25_000),
    });
    let kind = if time.as_secs() > 3 { "long pause" } else { "pause" };
    if let Some(machine) = world.machines().get(&seat) {
        world.log.fault(kind, format_args!("{} stands still for {}", machine.node, seconds(time)));
        machine.freeze(time);
    }
}

/// Cuts one way, both ways, or everything to and from one member.
fn cut(world: &Arc<World>, lots: &mut Lots, repairs: &mut JoinSet<()>) {
    let nodes: Vec<_> = world.machines().values().map(|machine| machine.node).collect();
    let time = Duration::from_millis(lots.skewed(100, 10_000));
    let of = |lots: &mut Lots| nodes.get(lots.below(nodes.len() as u64) as usize).copied();
    let (Some(one), Some(other)) = (of(lots), of(lots)) else { return };
    let (kind, cuts): (_, Vec<_>) = match lots.below(3) {
        0 => ("cut one way", vec![(one, other)]),
        1 => ("cut both ways", vec![(one, other), (other, one)]),
        _ => ("cut off", nodes.iter().flat_map(|node| [(one, *node), (*node, one)]).collect()),
    };
    // Its customers may be the only ones that still reach it.
    if cuts.len() > 2 && lots.below(2) == 0 {
        world.log.fault("cut off from the store", format_args!("{one} does not reach the store either"));
        let machines = world.machines();
        machines.values().filter(|machine| machine.node == one).for_each(|machine| machine.cut_off(time));
    }
    world.log.fault(kind, format_args!("nothing gets through from and to {cuts:?} for {}", seconds(time)));
    cuts.into_iter().filter(|(from, to)| from != to).for_each(|(from, to)| world.parts.net.cut(from, to));
    let world = world.clone();
    repairs.spawn(async move {
        sleep(time).await;
        world.log.tell(format_args!("-- the network is whole"));
        world.parts.net.heal();
    });
}

fn leave(world: &Arc<World>, seat: Seat, lots: &mut Lots, repairs: &mut JoinSet<()>) {
    let Some(machine) = world.machines().get(&seat).cloned() else { return };
    let after = Duration::from_millis(lots.skewed(0, 3_000));
    world.log.fault("drain", format_args!("{} is told to leave", machine.node));
    repairs.spawn(replace(world.clone(), seat, machine, after, lots.branch()));
}

/// Has a member leave in order, and starts another at its seat.
pub(super) async fn replace(world: Arc<World>, seat: Seat, machine: Arc<Machine>, after: Duration, lots: Lots) {
    let left = machine.leave().await;
    world.log.tell(format_args!("-- {} has left: {left:?}", machine.node));
    // It may have died meanwhile, and the seat may be another's.
    if world.take_this(seat, &machine) {
        start_again(world, seat, after, lots).await;
    }
}

fn reset(world: &Arc<World>, lots: &mut Lots) {
    let nodes: Vec<_> = world.machines().values().map(|machine| machine.node).collect();
    let of = |lots: &mut Lots| nodes.get(lots.below(nodes.len() as u64) as usize).copied();
    let (Some(one), Some(other)) = (of(lots), of(lots)) else { return };
    world.log.fault("connections broken", format_args!("connections between {one} and {other} break"));
    world.parts.net.reset(one, other);
}

fn jump(world: &Arc<World>, seat: Seat, lots: &mut Lots) {
    let skew_ms = lots.below(20_000) as i64 - 10_000;
    if let Some(machine) = world.machines().get(&seat) {
        world.log.fault("clock jump", format_args!("the clock of {} jumps to {skew_ms} ms", machine.node));
        machine.clock.jump(skew_ms);
    }
}
