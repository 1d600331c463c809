//! What changes next among the members: which pods run what is new, how many there are to be, and who is drained first.
//!
//! In this order, as nothing scales during an upgrade, and nobody goes who is needed. Writes nothing to the API server.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt as _;

use crate::autoscale::Reason;
use crate::crd::{OrderCluster, ScalingStatus, UpgradeStatus};
use crate::members::{Crowd, Members, Rebalancing, Seen};
use crate::reconcile::{Context, seconds};
use crate::rolling::{self, Pods};
use crate::upgrade::{Decision, Pod, Step};
use crate::validate::Cluster;
use crate::{credentials, pace, scaling};

/// The annotation that asks for shards to be levelled; another value asks again.
const REBALANCE: &str = "ordermill.io/rebalance";

/// The next step.
#[derive(Debug)]
pub struct Next {
    /// What is built.
    pub cluster: Cluster,
    /// Which pods may run what is new.
    pub decision: Decision,
    /// The pods that there are.
    pub pods: Pods,
    /// What is said of the upgrade.
    pub upgrade: Option<UpgradeStatus>,
    /// What is said of the number of members.
    pub scaling: Option<ScalingStatus>,
    /// The cluster, as its members tell; None where nobody was asked, or has answered.
    pub seen: Option<Seen>,
    /// For which request shards were levelled last.
    pub rebalanced: Option<String>,
}

/// Takes it from what is there, and asks the members where that is needed.
pub async fn members(
    cluster: &OrderCluster,
    mut valid: Cluster,
    live: Option<&StatefulSet>,
    context: &Context,
) -> kube::Result<Next> {
    let (name, namespace) = (valid.name.clone(), valid.namespace.clone());
    let asker = credentials::asker(cluster, &context.client, &namespace, &context.asker).await;
    let pods = match live {
        Some(live) => rolling::pods(&context.client, &namespace, live, seconds(&context.clock)).await?,
        None => Pods::default(),
    };
    let members = Members { asker: &asker, cluster: &name, namespace: &namespace, pods: &pods.pods };
    let there = live.and_then(|live| live.spec.as_ref()?.replicas).unwrap_or_default();
    let left = cluster.status.as_ref().and_then(|status| status.scaling.as_ref());
    let left: &[String] = left.map_or(&[], |scaling| &scaling.draining);
    let differs = rolling::differs(&valid, live);
    let scales = valid.spec.autoscaling.is_some() || (1..there).contains(&valid.spec.replicas) || !left.is_empty();
    let crowd = if live.is_some() && (differs || (scales && valid.spec.storage.tikv.is_some())) {
        Some(members.crowd().await)
    } else {
        None
    };
    if valid.spec.autoscaling.is_some() {
        valid.spec.replicas = there;
    }
    let decision = rolling::decide(cluster, &valid, live, &pods, crowd.as_ref());
    let upgrade = rolling::told(&decision, &valid);
    let reason = autoscaled(&mut valid, cluster, there, &pods, crowd.as_ref(), decision.step, context);
    let mut paced = pace::pace(valid, live, decision.step);
    let keep = paced.spec.replicas;
    let mut draining = Vec::new();
    if let Some(crowd) = &crowd {
        scaling::stay(&members, left, keep).await;
        if (1..there).contains(&keep) {
            let waits = scaling::drain(&members, crowd, keep).await;
            draining = waits.unwrap_or_default();
        }
    }
    if !draining.is_empty() {
        paced.spec.replicas = there;
    }
    // Members that come meanwhile are as the others are, not as what was refused or waits.
    let held = matches!(decision.step, Step::Preflight | Step::RollingBack | Step::RolledBack);
    paced.partition = if held { decision.partition.max(paced.spec.replicas) } else { decision.partition };
    let scaling = (reason.is_some() || !draining.is_empty()).then(|| ScalingStatus {
        replicas: keep,
        reason: reason.map_or_else(|| "Asked".to_owned(), |reason| format!("{reason:?}")),
        draining,
    });
    let seen = match &crowd {
        Some(crowd) => crowd.seen.clone().ok(),
        // Who does not want members watched need not let the operator reach them.
        None if live.is_some() && asks(cluster) => members.look().await.ok(),
        None => None,
    };
    if decision.step == Step::None && !differs && pods.settled(there) {
        raise_format(&members, seen.as_ref()).await;
    }
    let seen = match seen {
        Some(seen) => Some(change_rebalancing(cluster, &members, seen).await),
        None => None,
    };
    let rebalanced = rebalance(cluster, &members, decision.step).await;
    Ok(Next { cluster: paced, decision, pods, upgrade, scaling, seen, rebalanced })
}

