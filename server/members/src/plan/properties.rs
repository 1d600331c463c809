//! What every plan keeps, whatever the map, the members and the loads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::map::{Formats, Levelling, Member, Rebalancing};

/// A cluster in which every move succeeds.
#[derive(Clone, Debug)]
struct Cluster {
    map: Map,
    alive: Vec<(Incarnation, bool)>,
    loads: BTreeMap<u32, u64>,
    age_ms: u64,
}

impl Cluster {
    fn new(shards: u32, members: u64, loads: &[u64]) -> Self {
        let loads = (0..shards).map(|id| (id, loads.get(id as usize).copied().unwrap_or(0))).collect();
        let mut cluster = Self { map: Map::first(shards, 1), alive: Vec::new(), loads, age_ms: 1 };
        (1..=members).for_each(|number| cluster.join(number));
        cluster
    }

    fn join(&mut self, number: u64) {
        let (incarnation, formats) = (Incarnation(number), Formats { min: 1, max: 1 });
        self.alive.push((incarnation, true));
        self.map.members.push(Member { incarnation, name: String::new(), address: String::new(), formats });
    }

    fn leave(&mut self, at: usize) -> Incarnation {
        let gone = self.alive.remove(at).0;
        self.map.members.retain(|member| member.incarnation != gone);
        self.map.drains.retain(|member| *member != gone);
        gone
    }

    fn views(&self) -> Vec<MemberView> {
        let view = |&(incarnation, hot): &(Incarnation, bool)| MemberView {
            incarnation,
            shards: self
                .map
                .owned_by(incarnation)
                .map(|shard| ShardView { id: shard.id, load: self.loads[&shard.id.0] })
                .collect(),
            busy_permille: if hot { 900 } else { 0 },
            queue_delay: Duration::ZERO,
        };
        self.alive.iter().map(view).collect()
    }

    /// One plan, checked against what every plan keeps, and made true.
    fn step(&mut self) -> Plan {
        let policy = Policy { rebalancing: self.map.rebalancing, ..Policy::at(self.age_ms) };
        let views = self.views();
        let made = plan(&self.map, &views, &policy);
        assert_eq!(made, plan(&self.map, &views, &policy), "the same input gives the same plan");
        let lives = |member: &Incarnation| self.alive.iter().any(|(other, _)| other == member);
        let under_way =
            self.map.shards.iter().filter(|shard| shard.state == State::Moving && policy.is_settling(shard)).count();
        let planned = made.moves.iter().filter(|one| one.from.is_some_and(|from| lives(&from))).count();
        assert!(planned == 0 || planned + under_way <= policy.rebalancing.moves_at_once, "moves are bounded");
        let mut moved: Vec<_> = made.moves.iter().map(|one| one.shard).collect();
        moved.sort_unstable();
        moved.dedup();
        assert_eq!(moved.len(), made.moves.len(), "each shard moves once");
        for one in &made.moves {
            let shard = self.map.shard(one.shard).unwrap();
            assert_eq!(one.from, shard.owner);
            assert_ne!(one.from, one.to);
            assert!(
                !policy.is_settling(shard)
                    || shard.owner.is_none_or(|owner| !lives(&owner) || self.map.is_draining(owner)),
                "a settling shard stays"
            );
            let open = |member: Incarnation| !self.map.is_draining(member) && !self.map.is_cordoned(member);
            if let Some(to) = one.to {
                assert!(lives(&to) && !self.map.is_draining(to));
                assert!(open(to) || !self.alive.iter().any(|(other, _)| open(*other)), "a cordon is kept");
            }
        }
        made.apply(&mut self.map, self.age_ms);
        let takers = self.alive.iter().any(|(member, _)| !self.map.is_draining(*member));
        for shard in &self.map.shards {
            assert!(shard.owner.is_none_or(|owner| lives(&owner)), "an owner is alive");
            assert!(shard.owner.is_some() || !takers, "a shard has an owner when somebody can take it");
        }
        made
    }

    /// Everything that moves arrives.
    fn arrive(&mut self) {
        self.map.shards.iter_mut().for_each(|shard| (shard.state, shard.from) = (State::Settled, None));
    }

    /// Plans until nothing changes any more; says how many moves that took.
    fn rest(&mut self) -> usize {
        let mut moves = 0;
        for _ in 0..1_000 {
            let made = self.step();
            assert!(self.clone().step().moves.is_empty(), "a plan on a plan's outcome moves nothing");
            if made.moves.is_empty() {
                return moves;
            }
            moves += made.moves.len();
            self.arrive();
            self.age_ms += limits::SETTLE.as_millis() as u64;
        }
        panic!("the plans do not come to rest");
    }

    fn counts(&self) -> Vec<usize> {
        self.alive.iter().map(|(member, _)| self.map.owned_by(*member).count()).collect()
    }

