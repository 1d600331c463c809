//! How far a cluster has come whose PD and TiKV the operator runs: a pure function from what is there.
//!
//! Goes forward only: what was built once is built from then on, whatever PD says or does not say.

use std::time::Duration;

use kube::ResourceExt as _;

use crate::build::{Stage, names};
use crate::crd::{Managed, OrderCluster, OrderClusterStatus, UpgradeStatus};
use crate::observe::Observed;
use crate::pd::Seen;
use crate::{ask, limits, regions};

/// What is asked of PD and TiKV, where the operator runs them.
pub fn managed(cluster: &OrderCluster) -> Option<&Managed> {
    cluster.spec.storage.tikv.as_ref()?.managed.as_ref()
}

/// How far it has come.
pub fn of(cluster: &OrderCluster, observed: &Observed, store: Option<&Result<Seen, ask::Error>>) -> Stage {
    let name = cluster.name_any();
    let said = cluster.status.as_ref().and_then(|status| status.store.as_ref()).is_some_and(|store| store.bootstrapped);
    let there = Latches {
        bootstrapped: said
            || observed.joins(&name)
            || observed.stateful_set(&names::Database::Tikv.of(&name)).is_some(),
        stored: observed.stateful_set(&name).is_some(),
    };
    managed(cluster).map_or(Stage::ALL, |managed| next(managed, there, store.and_then(|store| store.as_ref().ok())))
}

/// What was reached before.
#[derive(Clone, Copy, Debug)]
struct Latches {
    bootstrapped: bool,
    stored: bool,
}

fn next(managed: &Managed, there: Latches, seen: Option<&Seen>) -> Stage {
    let wanted = managed.pd.replicas as usize;
    // All of them: one that comes later would join, and PD does not let a member join that it counts already.
    let formed = seen.is_some_and(|seen| {
        seen.leader.is_some() && seen.members.len() >= wanted && seen.members.iter().all(|(_, well)| *well)
    });
    let bootstrapped = there.bootstrapped || formed;
    // As many as there are copies of a row: with fewer, PD would not rest.
    let enough = seen.is_some_and(|seen| seen.up() >= managed.copies() as usize);
    Stage { bootstrapped, stored: there.stored || (bootstrapped && enough) }
}

/// When to look again: PD tells nobody by itself.
pub fn look_again(cluster: &OrderCluster, status: &OrderClusterStatus) -> Duration {
    let under_way = |upgrade: &UpgradeStatus| upgrade.step != "RolledBack";
    if status.upgrade.as_ref().is_some_and(under_way) {
        return limits::UPGRADE_WAIT;
    }
    if status.scaling.as_ref().is_some_and(|scaling| !scaling.draining.is_empty()) {
        return limits::UPGRADE_WAIT;
    }
    let usual = if cluster.spec.autoscaling.is_some() { limits::SCALE_LOOK } else { limits::RESYNC };
    let Some(managed) = managed(cluster) else { return usual };
    let so = |type_: &str| status.conditions.iter().any(|it| it.type_ == type_ && it.status == "True");
    let division = status.store.as_ref().and_then(|store| store.division.clone()).unwrap_or_default();
    let divided = managed.copies() == 1 || !regions::pending(&division);
    if divided && so("StoreReady") && so("StoresSettled") {
        limits::STORE_RESYNC.min(usual)
    } else {
        limits::STORE_WAIT
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::pd::Store;

    fn seen(well: &[bool], up: usize) -> Seen {
        let store = |id: usize, state: &str| Store {
            id: id as u64,
            address: format!("shop-tikv-{id}.s:20160"),
            state: state.to_owned(),
            used: 0,
            regions: 0,
            leaders: 0,
            labels: BTreeMap::new(),
        };
        let mut stores: Vec<Store> = (0..up).map(|id| store(id, "Up")).collect();
        stores.push(store(9, "Tombstone"));
        Seen {
            members: well.iter().enumerate().map(|(id, well)| (format!("shop-pd-{id}"), *well)).collect(),
            leader: Some("shop-pd-0".to_owned()),
            stores,
            copies: Some(3),
            levels: Vec::new(),
        }
    }

    const NOTHING: Latches = Latches { bootstrapped: false, stored: false };

    #[test]
    fn pd_then_tikv_then_members() {
        let managed = Managed::default();
        let stage = |seen: Option<Seen>| {
            let stage = next(&managed, NOTHING, seen.as_ref());
            (stage.bootstrapped, stage.stored)
        };
        assert_eq!(stage(None), (false, false));
        assert_eq!(stage(Some(seen(&[true, true], 0))), (false, false), "one is still to come");
        assert_eq!(stage(Some(seen(&[true, true, false], 0))), (false, false));
        assert_eq!(stage(Some(Seen { leader: None, ..seen(&[true; 3], 0) })), (false, false));
        assert_eq!(stage(Some(seen(&[true; 3], 2))), (true, false));
        assert_eq!(stage(Some(seen(&[true; 3], 3))), (true, true));
    }

    #[test]
    fn what_was_reached_stays_when_pd_is_away() {
        let managed = Managed::default();
        let all = Latches { bootstrapped: true, stored: true };
        assert_eq!(next(&managed, all, None), Stage::ALL);
        assert_eq!(next(&managed, all, Some(&seen(&[true, false, false], 0))), Stage::ALL);
    }
}
