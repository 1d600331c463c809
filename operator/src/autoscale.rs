//! How many members there should be: a pure function from what members say of their load.
//!
//! More at once, fewer only after a while in which nobody wanted more. What is not known freezes the number; the
//! store's own time is no load, as more members do not make it faster. Knows no clock: ages come in.

use crate::crd::Autoscaling;

/// What one member says of its load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Share of its processors that is in use, in thousandths.
    pub busy_permille: u32,
    /// How long commands wait for a shard, microseconds, the store's own time left out.
    pub queue_delay_us: u64,
    /// Requests that it has taken in the last while.
    pub taken: u64,
    /// Requests that it has refused in that while for want of capacity.
    pub refused: u64,
}

/// What the planner has wanted before, with the age of each, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How many members.
    pub replicas: i32,
    /// How long ago.
    pub seconds: u64,
}

/// What a plan is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What is asked.
    pub spec: &'a Autoscaling,
    /// How many members there are to be now.
    pub replicas: i32,
    /// What each member says; None of one that says nothing.
    pub loads: &'a [Option<Load>],
    /// Whether an upgrade is under way, or pods are still coming or going.
    pub changing: bool,
    /// What was wanted before.
    pub wishes: &'a [Wish],
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How many members there are to be.
    pub replicas: i32,
    /// How many the load alone asks for; None where it is not known.
    pub wish: Option<i32>,
    /// Why, in a word.
    pub reason: Reason,
}

/// Why a plan is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The load is as it should be.
    Steady,
    /// More are needed.
    More,
    /// Fewer are needed.
    Fewer,
    /// Fewer would do, and have not for long enough.
    Settling,
    /// Not every member says how it is.
    Frozen,
    /// An upgrade or a change of number is under way.
    Changing,
    /// There are to be no members at all, or the number was outside of the bounds.
    Bounds,
}

/// Within this much of the target, in thousandths of it, nothing is changed.
const TOLERANCE_PERMILLE: u64 = 100;

/// Makes the plan.
pub fn plan(facts: &Facts<'_>) -> Plan {
    let (spec, now) = (facts.spec, facts.replicas);
    let bounded = |replicas: i32| replicas.clamp(spec.min_replicas, spec.max_replicas);
    let stay = |reason| Plan { replicas: now, wish: None, reason };
    if now == 0 {
        return stay(Reason::Bounds);
    }
    if facts.changing {
        return stay(Reason::Changing);
    }
    if bounded(now) != now {
        return Plan { replicas: bounded(now), wish: None, reason: Reason::Bounds };
    }
    let known: Option<Vec<Load>> = facts.loads.iter().copied().collect();
    let Some(loads) = known.filter(|loads| loads.len() as i32 >= now && !loads.is_empty()) else {
        return stay(Reason::Frozen);
    };
    let wish = bounded(wished(spec, now, &loads));
    let recent = facts.wishes.iter().filter(|wish| wish.seconds <= u64::from(spec.scale_down_seconds));
    let highest = recent.map(|wish| bounded(wish.replicas)).max().unwrap_or(now).max(wish);
    let (replicas, reason) = match wish {
        more if more > now => (more.min(now + spec.scale_up_step), Reason::More),
        _ if wish == now => (now, Reason::Steady),
        // As many as were wanted at any time lately, and no more than a step at once: each hands its shards over.
        _ if highest < now => (highest.max(now - spec.scale_down_step), Reason::Fewer),
        _ => (now, Reason::Settling),
    };
    Plan { replicas, wish: Some(wish), reason }
}

/// How many members the load asks for, in proportion to its target.
fn wished(spec: &Autoscaling, now: i32, loads: &[Load]) -> i32 {
    let count = loads.len() as u64;
    let busy = loads.iter().map(|load| u64::from(load.busy_permille)).sum::<u64>() / count;
    let (taken, refused) =
        loads.iter().fold((0, 0), |(taken, refused), load| (taken + load.taken, refused + load.refused));
    // What was refused is work that there was: a member that refuses half is twice as loaded as it looks.
    let asked = if taken == 0 && refused > 0 { busy.max(1_000) } else { busy + busy * refused / taken.max(1) };
    let by_busy = in_proportion(now, asked, u64::from(spec.target_busy_permille));
    let mut delays: Vec<u64> = loads.iter().map(|load| load.queue_delay_us).collect();
    delays.sort_unstable();
    // The median: one hot shard is a matter of its place, and more members do not divide it.
    let delay = delays[delays.len() / 2];
    let by_delay = in_proportion(now, delay, u64::from(spec.target_queue_delay_ms) * 1_000).min(now * 2);
    // A short queue alone is no reason to have fewer.
    by_busy.max(if by_delay > now { by_delay } else { 0 }).max(1)
}

