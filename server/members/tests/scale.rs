//! The planner where it is largest: a thousand members, every slot's load, shards up to one per slot.
//!
//! Nothing is timed. `--nocapture` shows what decision 0014 tells.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use ordermill_members::{Formats, Incarnation, Map, Member, MemberView, Plan, Policy, Reason, ShardView, State, plan};
use ordermill_order::Partition;
use ordermill_station::limits;

const MEMBERS: u64 = 1_000;
/// What the cluster gets per second: 36,000 orders of two lines, five commands each.
const COMMANDS_PER_S: u64 = 180_000;
const ITEMS: u64 = 1_000_000;

/// A cluster whose members serve at once what they are given.
struct Cluster {
    map: Map,
    members: Vec<Incarnation>,
    /// Commands per second, thousandths, of each shard.
    loads: Vec<u64>,
    age_ms: u64,
    moves: usize,
    plans: usize,
}

/// The load of each slot, thousandths of commands per second: a third comes from customers, evenly, the rest from
/// items, of which few are wanted much (Zipf's law with exponent 0.8: the most wanted is in 1 of 1,200 lines).
fn slots() -> Vec<u64> {
    let weight = |item: u64| 1.0 / ((item + 1) as f64).powf(0.8);
    let total: f64 = (0..ITEMS).map(weight).sum();
    let thousandths = (COMMANDS_PER_S * 1_000) as f64;
    let mut slots = vec![thousandths / 3.0 / f64::from(limits::SLOTS); limits::SLOTS as usize];
    for item in 0..ITEMS {
        let slot = Partition::of_item("", &format!("sku-{item}")).slot;
        slots[slot as usize] += thousandths * 2.0 / 3.0 * weight(item) / total;
    }
    slots.into_iter().map(|load| load as u64).collect()
}

impl Cluster {
    fn new(shards: u32, slots: &[u64]) -> Self {
        let map = Map::first(shards, 1);
        let load = |first: u16, last: u16| slots[first as usize..=last as usize].iter().sum();
        let loads = map.shards.iter().map(|shard| load(shard.range.first, shard.range.last)).collect();
        let mut cluster = Self { map, members: Vec::new(), loads, age_ms: 1, moves: 0, plans: 0 };
        (1..=MEMBERS).for_each(|number| cluster.join(number));
        cluster
    }

    fn join(&mut self, number: u64) {
        let (incarnation, formats) = (Incarnation(number << 32 | 0x5eed), Formats { min: 1, max: 1 });
        let (name, address) = (format!("orders-{number}"), format!("orders-{number}.orders-peers:7401"));
        self.members.push(incarnation);
        self.map.members.push(Member { incarnation, name, address, formats });
    }

    fn views(&self) -> Vec<MemberView> {
        let mut shards = std::collections::BTreeMap::<_, Vec<ShardView>>::new();
        for shard in &self.map.shards {
            if let Some(owner) = shard.owner {
                let load = self.loads[shard.id.0 as usize] / 1_000;
                shards.entry(owner).or_default().push(ShardView { id: shard.id, load });
            }
        }
        let view = |&incarnation: &Incarnation| MemberView {
            incarnation,
            shards: shards.remove(&incarnation).unwrap_or_default(),
            busy_permille: 900,
            queue_delay: Duration::ZERO,
        };
        self.members.iter().map(view).collect()
    }

    fn step(&mut self) -> Plan {
        let made = plan(&self.map, &self.views(), &Policy::at(self.age_ms));
        made.apply(&mut self.map, self.age_ms);
        self.map.shards.iter_mut().for_each(|shard| (shard.state, shard.from) = (State::Settled, None));
        self.plans += 1;
        self.moves += made.moves.len();
        self.age_ms += limits::BEAT.as_millis() as u64;
        made
    }

    /// Plans, beat by beat, until nothing has moved for as long as a moved shard stays.
    fn rest(&mut self) {
        let mut quiet = 0;
        while quiet <= limits::SETTLE.as_millis() / limits::BEAT.as_millis() {
            quiet = if self.step().moves.is_empty() { quiet + 1 } else { 0 };
            assert!(self.plans < 20_000, "the plans do not come to rest");
        }
    }

