//! What is said about a cluster: one function from facts to status, so that no two lines of it can disagree.
//!
//! The same facts give the same status, the times of its conditions included: else the operator would wake itself for ever.

mod store;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;

use crate::ask;
use crate::build::{self, Stage, names};
use crate::crd::{
    Condition, Division, MemberRow, OrderCluster, OrderClusterStatus, ScalingStatus, ShardsStatus, UpgradeStatus,
};
use crate::credentials;
use crate::members;
use crate::pd::Seen;
use crate::stores::Plan;
use crate::validate::Refusal;

/// Everything that a status is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The resource, with the status that it had.
    pub cluster: &'a OrderCluster,
    /// What stands against its spec.
    pub refusal: Option<&'a Refusal>,
    /// Its StatefulSet, if it is there.
    pub stateful_set: Option<&'a StatefulSet>,
    /// How far it has come.
    pub stage: Stage,
    /// How PD and TiKV are, where the operator runs them and has begun to.
    pub store: Option<&'a Result<Seen, ask::Error>>,
    /// What is done about the stores of TiKV.
    pub plan: Option<&'a Plan>,
    /// Whether regions were divided just now.
    pub divided: Option<Division>,
    /// The cluster, as its members tell.
    pub members: Option<&'a members::Seen>,
    /// For which request shards were levelled last.
    pub rebalanced: Option<String>,
    /// The upgrade that is under way, or was taken back.
    pub upgrade: Option<UpgradeStatus>,
    /// How many members there should be.
    pub scaling: Option<ScalingStatus>,
    /// What the pods run, where they were read; else what they shall run is told.
    pub image: Option<String>,
    /// The time, RFC 3339.
    pub now: &'a str,
}

/// The status.
pub fn of(facts: &Facts<'_>) -> OrderClusterStatus {
    let (cluster, name) = (facts.cluster, facts.cluster.name_any());
    let spec = &cluster.spec;
    let set = facts.stateful_set;
    let counted = set.and_then(|set| set.status.clone()).unwrap_or_default();
    let built = set.and_then(|set| set.spec.as_ref()?.replicas).unwrap_or_default();
    let ready = counted.ready_replicas.unwrap_or_default();
    let updated = counted.updated_replicas.unwrap_or_default();
    // A count that was made before the last change of the spec says nothing about it.
    let counted_now = set.is_some_and(|set| counted.observed_generation >= set.metadata.generation);
    let settled = set.is_some() && counted_now && counted.replicas == built && updated == built && ready == built;

    let accepted = match facts.refusal {
        Some(refusal) => ("False", refusal.reason, refusal.message.clone()),
        None => ("True", "Valid", "The spec can be carried out.".to_owned()),
    };
    let store = store::of(facts);
    let stores = store.as_ref().and_then(|store| store.stores.as_ref());
    let waits = store.as_ref().map(|store| &store.condition).filter(|condition| condition.0 != "True");
    let available = match (set, ready) {
        (None, _) if waits.is_some() => {
            ("False", "WaitsForStore", waits.map(|waits| waits.2.clone()).unwrap_or_default())
        }
        (None, _) => ("False", "NotBuilt", "There are no members yet.".to_owned()),
        (_, 0) if built == 0 => ("False", "Stopped", "No members are asked for: spec.replicas is 0.".to_owned()),
        (_, 0) => ("False", "NoMemberReady", format!("None of {built} members serves yet.")),
        _ => ("True", "Serving", format!("{ready} of {built} members serve.")),
    };
    let draining = facts.scaling.as_ref().map_or(&[][..], |scaling| scaling.draining.as_slice());
    let progressing = if spec.suspend {
        ("False", "Suspended", "spec.suspend is true: nothing is changed.".to_owned())
    } else if facts.refusal.is_some() {
        ("False", "Refused", "Nothing is changed until the spec can be carried out.".to_owned())
    } else if let Some(upgrade) = &facts.upgrade {
        upgrading(upgrade)
    } else if !draining.is_empty() {
        ("True", "Draining", format!("{} hand their shards over, and go then.", draining.join(", ")))
    } else if settled {
        ("False", "Settled", "All members are as the spec says.".to_owned())
    } else {
        ("True", "RollingOut", format!("{updated} of {built} members are as the spec says, {ready} serve."))
    };

    let summary = match (facts.refusal, available.0) {
        (Some(refusal), _) => refusal.reason,
        _ if spec.suspend => "Suspended",
        (_, "False") => available.1,
        _ if waits.is_some() => waits.map_or("", |waits| waits.1),
        _ if facts.upgrade.is_some() || !draining.is_empty() => progressing.1,
        _ if stores.is_some_and(|stores| stores.0 != "True") => stores.map_or("", |stores| stores.1),
        _ if settled => "Running",
        _ => progressing.1,
    };
    let mut conditions = vec![
        condition(facts, "Accepted", accepted),
        condition(facts, "Available", available.clone()),
        condition(facts, "Progressing", progressing),
    ];
    conditions.extend(store.as_ref().map(|store| condition(facts, "StoreReady", store.condition.clone())));
    conditions.extend(stores.map(|stores| condition(facts, "StoresSettled", stores.clone())));
    let kind = if spec.storage.tikv.is_some() { "tikv" } else { "embedded" };
    let namespace = cluster.namespace().unwrap_or_default();
    let scheme = if credentials::tls_secret(spec).is_some() { "https" } else { "http" };
    OrderClusterStatus {
        observed_generation: cluster.metadata.generation,
        summary: Some(summary.to_owned()),
        ready: Some(format!("{ready}/{built}")),
        replicas: counted.replicas,
        ready_replicas: ready,
        updated_replicas: updated,
        selector: Some(names::selector_text(&name)),
        image: facts.image.clone().or_else(|| set.and_then(|set| set.annotations().get(build::IMAGE).cloned())),
        storage: Some(kind.to_owned()),
        endpoint: set.map(|_| format!("{scheme}://{name}.{namespace}.svc:{}", names::HTTP_PORT)),
        scaling: facts.scaling.clone(),
        shards: facts.members.map(shards),
        members: facts.members.map(rows).unwrap_or_default(),
        rebalanced: facts.rebalanced.clone(),
        upgrade: facts.upgrade.clone(),
        store: store.map(|store| store.status),
        conditions,
    }
}