/// Whether members are asked how they are without need: where there may be several, and they are watched at all.
fn asks(cluster: &OrderCluster) -> bool {
    let watched = cluster.spec.upgrade.as_ref().is_none_or(|strategy| strategy.watch_seconds > 0);
    cluster.spec.storage.tikv.is_some() && watched
}

/// What every member's build knows may be written once an upgrade has finished everywhere: until then a step back has to
/// be able to read everything.
async fn raise_format(members: &Members<'_>, seen: Option<&Seen>) {
    let newest = seen.and_then(|seen| seen.format_max.filter(|newest| *newest > seen.format));
    let Some(newest) = newest else { return };
    let name = members.cluster;
    match members.raise_format(newest).await {
        Ok(()) => tracing::info!(name, format = newest, "the store's format is raised"),
        Err(error) => tracing::warn!(name, format = newest, %error, "the store's format could not be raised"),
    }
}

/// Has the members move shards by themselves for what the spec says, where it says so and they do not yet; how they are
/// then.
async fn change_rebalancing(cluster: &OrderCluster, members: &Members<'_>, mut seen: Seen) -> Seen {
    let (Some(spec), Some(now)) = (&cluster.spec.rebalancing, &seen.rebalancing) else { return seen };
    let wanted = Rebalancing { policy: spec.policy.word().to_owned(), moves_at_once: spec.moves_at_once };
    if *now == wanted {
        return seen;
    }
    let name = members.cluster;
    match members.change_rebalancing(&wanted).await {
        Ok(()) => {
            tracing::info!(name, ?wanted, "rebalancing is changed");
            seen.rebalancing = Some(wanted);
        }
        // The next look tries again.
        Err(error) => tracing::warn!(name, ?wanted, %error, "rebalancing could not be changed"),
    }
    seen
}

/// Has shards levelled when an annotation asks for it that has not been heard yet; not while members are replaced.
async fn rebalance(cluster: &OrderCluster, members: &Members<'_>, step: Step) -> Option<String> {
    let done = cluster.status.as_ref().and_then(|status| status.rebalanced.clone());
    let asked = cluster.annotations().get(REBALANCE).filter(|asked| Some(*asked) != done.as_ref());
    let (Some(asked), Step::None | Step::RolledBack, true) = (asked, step, cluster.spec.storage.tikv.is_some()) else {
        return done;
    };
    let name = members.cluster;
    match members.rebalance().await {
        Ok(()) => {
            tracing::info!(name, asked, "shards are levelled");
            Some(asked.clone())
        }
        // The next look tries again.
        Err(error) => {
            tracing::warn!(name, %error, "shards could not be levelled");
            done
        }
    }
}

/// Puts the number of members that their load asks for into what is asked; why it is that number.
fn autoscaled(
    valid: &mut Cluster,
    cluster: &OrderCluster,
    there: i32,
    pods: &Pods,
    crowd: Option<&Crowd>,
    step: Step,
    context: &Context,
) -> Option<Reason> {
    let spec = valid.spec.autoscaling.clone()?;
    if there == 0 {
        valid.spec.replicas = spec.min_replicas;
        return Some(Reason::Bounds);
    }
    let rolls = !matches!(step, Step::None | Step::RolledBack);
    let whole = pods.pods.len() as i32 == there && pods.pods.iter().all(Pod::serves);
    let silent = Crowd { seen: Err(String::new()), work: Vec::new() };
    let uid = cluster.uid().unwrap_or_default();
    let (crowd, now) = (crowd.unwrap_or(&silent), seconds(&context.clock));
    let look = scaling::Look { at: now, replicas: there, pods: &pods.pods, crowd, changing: rolls || !whole };
    let plan = context.memory.plan(&uid, &spec, look);
    valid.spec.replicas = plan.replicas;
    Some(plan.reason)
}