    fn load_of(&self, view: &MemberView) -> u64 {
        view.shards.iter().map(|one| self.loads[one.id.0 as usize]).sum()
    }

    fn mean(&self) -> u64 {
        self.loads.iter().sum::<u64>() / MEMBERS
    }

    /// Shards of each member, and its load in hundredths of the average, the least and the greatest.
    fn spread(&self) -> ((usize, usize), (u64, u64)) {
        let views = self.views();
        let counts = views.iter().map(|view| view.shards.len());
        let loads = views.iter().map(|view| self.load_of(view));
        let of_mean = |load: u64| load * 100 / self.mean();
        (
            (counts.clone().min().unwrap(), counts.max().unwrap()),
            (of_mean(loads.clone().min().unwrap()), of_mean(loads.max().unwrap())),
        )
    }
}

#[test]
fn a_thousand_members_are_level_and_a_lost_one_is_replaced_at_once() {
    let slots = slots();
    for shards in [4_096, limits::SHARDS_SHARED_MAX, limits::SLOTS] {
        let mut cluster = Cluster::new(shards, &slots);
        assert_eq!(cluster.step().moves.len(), shards as usize, "all get an owner at once");
        let (_, first) = cluster.spread();
        cluster.moves = 0;
        cluster.rest();
        let without_hottest = {
            let mut loads: Vec<u64> = cluster.views().iter().map(|view| cluster.load_of(view)).collect();
            loads.sort_unstable();
            loads[MEMBERS as usize * 99 / 100] * 100 / cluster.mean()
        };
        let (moves, age_s) = (cluster.moves, cluster.age_ms / 1_000);
        let (counts, loads) = cluster.spread();
        println!(
            "{shards} shards, {MEMBERS} members: {} to {} shards each; load {} to {} % of the average at first, {} to {} %, \
             99 of 100 members at most {without_hottest} %, after {moves} moves in {age_s} s; the map has {} bytes",
            counts.0,
            counts.1,
            first.0,
            first.1,
            loads.0,
            loads.1,
            cluster.map.encode().len()
        );
        assert!(counts.1 - counts.0 <= 1, "{counts:?}");
        for view in cluster.views() {
            let loads = || view.shards.iter().map(|one| cluster.loads[one.id.0 as usize]);
            let besides_hottest = loads().sum::<u64>() - loads().max().unwrap();
            assert!(besides_hottest * 100 <= cluster.mean() * limits::LOAD_SPREAD_PERCENT, "a member can be relieved");
        }
        let gone = cluster.members.remove(499);
        cluster.map.members.retain(|member| member.incarnation != gone);
        let owned = cluster.map.owned_by(gone).count();
        let made = cluster.step();
        assert_eq!(made.moves.len(), owned);
        assert!(made.moves.iter().all(|one| one.reason == Reason::Gone && one.from == Some(gone)));
    }
}

#[test]
fn the_largest_map_fits_into_a_value_of_the_store() {
    let mut cluster = Cluster::new(limits::SHARDS_SHARED_MAX, &vec![0; limits::SLOTS as usize]);
    // As long as its entries can get: all were split from others, have moved, and are on their way.
    for shard in &mut cluster.map.shards {
        shard.parent = Some(ordermill_members::Parent { shard: shard.id, number: u64::MAX >> 8 });
        shard.moved_ms = u64::MAX >> 20;
        shard.state = State::Moving;
        shard.from = Some(Incarnation(u64::MAX));
        shard.owner = Some(Incarnation(u64::MAX));
        shard.split = Some(ordermill_members::Split { at: u16::MAX, left: shard.id, right: shard.id });
    }
    let bytes = cluster.map.encode().len();
    println!("the longest map of {} shards has {bytes} bytes", limits::SHARDS_SHARED_MAX);
    assert!(
        bytes * 4 < limits::STORE_VALUE_BYTES * 3,
        "{bytes} of {}: the rest is for those that were split",
        limits::STORE_VALUE_BYTES
    );
}
