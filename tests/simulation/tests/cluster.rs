//! Whole clusters in simulated time.

use ordermill_simulation::cluster::{Report, Settings, run};

fn check(seed: u64, settings: &Settings) -> Report {
    let report = run(seed, settings);
    let tail = report.log.len().saturating_sub(20);
    assert!(report.wrong.is_empty(), "seed {seed}: {:#?}\n{:#?}", report.wrong, &report.log[tail..]);
    report
}

#[test]
fn a_cluster_without_faults_takes_orders_and_settles() {
    let report = check(1, &Settings { faults: false, ..Settings::default() });
    assert!(report.counts.orders > 20 && report.counts.unknown == 0, "{:?}", report.counts);
}
