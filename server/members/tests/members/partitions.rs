//! Ways that are cut, one way or both, and stores that are away.

use ordermill_members::{Error, Incarnation, Request};
use tokio::time::sleep;

use crate::world::{World, ms};

fn coordinator(world: &World) -> u64 {
    world.coordinators()[0]
}

fn another(world: &World) -> u64 {
    *world.nodes.keys().find(|member| !world.coordinators().contains(member)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_cut_off_from_the_store_is_replaced() {
    for seed in 1..=20 {
        let world = World::at_rest(seed, 3).await;
        let old = coordinator(&world);
        world.shared.net.lock().cut_store.insert(old);
        let replaced = |world: &World| world.coordinators().len() == 1 && coordinator(world) != old;
        world.until("replaced", ms(2_500), replaced).await;
        world.until("without its shards", ms(1_000), |world| world.counts()[old as usize - 1] == 0).await;
        // It still beats, and serves nobody: it is given nothing, and nothing else changes.
        sleep(ms(1_000)).await;
        let version = world.map().version;
        sleep(ms(20_000)).await;
        assert_eq!(world.map().version, version, "seed {seed}");
        assert!(replaced(&world));
        assert!(world.all_know(version), "its peers tell it who coordinates, and that one has the map");
        world.shared.net.lock().cut_store.clear();
        world.rest().await;
        assert!(replaced(&world));
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_cut_off_from_the_store_loses_its_shards_in_the_end() {
    let world = World::at_rest(1, 3).await;
    let cut = another(&world);
    world.shared.net.lock().cut_store.insert(cut);
    sleep(ms(2_500)).await;
    assert_ne!(world.counts()[cut as usize - 1], 0, "what it serves may go on for a while");
    world.until("without shards", ms(2_000), |world| world.counts()[cut as usize - 1] == 0).await;
    sleep(ms(1_000)).await;
    let version = world.map().version;
    sleep(ms(20_000)).await;
    assert_eq!(world.map().version, version);
    world.shared.net.lock().cut_store.clear();
    world.rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_beats_are_lost_learns_from_the_store_that_it_is_gone() {
    for seed in 1..=10 {
        let world = World::at_rest(seed, 3).await;
        let (to, from) = (coordinator(&world), another(&world));
        world.shared.net.lock().cut.insert((from, to));
        world.until("gone", ms(2_500), |world| world.map().member(Incarnation(from)).is_none()).await;
        world.until("known", ms(1_500), |world| world.all_know(world.map().version)).await;
        sleep(ms(5_000)).await;
        assert_eq!(world.coordinators(), [to]);
        world.shared.net.lock().cut.clear();
        world.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_gets_no_answers_is_alive_and_reads_the_map_itself() {
    let world = World::at_rest(1, 3).await;
    let (from, to) = (coordinator(&world), another(&world));
    world.shared.net.lock().cut.insert((from, to));
    sleep(ms(5_000)).await;
    assert!(world.map().member(Incarnation(to)).is_some());
    world.handle(from).admin(Request::Cordon(Incarnation(from))).await.unwrap();
    world.until("known", ms(1_500), |world| world.all_know(world.map().version)).await;
    assert!(world.handle(to).status().map_age < ms(1_500));
}

#[tokio::test(start_paused = true)]
async fn nobody_flaps_while_the_store_is_away() {
    for seed in 1..=40 {
        let world = World::at_rest(seed, 3).await;
        sleep(ms(world.random(1_000))).await;
        let (version, before) = (world.map().version, coordinator(&world));
        world.shared.net.lock().store_away = true;
        sleep(ms(4_900)).await;
        let status = world.handle(another(&world)).status();
        assert!(status.store_silence > ms(4_500) && status.map_age > ms(3_000), "{status:?}");
        sleep(ms(100)).await;
        world.shared.net.lock().store_away = false;
        world.until("coordinated", ms(1_000), |world| world.coordinators().len() == 1).await;
        sleep(ms(20_000)).await;
        assert_eq!((world.map().version, coordinator(&world)), (version, before), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_absence_of_the_store_is_not_noticed() {
    for seed in 1..=20 {
        let world = World::at_rest(seed, 3).await;
        let (version, before) = (world.map().version, coordinator(&world));
        for _ in 0..10 {
            let (away, back) = (world.random(900), world.random(3_000) + 1_000);
            world.shared.net.lock().store_away = true;
            sleep(ms(away)).await;
            world.shared.net.lock().store_away = false;
            sleep(ms(back)).await;
        }
        assert_eq!((world.map().version, coordinator(&world)), (version, before), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_the_store_cost_time_only() {
    for seed in 1..=10 {
        let mut world = World::new(seed);
        world.shared.net.lock().lost_permille = 100;
        for member in 1..=3 {
            world.start(member).await;
        }
        world.rest().await;
        sleep(ms(10_000)).await;
        let at_once = world.history().windows(2).all(|pair| pair[0].1.version + 1 == pair[1].1.version);
        assert!(at_once, "every map follows from the one before");
        world.kill(another(&world));
        world.until("taken over", ms(10_000), World::is_taken_over).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_newer_map_is_fetched_at_once() {
    let world = World::at_rest(1, 3).await;
    let (from, to) = (coordinator(&world), another(&world));
    // It hears nothing of the others, and looks for the map in the store only now and then.
    world.shared.net.lock().cut.insert((from, to));
    world.handle(from).admin(Request::Cordon(Incarnation(from))).await.unwrap();
    let (newest, handle) = (world.map().version, world.handle(to));
    assert!(handle.current().version < newest);
    let began = world.now();
    let refreshes = (0..50).map(|_| {
        let handle = handle.clone();
        tokio::spawn(async move { handle.refresh(newest - 1, ms(500)).await.map(|map| map.version) })
    });
    for refresh in refreshes.collect::<Vec<_>>() {
        assert_eq!(refresh.await.unwrap(), Ok(newest));
    }
    assert!(world.since(began) <= ms(30), "{:?}", world.since(began));
    let none = handle.refresh(newest, ms(500)).await;
    assert_eq!(none, Err(Error::NotNewer { version: newest, waited: ms(500) }));
}
