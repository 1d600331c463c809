//! Members that are killed, paused, or start anew.

use std::time::Duration;

use ordermill_members::{Incarnation, times};
use ordermill_station::limits;
use tokio::time::sleep;

use crate::world::{SHARDS, World, ms};

const SEEDS: u64 = 40;

/// Kills at any moment in `SEEDS` clusters of `members`; the shortest and the longest time until everybody
/// alive had a map without the dead.
async fn times_to_a_new_map(who: &str, members: u64, kill: impl Fn(&mut World)) -> (Duration, Duration) {
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for seed in 1..=SEEDS {
        let mut world = World::at_rest(seed, members).await;
        sleep(ms(world.random(1_000))).await;
        kill(&mut world);
        let took = world.until("taken over", ms(10_000), World::is_taken_over).await;
        (shortest, longest) = (shortest.min(took), longest.max(took));
        world.rest().await;
    }
    println!("{who} of {members}: a new map everywhere after {shortest:?} to {longest:?}");
    (shortest, longest)
}

fn coordinator(world: &World) -> u64 {
    world.coordinators()[0]
}

fn another(world: &World) -> u64 {
    *world.nodes.keys().find(|member| !world.coordinators().contains(member)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn three_members_elect_one_coordinator_and_share_the_shards() {
    for seed in 1..=SEEDS {
        let world = World::at_rest(seed, 3).await;
        assert_eq!(world.coordinators().len(), 1, "seed {seed}");
        let mut counts = world.counts();
        counts.sort_unstable();
        assert_eq!(counts, [21, 21, 22]);
        // They started together: nothing had to move.
        let owners = |map: &ordermill_members::Map| map.shards.iter().map(|shard| shard.owner).collect::<Vec<_>>();
        let mut distinct: Vec<_> = world.history().iter().map(|(_, map)| owners(map)).collect();
        distinct.dedup();
        assert_eq!(distinct.len(), 2, "nobody, then everybody: seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_members_shards_have_owners_in_time() {
    for members in [2, 3, 7] {
        let (_, longest) = times_to_a_new_map("a member", members, |world| world.kill(another(world))).await;
        assert!(longest <= times::MEMBER_KILLED, "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_killed_coordinators_shards_have_owners_in_time() {
    for members in [2, 3, 7] {
        let (_, longest) = times_to_a_new_map("the coordinator", members, |world| world.kill(coordinator(world))).await;
        assert!(longest <= times::COORDINATOR_KILLED, "{longest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_and_a_member_that_die_together_take_longer() {
    let kill = |world: &mut World| {
        world.kill(another(world));
        world.kill(coordinator(world));
    };
    let (_, longest) = times_to_a_new_map("the coordinator and a member", 5, kill).await;
    assert!(longest <= ms(1_550) + times::MEMBER_KILLED, "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn when_one_dies_only_its_shards_move() {
    let mut world = World::at_rest(1, 4).await;
    let before = world.map();
    let victim = another(&world);
    world.kill(victim);
    world.rest().await;
    let after = world.map();
    for (old, new) in before.shards.iter().zip(&after.shards) {
        assert_eq!(old.owner == new.owner, old.owner != Some(Incarnation(victim)), "shard {}", old.id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_member_loses_its_shards_and_comes_back() {
    for seed in 1..=10 {
        let world = World::at_rest(seed, 3).await;
        let paused = another(&world);
        world.pause(paused);
        sleep(ms(5_000)).await;
        assert!(world.map().member(Incarnation(paused)).is_none());
        assert_eq!(world.map().owned_by(Incarnation(paused)).count(), 0);
        world.resume(paused);
        let known = world.until("known", ms(1_000), |world| world.all_know(world.map().version)).await;
        assert!(known <= ms(600), "the newest map is there soon after: {known:?}");
        world.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_changes_nothing() {
    for seed in 1..=10 {
        let world = World::at_rest(seed, 3).await;
        let version = world.map().version;
        for member in 1..=3 {
            world.pause(member);
            sleep(ms(600)).await;
            world.resume(member);
            sleep(ms(3_000)).await;
            assert_eq!(world.map().version, version, "member {member}, seed {seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_coordinator_is_replaced_and_steps_down() {
    for seed in 1..=10 {
        let world = World::at_rest(seed, 3).await;
        let paused = coordinator(&world);
        world.pause(paused);
        sleep(ms(5_000)).await;
        let others: Vec<_> = world.coordinators().into_iter().filter(|member| *member != paused).collect();
        assert_eq!(others.len(), 1);
        let members_before = world.map().members;
        world.resume(paused);
        world.until("alone", ms(500), |world| world.coordinators() == others).await;
        assert!(members_before.iter().all(|member| world.map().member(member.incarnation).is_some()));
        world.rest().await;
        assert_eq!(world.coordinators(), others);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_killed_whole_starts_anew() {
    let mut world = World::at_rest(1, 3).await;
    (1..=3).for_each(|member| world.kill(member));
    sleep(ms(60_000)).await;
    for member in 4..=6 {
        world.start(member).await;
    }
    let took = world.until("taken over", ms(10_000), World::is_taken_over).await;
    assert!(took <= times::COORDINATOR_KILLED + times::MEMBER_KILLED, "{took:?}");
    world.rest().await;
}

#[tokio::test(start_paused = true)]
async fn members_that_start_at_once_make_one_map() {
    for seed in 1..=SEEDS {
        let mut world = World::new(seed);
        let formats = ordermill_members::Formats { min: 1, max: 1 };
        let (one, two) = tokio::join!(world.join(1, formats), world.join(2, formats));
        let ((one, one_service, one_app), (two, two_service, two_app)) = (one.unwrap(), two.unwrap());
        world.run(1, one, one_service, one_app);
        world.run(2, two, two_service, two_app);
        world.rest().await;
        for (at, (_, map)) in world.history().iter().enumerate() {
            assert_eq!(map.version, at as u64 + 1, "one map after the other");
        }
        assert_eq!(world.counts(), [SHARDS as usize / 2; 2]);
    }
}

/// What happens from one seed: every map and its time.
async fn a_day(seed: u64) -> Vec<(Duration, bytes::Bytes)> {
    let mut world = World::at_rest(seed, 4).await;
    world.loads.lock().extend((0..SHARDS).map(|shard| (shard, u64::from(shard) * 17 % 900)));
    sleep(ms(world.random(2_000))).await;
    world.kill(coordinator(&world));
    sleep(ms(world.random(2_000))).await;
    world.start(9).await;
    sleep(ms(world.random(2_000))).await;
    world.kill(another(&world));
    world.rest().await;
    world.history().into_iter().map(|(at, map)| (at, map.encode())).collect()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_maps() {
    for seed in 1..=5 {
        assert_eq!(a_day(seed).await, a_day(seed).await, "seed {seed}");
    }
    assert_ne!(a_day(1).await, a_day(2).await);
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_stops_leaves_its_place_at_once() {
    for seed in 1..=10 {
        let mut world = World::at_rest(seed, 3).await;
        let leaving = coordinator(&world);
        let handle = world.handle(leaving).clone();
        assert_eq!(handle.drain_me(limits::DRAIN).await, ordermill_members::Drained::Empty);
        handle.close().await;
        let node = world.nodes.remove(&leaving).unwrap();
        assert_eq!(node.run.await.unwrap(), Ok(()));
        let took = world.until("coordinated", ms(1_000), |world| world.coordinators().len() == 1).await;
        assert!(took <= ms(400), "{took:?}");
        world.rest().await;
    }
}