    fn spread(&self) -> usize {
        let counts = self.counts();
        counts.iter().max().unwrap() - counts.iter().min().unwrap()
    }

    fn loads(&self) -> Vec<u64> {
        let of = |member| self.map.owned_by(member).map(|shard| self.loads[&shard.id.0]).sum();
        self.alive.iter().map(|(member, _)| of(*member)).collect()
    }
}

fn cluster() -> impl Strategy<Value = Cluster> {
    (1u32..=80, 1u64..=9, proptest::collection::vec(prop_oneof![Just(0), 0u64..100, 0u64..10_000], 80))
        .prop_map(|(shards, members, loads)| Cluster::new(shards, members, &loads))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn at_rest_the_numbers_are_even(mut cluster in cluster()) {
        cluster.rest();
        prop_assert!(cluster.spread() <= 1);
    }

    #[test]
    fn when_one_leaves_only_its_shards_move(mut cluster in cluster(), which: prop::sample::Index) {
        cluster.rest();
        let before = cluster.map.clone();
        let gone = cluster.leave(which.index(cluster.alive.len()));
        let owned = before.owned_by(gone).count();
        let made = cluster.step();
        prop_assert_eq!(made.moves.len(), owned);
        prop_assert!(made.moves.iter().all(|one| one.reason == Reason::Gone && one.from == Some(gone)));
        if !cluster.alive.is_empty() {
            prop_assert!(cluster.spread() <= 1);
        }
    }

    #[test]
    fn when_one_joins_few_shards_move(mut cluster in cluster()) {
        cluster.loads.values_mut().for_each(|load| *load = 1);
        cluster.rest();
        cluster.join(1_000);
        let moves = cluster.rest();
        prop_assert!(moves <= cluster.map.shards.len().div_ceil(cluster.alive.len()));
        prop_assert!(cluster.spread() <= 1);
    }

    #[test]
    fn a_drained_member_is_empty(mut cluster in cluster(), which: prop::sample::Index) {
        cluster.rest();
        let drained = cluster.alive[which.index(cluster.alive.len())].0;
        let owned = cluster.map.owned_by(drained).count();
        cluster.map.drains.push(drained);
        cluster.loads.values_mut().for_each(|load| *load = 1);
        let moves = cluster.rest();
        if cluster.alive.len() == 1 {
            prop_assert_eq!((moves, cluster.map.owned_by(drained).count()), (0, owned));
        } else {
            prop_assert_eq!((moves, cluster.map.owned_by(drained).count()), (owned, 0));
        }
    }

    #[test]
    fn nothing_new_goes_to_a_cordoned_member(mut cluster in cluster(), which: prop::sample::Index) {
        cluster.rest();
        let cordoned = cluster.alive[which.index(cluster.alive.len())].0;
        let before: Vec<_> = cluster.map.owned_by(cordoned).map(|shard| shard.id).collect();
        cluster.map.cordons.push(cordoned);
        cluster.join(1_000);
        cluster.rest();
        if let Some(at) = cluster.alive.iter().position(|(member, _)| *member != cordoned) {
            cluster.leave(at);
        }
        cluster.rest();
        let others = cluster.alive.len() > 1;
        prop_assert!(!others || cluster.map.owned_by(cordoned).all(|shard| before.contains(&shard.id)));
    }

    #[test]
    fn anything_may_happen_at_any_time(
        mut cluster in cluster(),
        events in proptest::collection::vec((0u8..7, any::<prop::sample::Index>(), 0u64..12_000), 1..40),
    ) {
        let mut next = 2_000;
        for (event, which, passed_ms) in events {
            let at = which.index(cluster.alive.len().max(1));
            match event {
                0 => { next += 1; cluster.join(next); }
                1 if !cluster.alive.is_empty() => { cluster.leave(at); }
                2 if !cluster.alive.is_empty() => {
                    let member = cluster.alive[at].0;
                    if let Err(place) = cluster.map.drains.binary_search(&member) {
                        cluster.map.drains.insert(place, member);
                    }
                }
                3 if !cluster.alive.is_empty() => {
                    let member = cluster.alive[at].0;
                    if let Err(place) = cluster.map.cordons.binary_search(&member) {
                        cluster.map.cordons.insert(place, member);
                    }
                }
                4 => { *cluster.loads.get_mut(&(at as u32)).unwrap_or(&mut 0) = passed_ms; }
                5 => cluster.arrive(),
                _ => {}
            }
            cluster.step();
            cluster.age_ms += passed_ms;
        }
    }
}

