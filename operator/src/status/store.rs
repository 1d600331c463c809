//! What is said of PD and TiKV.
//!
//! Shows no number that changes by itself from look to look: a status that did would wake the operator for ever.

use super::Facts;
use crate::crd::{StoreRow, StoreStatus};
use crate::pd::Store;
use crate::stage;
use crate::stores::{Doing, zones};

pub(super) struct Told {
    pub(super) status: StoreStatus,
    pub(super) condition: (&'static str, &'static str, String),
    /// Whether there are as many as asked, each as asked; not known before there are any.
    pub(super) stores: Option<(&'static str, &'static str, String)>,
}

/// None where the operator runs none.
pub(super) fn of(facts: &Facts<'_>) -> Option<Told> {
    let managed = stage::managed(facts.cluster)?;
    let (pd, tikv) = (managed.pd.replicas, managed.tikv.replicas);
    let mut before = facts.cluster.status.as_ref().and_then(|status| status.store.clone()).unwrap_or_default();
    if let Some(plan) = facts.plan {
        (before.leaving, before.restart) = (plan.leaving.clone(), plan.restart.clone());
    }
    before.division = facts.divided.clone().or(before.division);
    let stores = facts.plan.map(|plan| match &plan.doing {
        Doing::Settled => {
            ("True", plan.doing.reason(), format!("There are {} stores, and each is as asked.", plan.replicas))
        }
        Doing::Not { reason, why } => ("False", *reason, format!("{why}.")),
    });
    let bootstrapped = facts.stage.bootstrapped;
    let seen = match facts.store {
        Some(Ok(seen)) => seen,
        Some(Err(error)) => {
            let why = if bootstrapped { ("Unknown", "PdUnreachable") } else { ("False", "PdStarting") };
            let condition = (why.0, why.1, format!("PD cannot be asked: {error}"));
            return Some(Told { status: StoreStatus { bootstrapped, ..before }, condition, stores });
        }
        None => {
            let condition = ("False", "PdStarting", "There is no PD yet.".to_owned());
            return Some(Told { status: StoreStatus { bootstrapped, ..before }, condition, stores });
        }
    };
    let well = seen.members.iter().filter(|(_, well)| *well).count() as i32;
    let up = seen.up() as i32;
    let away = seen.stores.iter().filter(|store| ["Disconnected", "Down"].contains(&store.state.as_str()));
    let away: Vec<&str> = away.map(Store::pod).collect();
    let status = StoreStatus {
        bootstrapped,
        pd: format!("{well}/{pd}"),
        pd_leader: seen.leader.clone(),
        ready: format!("{up}/{tikv}"),
        stores: seen
            .stores
            .iter()
            .filter(|store| !store.gone())
            .map(|store| StoreRow {
                id: store.id,
                pod: store.pod().to_owned(),
                state: store.state.clone(),
                used: format!("{}%", store.used / 10 * 10),
                zone: store.labels.get(zones::LEVELS[0]).cloned(),
            })
            .collect(),
        ..before
    };
    let condition = if well < pd {
        ("False", "PdIncomplete", format!("{well} of {pd} members of PD are well."))
    } else if up < tikv && away.is_empty() {
        ("False", "StoresStarting", format!("{up} of {tikv} stores of TiKV are up."))
    } else if up < tikv || !away.is_empty() {
        ("False", "StoresAway", format!("{up} of {tikv} stores of TiKV are up; PD does not hear {}.", away.join(", ")))
    } else if seen.copies.is_some_and(|copies| copies < managed.copies()) {
        ("False", "TooFewCopies", format!("PD keeps too few copies of each row: {} are wanted.", managed.copies()))
    } else {
        ("True", "Whole", format!("{well} members of PD are well, {up} stores of TiKV are up."))
    };
    Some(Told { status, condition, stores })
}
