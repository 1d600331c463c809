//! The upgrade of one cluster within a reconciliation: gathers what `upgrade` decides by, and carries out what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1;
use kube::api::{Api, DeleteParams, ListParams, Preconditions};
use kube::{Client, ResourceExt as _};

use crate::build::{self, names};
use crate::crd::{OrderCluster, UpgradeStatus};
use crate::members::Crowd;
use crate::upgrade::{self, Decision, Facts, Pod, Set, Step};
use crate::validate::Cluster;

/// The pods of the members: for decisions, and their identities for deletions.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    /// What decisions are made by, by their numbers.
    pub pods: Vec<Pod>,
    /// Where they are.
    pub places: Vec<Place>,
    uids: Vec<(String, String)>,
    images: BTreeSet<String>,
}

/// Where a pod is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The pod.
    pub pod: String,
    /// Its node, once it has one.
    pub node: Option<String>,
    /// The zone of that, where Kubernetes tells it to pods.
    pub zone: Option<String>,
}

impl Pods {
    /// What they run: more than one image while that changes.
    pub fn image(&self) -> Option<String> {
        let images: Vec<&str> = self.images.iter().map(String::as_str).collect();
        (!images.is_empty()).then(|| images.join(", "))
    }

    /// Whether there are as many as there should be, all of them serve, and all run the same.
    pub fn settled(&self, replicas: i32) -> bool {
        let same = self.images.len() == 1 && self.pods.windows(2).all(|pair| pair[0].revision == pair[1].revision);
        same && self.pods.len() as i32 == replicas && self.pods.iter().all(Pod::serves)
    }
}

/// Reads the pods of the members.
pub async fn pods(client: &Client, namespace: &str, set: &StatefulSet, now_s: i64) -> kube::Result<Pods> {
    pods_of(client, namespace, set, &names::selector(&set.name_any()), now_s).await
}

/// Reads the pods that a StatefulSet has made.
pub async fn pods_of(
    client: &Client,
    namespace: &str,
    set: &StatefulSet,
    selector: &BTreeMap<String, String>,
    now_s: i64,
) -> kube::Result<Pods> {
    let owner = set.uid().unwrap_or_default();
    let api: Api<v1::Pod> = Api::namespaced(client.clone(), namespace);
    let selected = ListParams::default().labels(&names::text(selector));
    let mut found = Pods::default();
    for pod in api.list(&selected).await? {
        if !pod.owner_references().iter().any(|reference| reference.uid == owner) {
            continue;
        }
        found.images.extend(build::own_container(&pod).and_then(|own| own.image.clone()));
        found.uids.push((pod.name_any(), pod.uid().unwrap_or_default()));
        found.places.push(Place {
            pod: pod.name_any(),
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            zone: pod.labels().get(names::ZONE).cloned(),
        });
        found.pods.extend(seen(&pod, now_s));
    }
    found.pods.sort_by_key(|pod| pod.ordinal);
    Ok(found)
}

fn seen(pod: &v1::Pod, now_s: i64) -> Option<Pod> {
    let name = pod.name_any();
    let ordinal = names::ordinal(&name)?;
    let status = pod.status.clone().unwrap_or_default();
    let condition = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let since = condition.and_then(|condition| condition.last_transition_time.clone()).map(|time| time.0);
    let since = since.or_else(|| pod.creation_timestamp().map(|time| time.0)).map(|time| time.to_string());
    let since = since.and_then(|time| Timestamp::from_str(&time).ok()).map_or(now_s, Timestamp::as_second);
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.clone()?;
        const HOPELESS: [&str; 6] = [
            "ImagePullBackOff",
            "ErrImagePull",
            "InvalidImageName",
            "ErrImageNeverPull",
            "CreateContainerConfigError",
            "CreateContainerError",
        ];
        // One crash may be chance, or a store that was away.
        let crashes = reason == "CrashLoopBackOff" && container.restart_count >= 3;
        (crashes || HOPELESS.contains(&reason.as_str())).then_some(reason)
    });
    Some(Pod {
        ordinal,
        revision: pod.labels().get("controller-revision-hash").cloned().unwrap_or_default(),
        ready: condition.is_some_and(|condition| condition.status == "True"),
        seconds: u64::try_from(now_s - since).unwrap_or_default(),
        stuck: waiting,
        stopping: pod.metadata.deletion_timestamp.is_some(),
        tls: build::speaks_tls(pod),
        name,
    })
}