#[test]
fn a_hot_shard_leaves_an_overloaded_member() {
    // Member 1 has both hot shards, and as many shards as the others.
    let mut cluster = Cluster::new(4, 2, &[5_000, 10, 5_000, 10]);
    cluster.step();
    cluster.arrive();
    assert_eq!(cluster.loads(), [10_000, 20]);
    let made = cluster.step();
    assert_eq!(made.moves.len(), 2, "one goes, one comes: {made:?}");
    assert!(made.moves.iter().all(|one| one.reason == Reason::Load));
    assert_eq!((cluster.loads(), cluster.spread()), (vec![5_010, 5_010], 0));
}

#[test]
fn an_idle_cluster_is_left_alone_unless_asked() {
    let mut cluster = Cluster::new(4, 2, &[5_000, 10, 5_000, 10]);
    cluster.step();
    cluster.arrive();
    cluster.alive.iter_mut().for_each(|(_, hot)| *hot = false);
    assert_eq!(cluster.step(), Plan::default());
    let eager = Policy { eager: true, ..Policy::at(1) };
    assert_eq!(plan(&cluster.map, &cluster.views(), &eager).moves.len(), 2);
}

#[test]
fn nothing_moves_by_itself_while_that_is_paused_and_what_must_moves_as_few_at_once_as_asked() {
    let mut cluster = Cluster::new(12, 2, &[0; 12]);
    cluster.rest();
    cluster.map.rebalancing = Rebalancing { levelling: Levelling::Paused, moves_at_once: 2 };
    cluster.join(3);
    assert_eq!((cluster.rest(), cluster.counts()), (0, vec![6, 6, 0]));
    // Who is drained is emptied all the same, two at a time; who is gone has its shards taken over, all at once.
    cluster.map.drains.push(Incarnation(1));
    assert_eq!(cluster.step().moves.len(), 2);
    assert_eq!(cluster.step().moves.len(), 0, "two are under way");
    cluster.arrive();
    assert_eq!((cluster.rest(), cluster.counts()), (4, vec![0, 6, 6]));
    cluster.leave(1);
    assert_eq!(cluster.step().moves.len(), 6);
}

#[test]
fn a_hot_shard_stays_where_only_numbers_count_unless_asked() {
    let mut cluster = Cluster::new(4, 2, &[5_000, 10, 5_000, 10]);
    cluster.map.rebalancing.levelling = Levelling::Count;
    cluster.rest();
    assert_eq!(cluster.loads(), [10_000, 20]);
    let eager = Policy { eager: true, rebalancing: cluster.map.rebalancing, ..Policy::at(cluster.age_ms) };
    assert_eq!(plan(&cluster.map, &cluster.views(), &eager).moves.len(), 2);
}

#[test]
fn one_hot_shard_stays_and_the_others_make_room_only_if_it_helps() {
    // All the load is one shard: wherever it is, the highest load is the same.
    let mut cluster = Cluster::new(4, 2, &[9_000, 0, 0, 0]);
    cluster.step();
    cluster.arrive();
    assert_eq!(cluster.step(), Plan::default());
}

#[test]
fn a_moved_shard_stays_for_the_settle_time() {
    let mut cluster = Cluster::new(4, 1, &[0; 4]);
    cluster.step();
    cluster.arrive();
    cluster.join(2);
    let moved = cluster.step().moves;
    assert_eq!(moved.len(), 2);
    cluster.arrive();
    // The newcomer's shards would have to move again: they stay until the time is up.
    let others: Vec<_> = cluster.map.owned_by(Incarnation(1)).map(|shard| shard.id).collect();
    cluster.join(3);
    let made = cluster.step();
    assert!(made.moves.iter().all(|one| others.contains(&one.shard)), "{made:?}");
    // Unless their owner is gone.
    let at = cluster.alive.iter().position(|(member, _)| *member == Incarnation(2)).unwrap();
    cluster.leave(at);
    assert_eq!(cluster.step().moves.iter().filter(|one| one.reason == Reason::Gone).count(), 2);
}

#[test]
fn shards_never_owned_wait_while_members_gather() {
    let mut cluster = Cluster::new(4, 1, &[0; 4]);
    let gathering = Policy { gathering: true, ..Policy::at(1) };
    assert_eq!(plan(&cluster.map, &cluster.views(), &gathering), Plan::default());
    assert_eq!(cluster.step().moves.len(), 4);
}

#[test]
fn a_member_that_cannot_be_relieved_keeps_nobody_from_it() {
    // Member 1 has one shard that is hotter than what anybody should have; member 2 has two that could be apart.
    let mut cluster = Cluster::new(10, 5, &[200_000, 60_000, 10, 10, 10, 10, 60_000, 10, 10, 10]);
    cluster.step();
    cluster.arrive();
    assert_eq!(cluster.loads(), [200_010, 120_000, 20, 20, 20]);
    cluster.rest();
    let mut loads = cluster.loads();
    loads.sort_unstable();
    assert_eq!(loads[3], 60_010, "{loads:?}");
}
