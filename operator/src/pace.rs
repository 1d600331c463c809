//! What may change at once: a pure function from what is asked and what is there to what is built next.
//!
//! Members are never taken away in the same step in which the others are replaced. Kubernetes' own StatefulSet
//! controller can lose count of that with parallel pods (`status.currentReplicas: Invalid value: -1`), and then replaces
//! a pod again and again for ever. And whoever serves less and replaces at once serves too little.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use crate::build;
use crate::upgrade::Step;
use crate::validate::Cluster;

/// Keeps the members that there are until all of them are as the spec says; stopping all of them waits for nothing.
///
/// An upgrade that was taken back replaces nobody any longer.
pub fn pace(mut cluster: Cluster, live: Option<&StatefulSet>, step: Step) -> Cluster {
    let there = live.and_then(|live| live.spec.as_ref()?.replicas).unwrap_or_default();
    let fewer = (1..there).contains(&cluster.spec.replicas);
    if fewer && step != Step::RolledBack && live.is_some_and(|live| rolls(&cluster, live)) {
        cluster.spec.replicas = there;
    }
    cluster
}

/// Whether pods are being replaced, or would be by what is asked.
fn rolls(cluster: &Cluster, live: &StatefulSet) -> bool {
    let Some(status) = &live.status else { return true };
    live.annotations().get(build::TEMPLATE) != Some(&build::template_hash(cluster))
        || status.observed_generation < live.metadata.generation
        || status.updated_replicas.unwrap_or_default() < status.replicas
        || status.current_revision != status.update_revision
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crd::OrderCluster;
    use crate::validate::{Defaults, Running, validate};

    fn cluster(replicas: i32, cache_mib: u32) -> Cluster {
        let spec = json!({
            "replicas": replicas, "settings": {"cacheMib": cache_mib},
            "storage": {"tikv": {"external": {"pdEndpoints": ["pd:2379"]}}},
        });
        let mut cluster = OrderCluster::new("shop", serde_json::from_value(spec).unwrap());
        cluster.metadata.uid = Some("1".to_owned());
        let defaults = Defaults { repository: "ordermill".to_owned(), version: "1".to_owned(), monitors: None };
        validate(&cluster, &Running::default(), &defaults).unwrap()
    }

    /// A StatefulSet of 3 that was built with 128 MiB, of which so many pods are updated.
    fn live(updated: i32) -> StatefulSet {
        let template = build::template_hash(&cluster(3, 128));
        serde_json::from_value(json!({
            "metadata": {"generation": 2, "annotations": {build::TEMPLATE: template}},
            "spec": {"replicas": 3, "selector": {}, "serviceName": "s", "template": {}},
            "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": updated, "currentRevision": "a", "updateRevision": "a"},
        }))
        .unwrap()
    }

    #[test]
    fn members_go_once_the_others_are_replaced() {
        let next = |asked: Cluster, live: &StatefulSet| pace(asked, Some(live), Step::None).spec.replicas;
        assert_eq!(next(cluster(1, 128), &live(3)), 1);
        assert_eq!(next(cluster(1, 256), &live(3)), 3, "others would be replaced");
        assert_eq!(next(cluster(1, 128), &live(1)), 3, "others are being replaced");
        assert_eq!(next(cluster(5, 256), &live(3)), 5, "more may come at any time");
        assert_eq!(next(cluster(0, 256), &live(1)), 0, "a stop waits for nothing");
        assert_eq!(pace(cluster(1, 128), None, Step::None).spec.replicas, 1);
    }
}
