//! The stores of TiKV within a reconciliation: gathers what `shrink` and `restart` decide by, and carries out what they say.
//!
//! What PD is asked for is written into the status first: an operator that is started again knows what it owes.

pub mod restart;
pub mod shrink;
pub mod zones;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams};

use crate::ask;
use crate::build::names::{self, Database};
use crate::crd::{Leaving, Managed, OrderCluster, Restart};
use crate::observe::Observed;
use crate::pd::{Pd, Seen};
use crate::reconcile::{self, Context, Noted};
use crate::rolling::{self, Pods};

/// What is done about the stores, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// All is as asked.
    Settled,
    /// Something changes, or is waited for, or is refused.
    Not {
        /// Why, in a word.
        reason: &'static str,
        /// Why, in a sentence.
        why: String,
    },
}

impl Doing {
    fn not(reason: &'static str, why: impl Into<String>) -> Self {
        Self::Not { reason, why: why.into() }
    }

    /// Why, in a word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Settled => "AsAsked",
            Self::Not { reason, .. } => reason,
        }
    }
}

/// Reasons that a person should hear of: what was asked is not done.
pub const REFUSALS: [&str; 6] =
    ["NoHeadroom", "StoresAway", "RegionsHurt", "UnknownStore", "PdRefuses", "ZonesUnknown"];

/// What comes next among the stores.
#[derive(Debug)]
pub struct Plan {
    /// How many pods the StatefulSet has to have.
    pub replicas: i32,
    /// The store that leaves.
    pub leaving: Option<Leaving>,
    /// The store that is to start anew.
    pub restart: Option<Restart>,
    /// What is said of it.
    pub doing: Doing,
    shrink: shrink::Step,
    restarting: restart::Step,
    zones: zones::Next,
    pods: Pods,
}

/// Takes it from what is there. None before there are stores.
pub async fn plan(
    cluster: &OrderCluster,
    managed: &Managed,
    observed: &Observed,
    seen: Option<&Seen>,
    context: &Context,
) -> kube::Result<Option<Plan>> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let set_name = Database::Tikv.of(&name);
    let Some(set) = observed.stateful_set(&set_name) else { return Ok(None) };
    let now = reconcile::seconds(&context.clock);
    let pods = rolling::pods_of(&context.client, &namespace, &set, &Database::Tikv.selector(&name), now).await?;
    let before = cluster.status.as_ref().and_then(|status| status.store.clone()).unwrap_or_default();
    let stores = seen.map(|seen| seen.stores.as_slice());
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or_default();
    let since = before.restart.as_ref().and_then(|restart| restart.since.parse::<jiff::Timestamp>().ok());
    let waited = u64::try_from(now - since.map_or(now, jiff::Timestamp::as_second)).unwrap_or_default();
    let next = restart::next(&restart::Facts {
        revision: revision(&set),
        replicas,
        pods: &pods.pods,
        stores,
        restart: before.restart.as_ref().map(|restart| (restart, waited)),
        patience: managed.tikv.evict_leaders_seconds.into(),
    });
    let shrunk = shrink::next(&shrink::Facts {
        set: &set_name,
        asked: managed.tikv.replicas,
        there: replicas,
        stores,
        copies: seen.and_then(|seen| seen.copies).unwrap_or_else(|| managed.copies()),
        leaving: before.leaving.as_ref(),
        restarting: next.doing != Doing::Settled,
    });
    // Before there are stores, or while PD is silent, there is nobody to tell.
    let zones = seen.filter(|seen| !managed.zones.is_empty() && !seen.stores.is_empty());
    let zones = zones.map(|seen| zones::next(&pods.places, &seen.stores, &seen.levels)).unwrap_or_default();
    let mut plan = Plan {
        replicas: shrunk.replicas,
        leaving: shrunk.leaving,
        restart: before.restart,
        doing: if next.doing == Doing::Settled { shrunk.doing } else { next.doing },
        shrink: shrunk.step,
        restarting: next.step,
        zones,
        pods,
    };
    if plan.doing == Doing::Settled && !plan.zones.unknown.is_empty() {
        let why = format!(
            "{} do not say in which zone they are: Kubernetes tells pods from 1.35 on, where their nodes have the label {}",
            plan.zones.unknown.join(", "),
            names::ZONE
        );
        plan.doing = Doing::not("ZonesUnknown", why);
    }
    if let restart::Step::Evict(id, pod) = &plan.restarting {
        let since = reconcile::written(now);
        plan.restart.get_or_insert_with(|| Restart { id: *id, pod: pod.clone(), since });
    }
    Ok(Some(plan))
}

