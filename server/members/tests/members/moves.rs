//! Shards that move: joining, draining, balance.

use std::collections::BTreeMap;
use std::time::Duration;

use ordermill_members::{Drained, Incarnation, Map, State};
use ordermill_station::limits;
use tokio::time::sleep;

use crate::world::{SHARDS, World, ms};

fn differences(one: &Map, other: &Map) -> usize {
    one.shards.iter().zip(&other.shards).filter(|(one, other)| one.owner != other.owner).count()
}

/// Few moves at once, and no shard again before its time, as long as nobody is gone.
fn check_moves(history: &[(Duration, Map)]) {
    let mut moved: BTreeMap<_, Duration> = BTreeMap::new();
    for pair in history.windows(2) {
        let ((_, before), (at, map)) = (&pair[0], &pair[1]);
        let handed_over = |map: &Map| map.shards.iter().filter(|shard| shard.from.is_some()).count();
        assert!(handed_over(map) <= limits::MOVES_AT_ONCE);
        for (old, new) in before.shards.iter().zip(&map.shards) {
            let Some(owner) = old.owner.filter(|_| old.owner != new.owner) else { continue };
            assert!(map.member(owner).is_some(), "nobody is gone");
            if let Some(last) = moved.insert(new.id, *at) {
                let stayed = at.saturating_sub(last);
                assert!(stayed + ms(100) >= limits::SETTLE, "shard {} moves again after {stayed:?}", new.id);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_joins_gets_its_share_and_no_more() {
    for seed in 1..=10 {
        let mut world = World::at_rest(seed, 3).await;
        let before = world.map();
        world.start(4).await;
        let took = world.rest().await;
        assert!(took <= ms(3_000), "{took:?}");
        assert!(differences(&before, &world.map()) <= SHARDS.div_ceil(4) as usize);
        check_moves(&world.history());
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_join_one_after_the_other_move_no_shard_twice_in_a_row() {
    for seed in 1..=5 {
        let mut world = World::at_rest(seed, 1).await;
        for member in 2..=6 {
            world.start(member).await;
            sleep(ms(1_000 + world.random(3_000))).await;
        }
        world.rest().await;
        check_moves(&world.history());
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_member_is_empty_and_then_gone() {
    for seed in 1..=10 {
        let mut world = World::at_rest(seed, 3).await;
        let (handle, began) = (world.handle(2).clone(), world.now());
        assert_eq!(handle.drain_me(limits::DRAIN).await, Drained::Empty);
        let took = world.since(began);
        assert!(took <= ms(3_000), "{took:?}");
        assert_eq!(world.counts()[1], 0);
        let shards = world.map().shards;
        assert!(shards.iter().all(|shard| shard.from != Some(Incarnation(2))));
        // Asking again is the same.
        assert_eq!(handle.drain_me(limits::DRAIN).await, Drained::Empty);
        handle.close().await;
        world.kill(2);
        world.until("removed", ms(300), |world| world.map().member(Incarnation(2)).is_none()).await;
        assert!(world.map().drains.is_empty());
        world.rest().await;
        check_moves(&world.history()[..]);
    }
}

#[tokio::test(start_paused = true)]
async fn members_may_drain_one_after_the_other_while_others_come() {
    // A rolling upgrade: a new member for every old one.
    let mut world = World::at_rest(1, 3).await;
    let before = world.history().len();
    for old in 1..=3 {
        world.start(old + 10).await;
        sleep(ms(2_000)).await;
        let handle = world.handle(old).clone();
        assert_eq!(handle.drain_me(limits::DRAIN).await, Drained::Empty);
        handle.close().await;
        world.kill(old);
        assert!(world.map().shards.iter().all(|shard| shard.owner.is_some()));
    }
    world.rest().await;
    assert_eq!(world.coordinators().len(), 1);
    let history = world.history();
    let homeless = |map: &Map| map.shards.iter().any(|shard| shard.owner.is_none());
    assert!(!history.iter().skip(before).any(|(_, map)| homeless(map)));
}

#[tokio::test(start_paused = true)]
async fn with_nobody_to_take_them_shards_stay() {
    let world = World::at_rest(1, 1).await;
    let handle = world.handle(1);
    assert_eq!(handle.drain_me(limits::DRAIN).await, Drained::NobodyElse);
    sleep(ms(5_000)).await;
    assert_eq!(world.counts(), [SHARDS as usize]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_nobody_answers_ends_in_time() {
    let world = World::at_rest(1, 2).await;
    let member = 3 - world.coordinators()[0];
    world.shared.net.lock().store_away = true;
    let began = world.now();
    let drained = world.handle(member).drain_me(ms(2_000)).await;
    assert_eq!((drained, world.since(began)), (Drained::Late { left: SHARDS as usize / 2 }, ms(2_000)));
}

#[tokio::test(start_paused = true)]
async fn a_hot_shard_leaves_an_overloaded_member_and_stays_away() {
    let world = World::at_rest(1, 2).await;
    let hot: Vec<_> = world.map().owned_by(Incarnation(1)).map(|shard| shard.id).take(2).collect();
    world.loads.lock().extend((0..SHARDS).map(|shard| (shard, 10)));
    world.loads.lock().extend(hot.iter().map(|shard| (shard.0, 5_000)));
    let version = world.map().version;
    sleep(ms(20_000)).await;
    assert_eq!(world.map().version, version, "nobody is overloaded");
    *world.nodes[&1].app.busy_permille.lock() = 900;
    let apart = |world: &World| world.map().shard(hot[0]).unwrap().owner != world.map().shard(hot[1]).unwrap().owner;
    world.until("apart", ms(2_000), apart).await;
    world.rest().await;
    let version = world.map().version;
    sleep(ms(60_000)).await;
    assert_eq!(world.map().version, version, "it helped, so that is that");
    assert!(world.map().shards.iter().all(|shard| shard.state == State::Settled));
}