fn in_proportion(now: i32, value: u64, target: u64) -> i32 {
    let target = target.max(1);
    let off = value.abs_diff(target) * 1_000 / target;
    if off <= TOLERANCE_PERMILLE {
        return now;
    }
    let wanted = (u128::from(value) * now as u128).div_ceil(u128::from(target));
    i32::try_from(wanted).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec() -> Autoscaling {
        Autoscaling {
            min_replicas: 2,
            max_replicas: 10,
            scale_up_step: 4,
            scale_down_step: 1,
            ..Autoscaling::default()
        }
    }

    fn load(busy_permille: u32) -> Option<Load> {
        Some(Load { busy_permille, queue_delay_us: 100, taken: 1_000, refused: 0 })
    }

    fn with(replicas: i32, loads: &[Option<Load>], wishes: &[Wish]) -> (i32, Reason) {
        let plan = plan(&Facts { spec: &spec(), replicas, loads, changing: false, wishes });
        (plan.replicas, plan.reason)
    }

    #[test]
    fn more_at_once_fewer_after_a_while() {
        assert_eq!(with(4, &[load(600); 4], &[]), (4, Reason::Steady));
        assert_eq!(with(4, &[load(900); 4], &[]), (6, Reason::More));
        assert_eq!(with(4, &[load(1_000); 4], &[]), (7, Reason::More));
        let idle = [load(100); 4];
        assert_eq!(with(4, &idle, &[Wish { replicas: 4, seconds: 299 }]), (4, Reason::Settling));
        assert_eq!(
            with(4, &idle, &[Wish { replicas: 4, seconds: 301 }, Wish { replicas: 3, seconds: 9 }]),
            (3, Reason::Fewer)
        );
    }

    #[test]
    fn what_is_refused_counts_and_a_slow_store_does_not() {
        let refusing = Some(Load { busy_permille: 600, queue_delay_us: 100, taken: 500, refused: 500 });
        assert_eq!(with(4, &[refusing; 4], &[]), (8, Reason::More));
        let waiting = Some(Load { queue_delay_us: 60_000, ..load(600).unwrap() });
        assert_eq!(with(4, &[waiting; 4], &[]), (8, Reason::More));
        assert_eq!(with(4, &[load(600), load(600), load(600), waiting], &[]), (4, Reason::Steady), "one hot shard");
    }

    #[test]
    fn unknown_is_frozen_and_an_upgrade_is_left_alone() {
        assert_eq!(with(4, &[load(100), load(100), load(100), None], &[]), (4, Reason::Frozen));
        assert_eq!(with(4, &[load(1_000); 3], &[]), (4, Reason::Frozen));
        let busy = [load(1_000); 4];
        let changing = plan(&Facts { spec: &spec(), replicas: 4, loads: &busy, changing: true, wishes: &[] });
        assert_eq!((changing.replicas, changing.reason), (4, Reason::Changing));
        assert_eq!(with(0, &[], &[]), (0, Reason::Bounds));
        assert_eq!(with(20, &[], &[]), (10, Reason::Bounds));
    }

    fn any_load() -> impl Strategy<Value = Option<Load>> {
        proptest::option::weighted(
            0.9,
            (0..=1_000_u32, 0..1_000_000_u64, 0..10_000_u64, 0..10_000_u64).prop_map(
                |(busy_permille, queue_delay_us, taken, refused)| Load {
                    busy_permille,
                    queue_delay_us,
                    taken,
                    refused,
                },
            ),
        )
    }

    fn any_wishes() -> impl Strategy<Value = Vec<Wish>> {
        proptest::collection::vec(
            (1..20_i32, 0..1_000_u64).prop_map(|(replicas, seconds)| Wish { replicas, seconds }),
            0..9,
        )
    }

    proptest! {
        #[test]
        fn a_plan_keeps_its_bounds_and_its_steps(
            replicas in 2..=10_i32, loads in proptest::collection::vec(any_load(), 0..12), wishes in any_wishes(),
        ) {
            let spec = spec();
            let plan = plan(&Facts { spec: &spec, replicas, loads: &loads, changing: false, wishes: &wishes });
            prop_assert!((spec.min_replicas..=spec.max_replicas).contains(&plan.replicas));
            prop_assert!(plan.replicas <= replicas + spec.scale_up_step && plan.replicas >= replicas - spec.scale_down_step);
            if loads.iter().any(Option::is_none) || (loads.len() as i32) < replicas {
                prop_assert_eq!(plan.replicas, replicas);
            }
        }

        #[test]
        fn more_load_never_means_fewer(
            replicas in 2..=10_i32, loads in proptest::collection::vec(any_load(), 10), which in 0..10_usize,
            busy in 0..500_u32, delay in 0..100_000_u64, refused in 0..1_000_u64,
        ) {
            let spec = spec();
            let all: Vec<Option<Load>> = loads.into_iter().map(|load| load.or(Some(Load { busy_permille: 5, queue_delay_us: 0, taken: 9, refused: 0 }))).collect();
            let mut more = all.clone();
            let load = more[which].as_mut().unwrap();
            (load.busy_permille, load.queue_delay_us) = (load.busy_permille + busy, load.queue_delay_us + delay);
            load.refused += if load.taken > 0 { refused } else { 0 };
            let wish = |loads: &[Option<Load>]| plan(&Facts { spec: &spec, replicas, loads, changing: false, wishes: &[] }).wish;
            prop_assert!(wish(&more) >= wish(&all));
        }
    }
}