fn shards(seen: &members::Seen) -> ShardsStatus {
    let owned = seen.shards.saturating_sub(seen.moving);
    let ready = format!("{owned}/{}", seen.shards);
    let rebalancing = seen.rebalancing.as_ref().map(|one| format!("{}, {} at once", one.policy, one.moves_at_once));
    ShardsStatus { count: seen.shards, owned, moving: seen.moving, ready, format: seen.format, rebalancing }
}

/// One for each pod: of two incarnations the one that serves more is the pod's.
fn rows(seen: &members::Seen) -> Vec<MemberRow> {
    let mut rows: BTreeMap<&str, MemberRow> = BTreeMap::new();
    for member in &seen.members {
        let row = MemberRow { name: member.name.clone(), state: member.state.clone(), shards: member.shards };
        if rows.get(member.name.as_str()).is_none_or(|other| other.shards < row.shards) {
            rows.insert(&member.name, row);
        }
    }
    rows.into_values().collect()
}

fn upgrading(upgrade: &UpgradeStatus) -> (&'static str, &'static str, String) {
    let message = format!("{}: {}.", upgrade.to, upgrade.message);
    match upgrade.step.as_str() {
        "Preflight" => ("True", "UpgradePreflight", message),
        "Canary" => ("True", "UpgradeCanary", message),
        "RollingBack" => ("True", "RollingBack", message),
        "RolledBack" => ("False", "RolledBack", message),
        _ => ("True", "Upgrading", message),
    }
}

fn condition(facts: &Facts<'_>, type_: &str, (status, reason, message): (&str, &str, String)) -> Condition {
    let before = previous(facts.cluster, type_).filter(|before| before.status == status);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation: facts.cluster.metadata.generation,
        last_transition_time: before.map_or_else(|| facts.now.to_owned(), |before| before.last_transition_time.clone()),
    }
}

fn previous<'a>(cluster: &'a OrderCluster, type_: &str) -> Option<&'a Condition> {
    cluster.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