fn set(set: &StatefulSet) -> Option<Set> {
    let (spec, status) = (set.spec.as_ref()?, set.status.clone().unwrap_or_default());
    let rolling = spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    Some(Set {
        replicas: spec.replicas.unwrap_or_default(),
        template: set.annotations().get(build::TEMPLATE).cloned().unwrap_or_default(),
        seen: status.observed_generation >= set.metadata.generation && status.update_revision.is_some(),
        partition: rolling.and_then(|rolling| rolling.partition).unwrap_or_default(),
        current: status.current_revision.unwrap_or_default(),
        update: status.update_revision.unwrap_or_default(),
    })
}

/// Whether pods differ from what is asked, or may: an upgrade is under way, about to begin, or was taken back.
pub fn differs(valid: &Cluster, live: Option<&StatefulSet>) -> bool {
    let wanted = build::template_hash(valid);
    live.and_then(set).is_some_and(|set| set.current != set.update || set.template != wanted)
}

/// What comes next for the members, from what they say and what is there.
pub fn decide(
    cluster: &OrderCluster,
    valid: &Cluster,
    live: Option<&StatefulSet>,
    pods: &Pods,
    crowd: Option<&Crowd>,
) -> Decision {
    let (set, wanted) = (live.and_then(set), build::template_hash(valid));
    let unrest = match crowd.map(|crowd| &crowd.seen) {
        Some(Ok(seen)) => seen.unrest(),
        Some(Err(why)) => Some(format!("the members do not say how shards are: {why}")),
        None => None,
    };
    let before = cluster.status.as_ref().and_then(|status| status.upgrade.as_ref());
    let refused = before.and_then(|before| Some((before.refused_template.as_deref()?, before.message.as_str())));
    let strategy = cluster.spec.upgrade.clone().unwrap_or_default();
    upgrade::next(&Facts {
        set: set.as_ref(),
        wanted: &wanted,
        replicas: valid.spec.replicas,
        pods: &pods.pods,
        work: crowd.map_or(&[], |crowd| &crowd.work),
        unrest: unrest.as_deref(),
        refused,
        strategy: &strategy,
    })
}

/// What is said of it; nothing while there is none.
pub fn told(decision: &Decision, valid: &Cluster) -> Option<UpgradeStatus> {
    let step = match decision.step {
        Step::None => return None,
        Step::Preflight => "Preflight",
        Step::Canary => "Canary",
        Step::Rolling => "Rolling",
        Step::RollingBack => "RollingBack",
        Step::RolledBack => "RolledBack",
    };
    let back = matches!(decision.step, Step::RollingBack | Step::RolledBack);
    Some(UpgradeStatus {
        step: step.to_owned(),
        to: valid.image.clone(),
        message: decision.why.clone(),
        refused_template: back.then(|| build::template_hash(valid)),
    })
}

/// Deletes the pods that are taken back.
pub async fn take_back(client: &Client, namespace: &str, decision: &Decision, pods: &Pods) -> kube::Result<()> {
    for name in &decision.delete {
        tracing::warn!(name, why = decision.why, "a pod is taken back");
    }
    delete(client, namespace, &decision.delete, pods).await
}

/// Deletes pods; only those that were seen, not others of their names.
pub async fn delete(client: &Client, namespace: &str, names: &[String], pods: &Pods) -> kube::Result<()> {
    let api: Api<v1::Pod> = Api::namespaced(client.clone(), namespace);
    for (name, uid) in pods.uids.iter().filter(|(name, _)| names.contains(name)) {
        let this = Preconditions { uid: Some(uid.clone()), resource_version: None };
        let params = DeleteParams { preconditions: Some(this), ..DeleteParams::default() };
        match api.delete(name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {}
            Err(error) => return Err(error),
        }
        metrics::counter!("ordermill_operator_deletes_total", "kind" => "Pod").increment(1);
    }
    Ok(())
}
