//! Whole clusters in simulated time, some seeds of them. `cargo xtask sim` runs others.

#[cfg(feature = "planted-faults")]
mod planted;

use std::collections::BTreeMap;

use ordermill_simulation::cluster::{Counts, Report, Settings, run};

/// Seeds that are run with faults.
const SEEDS: u64 = 12;

fn check(seed: u64, settings: &Settings) -> Report {
    let report = run(seed, settings);
    let tail = &report.log[report.log.len().saturating_sub(30)..];
    assert!(report.wrong.is_empty(), "cargo xtask sim --seed {seed}: {:#?}\n{tail:#?}", report.wrong);
    report
}

#[test]
fn a_cluster_without_faults_takes_orders_and_settles() {
    let report = check(1, &Settings { faults: false, ..Settings::default() });
    assert!(report.counts.orders > 20 && report.counts.unknown == 0, "{:?}", report.counts);
}

/// What has to happen in some of the seeds, or nothing of it was tried.
const HAPPENS: [&str; 38] = [
    // To the store.
    "slow",
    "failed",
    "lost replies",
    "late",
    "late behind another",
    "silent",
    "own conflicts",
    "two phases",
    "orphans",
    "locked",
    "hung",
    "outages",
    "moves",
    "early commits",
    "inverted commits",
    // To members, their machines and their network.
    "late ways",
    "crash",
    "silent crash",
    "pause",
    "long pause",
    "cut one way",
    "cut both ways",
    "cut off",
    "cut off from the store",
    "connections broken",
    "clock jump",
    "join",
    "drain",
    "upgrade",
    "rollback",
    "format raised",
    // And what they did.
    "newer records",
    "taken over from a newer build",
    "trimmed records",
    "deleted records",
    "orders run out",
    "conditional changes",
    "mismatches",
];

#[test]
fn clusters_keep_their_promises_whatever_goes_wrong() {
    let (mut all, mut happened) = (Counts::default(), BTreeMap::new());
    for seed in 0..SEEDS {
        let report = check(seed, &Settings::default());
        all.add(&report.counts);
        report.happened.iter().for_each(|(what, times)| *happened.entry(*what).or_insert(0) += times);
    }
    println!("{SEEDS} seeds: {all:?}, {happened:#?}");
    // Otherwise nothing of the above was tried.
    assert!(all.orders > 40 * SEEDS && all.reads > 400 * SEEDS && all.events > 100 * SEEDS, "{all:?}");
    assert!(all.faults > 10 * SEEDS && all.refused > 10 * SEEDS && all.unknown > 0, "{all:?}");
    let never: Vec<_> = HAPPENS.iter().filter(|what| happened.get(**what).is_none_or(|times| *times == 0)).collect();
    assert!(never.is_empty(), "{never:?} never happened");
}

#[test]
fn shards_that_are_split_keep_all_promises_without_faults() {
    let report = check(5, &Settings { faults: false, splits: true, ..Settings::default() });
    assert!(report.counts.orders > 20 && report.counts.unknown == 0, "{:?}", report.counts);
    assert!(report.counts.splits > 2, "{:?}", report.counts);
}

/// The owner, the coordinator and whoever else crash, stand still or are cut off at any point of a split.
#[test]
fn shards_that_are_split_keep_all_promises_whatever_goes_wrong() {
    let mut all = Counts::default();
    let settings = Settings { splits: true, ..Settings::default() };
    (0..SEEDS).for_each(|seed| all.add(&check(seed, &settings).counts));
    println!("{SEEDS} seeds: {all:?}");
    assert!(all.splits > 2 * SEEDS && all.orders > 40 * SEEDS && all.events > 100 * SEEDS, "{all:?}");
}

/// Seeds that have found something.
#[test]
fn the_feed_goes_on_at_a_member_that_has_handed_a_shard_over() {
    check(122, &Settings::default());
}

#[test]
fn the_same_seed_is_the_same_history() {
    let settings = Settings::default();
    for seed in [2, 3] {
        let (once, again) = (run(seed, &settings), run(seed, &settings));
        let differs = once.log.iter().zip(&again.log).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(once, again, "seed {seed}");
    }
    assert_ne!(run(2, &settings).digest, run(3, &settings).digest);
}

/// The same in two processes: nothing hangs on where something lies in memory, or on what a process draws.
#[test]
fn the_same_seed_is_the_same_log_in_every_process() {
    let log = || {
        let program = env!("CARGO_BIN_EXE_ordermill-simulation");
        let done = std::process::Command::new(program).args(["--seed", "4"]).output().expect("it can be run");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
        done.stdout
    };
    assert!(log() == log(), "two logs of one seed differ");
}