fn revision(set: &StatefulSet) -> Option<&str> {
    let status = set.status.as_ref()?;
    let looked = status.observed_generation >= set.metadata.generation;
    status.update_revision.as_deref().filter(|_| looked)
}

impl Plan {
    /// Asks PD for what comes next, and takes away the volume of a pod that goes: before the StatefulSet is written.
    pub async fn ask(&mut self, noted: &mut Noted<'_>, pd: &Pd<'_>, context: &Context) -> Result<(), reconcile::Error> {
        let (leaving, restart) = (self.leaving.clone(), self.restart.clone());
        let asked = match &self.shrink {
            shrink::Step::Nothing => Ok(()),
            shrink::Step::TakeOff(store) => match pd.hurt_regions().await {
                Ok(0) => {
                    noted.store(|store| store.leaving = leaving, context).await?;
                    pd.take_off(*store).await
                }
                Ok(hurt) => {
                    self.leaving = None;
                    self.doing =
                        Doing::not("RegionsHurt", format!("{hurt} regions lack a copy, and no store may leave"));
                    Ok(())
                }
                Err(error) => Err(error),
            },
            shrink::Step::LetStay(store) => pd.let_stay(*store).await,
            shrink::Step::Drop(pod) => {
                drop_volume(noted.cluster, pod, context).await?;
                Ok(())
            }
        };
        if let Err(error) = asked {
            // What was refused has not happened; what was not heard may have.
            if matches!(error, ask::Error::Refused { .. }) && matches!(self.shrink, shrink::Step::TakeOff(_)) {
                self.leaving = None;
            }
            self.doing = Doing::not("PdRefuses", error.to_string());
        }
        let asked = match &self.restarting {
            restart::Step::Nothing | restart::Step::Delete(_) => Ok(()),
            restart::Step::Evict(store, _) => {
                noted.store(|store| store.restart = restart, context).await?;
                pd.evict(*store).await
            }
            restart::Step::LetLead(store) => {
                let done = pd.let_lead(*store).await;
                if done.is_ok() {
                    self.restart = None;
                }
                done
            }
        };
        if let Err(error) = asked {
            self.doing = Doing::not("PdRefuses", error.to_string());
        }
        if let Err(error) = self.place(pd).await {
            self.doing = Doing::not("PdRefuses", error.to_string());
        }
        if let (Doing::Not { reason: "StoreLeaves", why }, Some(leaving)) = (&mut self.doing, &self.leaving)
            && let Some((percent, seconds)) = pd.progress(leaving.id).await
        {
            // In steps, as each is written; before anything has moved, PD's estimate is none.
            let minutes = (seconds / 60 + 1).next_power_of_two();
            let left = if minutes < 100_000 { format!(", about {minutes} min are left") } else { String::new() };
            *why = format!("{why}: {}%{left}", percent / 10 * 10);
        }
        Ok(())
    }

    /// Tells PD where stores are.
    async fn place(&self, pd: &Pd<'_>) -> Result<(), ask::Error> {
        if self.zones.levels {
            pd.keep_apart(&zones::LEVELS).await?;
        }
        for (store, labels) in &self.zones.places {
            pd.place(*store, labels).await?;
            tracing::info!(store, ?labels, "PD knows where a store is");
        }
        Ok(())
    }

    /// Has the pod made anew that is due.
    pub async fn restart(&self, cluster: &OrderCluster, context: &Context) -> kube::Result<()> {
        let restart::Step::Delete(pod) = &self.restarting else { return Ok(()) };
        let namespace = cluster.namespace().unwrap_or_default();
        tracing::info!(pod, "a store starts anew");
        rolling::delete(&context.client, &namespace, std::slice::from_ref(pod), &self.pods).await
    }
}

/// What is on the volume belongs to a store that PD lets in never again: a pod that finds it would not start.
async fn drop_volume(cluster: &OrderCluster, pod: &str, context: &Context) -> Result<(), reconcile::Error> {
    let claims: Api<PersistentVolumeClaim> =
        Api::namespaced(context.client.clone(), &cluster.namespace().unwrap_or_default());
    match claims.delete(&format!("data-{pod}"), &DeleteParams::default()).await {
        Ok(_) => tracing::info!(pod, "the volume of a store that is gone for good goes with its pod"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(Box::new(error).into()),
    }
    metrics::counter!("ordermill_operator_deletes_total", "kind" => "PersistentVolumeClaim").increment(1);
    Ok(())
}
