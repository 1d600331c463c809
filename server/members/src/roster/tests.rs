//! Who counts as gone, and who does not.

use super::*;
use crate::map::Formats;
use crate::report::ShardReport;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn beat(number: u64) -> Beat {
    let formats = Formats { min: 1, max: 1 };
    Beat {
        member: Member { incarnation: Incarnation(number), name: String::new(), address: String::new(), formats },
        draining: false,
        leaving: false,
        was_draining: false,
        was_cordoned: false,
        map_version: 1,
        term: 1,
        store_silence: Duration::ZERO,
        shards: Vec::new(),
        process: ProcessReport::default(),
    }
}

/// A map with members 1 and 2.
fn map() -> Map {
    let mut map = Map::first(4, 1);
    map.members = vec![beat(1).member, beat(2).member];
    map
}

fn gone(roster: &mut Roster) -> Vec<u64> {
    roster.expire().into_iter().map(|member| member.incarnation.0).collect()
}

#[test]
fn silence_counts_only_while_renewals_succeed() {
    let (map, mut roster) = (map(), Roster::new(1, ms(0)));
    roster.know(ms(0), &map, None);
    for at in (250..=1_000).step_by(250) {
        roster.renewed(ms(at));
        roster.hear(ms(at), &beat(1), &map);
    }
    // The store is away for five seconds, and nobody is gone because of it.
    roster.failed();
    roster.renewed(ms(6_000));
    assert_eq!(gone(&mut roster), [0u64; 0]);
    roster.hear(ms(6_000), &beat(1), &map);
    roster.renewed(ms(6_199));
    assert_eq!(gone(&mut roster), [0u64; 0]);
    roster.renewed(ms(6_200));
    assert_eq!(gone(&mut roster), [2]);
}

#[test]
fn the_silent_coordinator_is_gone_at_once_unless_it_speaks() {
    let (map, mut roster) = (map(), Roster::new(2, ms(0)));
    roster.know(ms(0), &map, Some(Incarnation(2)));
    assert_eq!(roster.views(&map).len(), 1);
    let mut roster = Roster::new(2, ms(0));
    roster.hear(ms(0), &beat(2), &map);
    roster.know(ms(0), &map, Some(Incarnation(2)));
    assert_eq!(roster.views(&map).len(), 2);
}

#[test]
fn who_does_not_reach_the_store_is_gone_in_the_end_and_does_not_join() {
    let (map, mut roster) = (map(), Roster::new(1, ms(0)));
    roster.know(ms(0), &map, None);
    let cut = |number, silence| Beat { store_silence: ms(silence), ..beat(number) };
    for at in (250..=3_000).step_by(250) {
        assert_eq!(gone(&mut roster), [0u64; 0]);
        roster.renewed(ms(at));
        roster.hear(ms(at), &beat(1), &map);
        roster.hear(ms(at), &cut(2, 1_000 + at), &map);
    }
    assert_eq!(gone(&mut roster), [2]);
    assert!(!roster.hear(ms(3_100), &cut(2, 4_100), &map));
    assert_eq!(roster.views(&map).len(), 1);
}

#[test]
fn a_member_that_comes_back_is_what_it_was() {
    let (mut map, mut roster) = (map(), Roster::new(1, ms(0)));
    roster.know(ms(0), &map, None);
    roster.hear(ms(0), &Beat { was_draining: true, was_cordoned: true, ..beat(3) }, &map);
    // Members of the map are what the map says.
    roster.hear(ms(0), &Beat { was_draining: true, was_cordoned: true, ..beat(1) }, &map);
    roster.hear(ms(0), &Beat { draining: true, ..beat(2) }, &map);
    roster.enrol(&mut map);
    assert_eq!(map.drains, [Incarnation(2), Incarnation(3)]);
    assert_eq!(map.cordons, [Incarnation(3)]);
    assert_eq!(map.members.len(), 3);
    assert!(roster.hear(ms(1), &Beat { leaving: true, ..beat(3) }, &map));
    roster.enrol(&mut map);
    assert_eq!((map.drains.len(), map.cordons.len(), map.members.len()), (1, 0, 2));
}

#[test]
fn a_move_ends_when_the_owner_serves() {
    let (mut map, mut roster) = (map(), Roster::new(1, ms(0)));
    roster.know(ms(0), &map, None);
    (map.shards[0].owner, map.shards[0].state) = (Some(Incarnation(1)), State::Moving);
    map.shards[0].from = Some(Incarnation(9));
    roster.settle(&mut map);
    assert_eq!((map.shards[0].state, map.shards[0].from), (State::Moving, None), "who is gone hands nothing over");
    let report = |state| ShardReport {
        shard: ShardId(0),
        state,
        epoch: 1,
        committed: 1,
        checkpoint_lag: 0,
        queue_delay: Duration::ZERO,
        commands_per_s: 160,
        unflushed_bytes: 0,
    };
    assert!(roster.hear(ms(0), &Beat { shards: vec![report(ShardState::Starting)], ..beat(1) }, &map));
    roster.settle(&mut map);
    assert_eq!(map.shards[0].state, State::Moving);
    let serving = Beat { shards: vec![report(ShardState::Serving)], ..beat(1) };
    assert!(roster.hear(ms(0), &serving, &map));
    assert!(!roster.hear(ms(0), &serving, &map), "no news");
    roster.settle(&mut map);
    assert_eq!(map.shards[0].state, State::Settled);
    assert_eq!(roster.views(&map)[0].shards, [ShardView { id: ShardId(0), load: 160 }]);
}
