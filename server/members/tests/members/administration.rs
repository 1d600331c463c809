//! What administrators ask, wherever they ask it, and the formats of builds.

use ordermill_members::{Error, Formats, Handle, Incarnation, Map, Request};
use ordermill_station::{clock, limits};
use ordermill_store::ShardId;
use tokio::time::sleep;

use crate::world::{World, ms};

const ONE: Formats = Formats { min: 1, max: 1 };
const BOTH: Formats = Formats { min: 1, max: 2 };

#[tokio::test(start_paused = true)]
async fn any_member_takes_a_request_to_the_coordinator() {
    let world = World::at_rest(1, 3).await;
    for member in 1..=3 {
        let who = Incarnation(member);
        let done = world.handle(member).admin(Request::Cordon(who)).await.unwrap();
        assert!(world.map().is_cordoned(who) && world.map().version >= done.version);
        world.handle(4 - member).admin(Request::Uncordon(who)).await.unwrap();
        assert!(!world.map().is_cordoned(who));
    }
    let nobody = world.handle(2).admin(Request::Drain(Incarnation(77))).await;
    assert_eq!(nobody, Err(Error::Refused("there is no member 000000000000004d".into())));
    world.handle(3).admin(Request::Rebalance).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn any_member_shows_what_the_coordinator_has_heard() {
    let mut world = World::at_rest(1, 3).await;
    let [first] = world.coordinators()[..] else { panic!("one coordinates: {:?}", world.coordinators()) };
    // Every member has beaten to the one that coordinates now.
    sleep(limits::BEAT * 2).await;
    for member in 1..=3 {
        let overview = world.handle(member).overview().await;
        assert_eq!(overview.coordinator.map(|known| known.incarnation), Some(Incarnation(first)));
        assert_eq!(overview.map.version, world.map().version);
        let heard: Vec<_> = overview.heard.iter().map(|heard| heard.member.0).collect();
        assert_eq!(heard, [1, 2, 3]);
        for heard in overview.heard {
            assert!(heard.ago <= limits::BEAT * 2, "{heard:?}");
            let told: Vec<ShardId> = heard.shards.iter().map(|report| report.shard).collect();
            let mut owned: Vec<ShardId> = world.map().owned_by(heard.member).map(|shard| shard.id).collect();
            owned.sort_unstable();
            assert_eq!(told, owned);
        }
    }
    // Without a coordinator the map is all there is, and that is said in time.
    world.kill(first);
    let left = 1 + first % 3;
    let began = world.now();
    let overview = world.handle(left).overview().await;
    assert!(world.since(began) <= limits::COORDINATION_DEADLINE + ms(10));
    assert_eq!((overview.coordinator, overview.heard.len()), (None, 0));
    assert_eq!(overview.map.members.len(), 3);
    world.until("another coordinator", ms(5_000), |world| world.coordinators().iter().any(|one| *one != first)).await;
    sleep(limits::BEAT * 2).await;
    let overview = world.handle(left).overview().await;
    assert!(overview.coordinator.is_some_and(|known| known.incarnation.0 != first));
    let heard: Vec<_> = overview.heard.iter().map(|heard| heard.member.0).collect();
    assert!(!heard.contains(&first) && heard.len() == 2, "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_an_administrator_drains_is_emptied_and_may_take_shards_again() {
    let world = World::at_rest(1, 3).await;
    let drained = Incarnation(2);
    world.handle(1).admin(Request::Drain(drained)).await.unwrap();
    world.until("empty", ms(5_000), |world| world.counts()[1] == 0).await;
    sleep(limits::SETTLE).await;
    world.handle(3).admin(Request::Uncordon(drained)).await.unwrap();
    world.rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_moves_where_it_is_wanted_and_stays() {
    let world = World::at_rest(1, 3).await;
    let shard = world.map().owned_by(Incarnation(1)).next().unwrap().id;
    world.handle(3).admin(Request::Move { shard, to: Incarnation(2) }).await.unwrap();
    world.rest().await;
    sleep(limits::SETTLE * 2).await;
    assert_eq!(world.map().shard(shard).unwrap().owner, Some(Incarnation(2)));
    assert!(world.is_at_rest());
    let refused = world.handle(1).admin(Request::Move { shard: ShardId(999), to: Incarnation(2) }).await;
    assert!(matches!(refused, Err(Error::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_nobody_can_carry_out_says_so_in_time() {
    let world = World::at_rest(1, 2).await;
    world.shared.net.lock().store_away = true;
    let began = world.now();
    let asked = world.handle(1).admin(Request::Rebalance).await;
    // Loads can be levelled later, so that this may be granted at once.
    assert!(asked.is_ok() || world.since(began) <= limits::ADMIN_DEADLINE + ms(10));
    let asked = world.handle(1).admin(Request::Cordon(Incarnation(1))).await;
    assert!(matches!(asked, Err(Error::Unavailable(_))), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_build_that_does_not_know_the_format_is_refused() {
    let world = World::at_rest(1, 2).await;
    let refused = world.join(3, Formats { min: 2, max: 3 }).await.unwrap_err();
    assert_eq!(refused, Error::Format { store: 1, min: 2, max: 3 });
    let text = "the store is in format 1; this build reads and writes formats 2 to 3";
    assert_eq!(refused.to_string(), text);
    assert_eq!(world.map().members.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_format_rises_when_everybody_can_write_it() {
    let mut world = World::new(1);
    world.start_with(1, ONE).await;
    world.start_with(2, BOTH).await;
    world.start_with(3, BOTH).await;
    world.rest().await;
    assert_eq!(world.map().format, 1, "the one that made the map knew no other");
    let raise = Request::RaiseFormat(2);
    let refused = world.handle(2).admin(raise).await;
    let why = "format 2 is not known to the build of pod-1 (0000000000000001: formats 1 to 1)";
    assert_eq!(refused, Err(Error::Refused(why.into())));
    let known = |world: &World| (world.map().known_format(), world.map().format);
    assert_eq!(known(&world), (1, 1));
    // The old build stands still and is forgotten; the others go on without it.
    world.pause(1);
    sleep(ms(5_000)).await;
    assert_eq!(known(&world), (2, 1));
    let raised = world.handle(2).admin(raise).await.unwrap();
    assert_eq!(known(&world), (2, 2));
    // What is so already is granted, and changes nothing.
    assert_eq!(world.handle(3).admin(raise).await.unwrap(), raised);
    world.resume(1);
    let node = world.nodes.remove(&1).unwrap();
    assert_eq!(node.run.await.unwrap(), Err(Error::Format { store: 2, min: 1, max: 1 }));
    assert_eq!(node.handle.current().format, 1);
    world.rest().await;
}

#[tokio::test]
async fn alone_nothing_changes() {
    let me = ordermill_members::Member {
        incarnation: Incarnation(5),
        name: "laptop".into(),
        address: String::new(),
        formats: ONE,
    };
    let handle = Handle::alone(4, me.clone(), clock::System::shared());
    assert_eq!(*handle.current(), Map::alone(4, me));
    assert_eq!(handle.drain_me(limits::DRAIN).await, ordermill_members::Drained::NobodyElse);
    assert!(matches!(handle.admin(Request::Rebalance).await, Err(Error::Refused(_))));
    assert!(matches!(handle.refresh(1, ms(1)).await, Err(Error::NotNewer { version: 1, .. })));
    handle.close().await;
}