/// The conditions that say something else than they did: each is worth an event.
pub fn changed<'a>(cluster: &OrderCluster, status: &'a OrderClusterStatus) -> Vec<&'a Condition> {
    let same = |now: &Condition, before: &Condition| now.status == before.status && now.reason == before.reason;
    let news = |now: &&Condition| !previous(cluster, &now.type_).is_some_and(|before| same(now, before));
    status.conditions.iter().filter(news).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster() -> OrderCluster {
        let spec = json!({"replicas": 3, "storage": {"tikv": {"external": {"pdEndpoints": ["pd:2379"]}}}});
        let mut cluster = OrderCluster::new("shop", serde_json::from_value(spec).unwrap());
        cluster.metadata.generation = Some(2);
        cluster.metadata.namespace = Some("default".to_owned());
        cluster
    }

    /// A StatefulSet of 3: generation seen, pods, updated, ready.
    fn set(seen: i64, pods: i32, updated: i32, ready: i32) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"generation": 4, "annotations": {build::IMAGE: "ordermill:1"}},
            "spec": {"replicas": 3, "selector": {}, "serviceName": "s", "template": {}},
            "status": {"observedGeneration": seen, "replicas": pods, "updatedReplicas": updated, "readyReplicas": ready},
        }))
        .unwrap()
    }

    fn status(
        cluster: &OrderCluster,
        refusal: Option<&Refusal>,
        set: Option<&StatefulSet>,
        now: &str,
    ) -> OrderClusterStatus {
        of(&Facts {
            cluster,
            refusal,
            stateful_set: set,
            stage: Stage::ALL,
            store: None,
            plan: None,
            divided: None,
            members: None,
            rebalanced: None,
            upgrade: None,
            scaling: None,
            image: None,
            now,
        })
    }

    fn conditions(status: &OrderClusterStatus) -> Vec<&str> {
        status.conditions.iter().map(|condition| condition.reason.as_str()).collect()
    }

    #[test]
    fn every_state_has_its_words() {
        let cluster = cluster();
        let summary = |set: Option<StatefulSet>| status(&cluster, None, set.as_ref(), "t").summary.unwrap();
        assert_eq!(summary(None), "NotBuilt");
        assert_eq!(summary(Some(set(4, 3, 3, 0))), "NoMemberReady");
        assert_eq!(summary(Some(set(4, 3, 3, 2))), "RollingOut");
        assert_eq!(summary(Some(set(4, 3, 1, 3))), "RollingOut");
        assert_eq!(summary(Some(set(4, 4, 3, 3))), "RollingOut");
        assert_eq!(summary(Some(set(4, 3, 3, 3))), "Running");
        let running = status(&cluster, None, Some(&set(4, 3, 3, 3)), "t");
        assert_eq!(conditions(&running), ["Valid", "Serving", "Settled"]);
        assert_eq!((running.ready.as_deref(), running.image.as_deref()), (Some("3/3"), Some("ordermill:1")));
    }

    #[test]
    fn a_count_from_before_the_last_change_settles_nothing() {
        let cluster = cluster();
        assert_eq!(status(&cluster, None, Some(&set(3, 3, 3, 3)), "t").summary.unwrap(), "RollingOut");
    }

    #[test]
    fn a_refusal_and_a_suspension_say_so_while_members_serve() {
        let mut cluster = cluster();
        let refusal = Refusal { reason: "InvalidPodTemplate", message: "why".to_owned() };
        let refused = status(&cluster, Some(&refusal), Some(&set(4, 3, 3, 3)), "t");
        assert_eq!(conditions(&refused), ["InvalidPodTemplate", "Serving", "Refused"]);
        assert_eq!(refused.summary.unwrap(), "InvalidPodTemplate");
        cluster.spec.suspend = true;
        let suspended = status(&cluster, None, Some(&set(4, 3, 3, 3)), "t");
        assert_eq!(
            (conditions(&suspended), suspended.summary.as_deref()),
            (vec!["Valid", "Serving", "Suspended"], Some("Suspended"))
        );
    }

    #[test]
    fn the_same_facts_give_the_same_status_later() {
        let mut cluster = cluster();
        let first = status(&cluster, None, Some(&set(4, 3, 3, 2)), "then");
        assert_eq!(changed(&cluster, &first).len(), 3);
        cluster.status = Some(first.clone());
        let again = status(&cluster, None, Some(&set(4, 3, 3, 2)), "now");
        assert_eq!(again, first);
        assert!(changed(&cluster, &again).is_empty());
        let settled = status(&cluster, None, Some(&set(4, 3, 3, 3)), "now");
        let news: Vec<&str> = changed(&cluster, &settled).iter().map(|condition| condition.reason.as_str()).collect();
        assert_eq!(news, ["Settled"]);
        let times: Vec<&str> =
            settled.conditions.iter().map(|condition| condition.last_transition_time.as_str()).collect();
        assert_eq!(times, ["then", "then", "now"]);
    }
}
