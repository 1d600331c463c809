//! The loop: what is heard of a resource, or of what it owns, leads to a reconciliation of it.
//!
//! Bounded: so many at once, never two of one resource, and one that fails waits longer each time without keeping
//! the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ListParams};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use kube::{Client, Resource, ResourceExt};

use crate::build::names;
use crate::crd::OrderCluster;
use crate::limits;
use crate::pulse::{Listed, Pulse};
use crate::reconcile::{self, Context, Error, Shared};

type Guard = DeserializeGuard<OrderCluster>;

struct State {
    context: Context,
    pulse: Pulse,
    /// Failures in a row, per namespace and name.
    failures: Mutex<HashMap<(String, String), u32>>,
}

impl State {
    fn key(guard: &Guard) -> (String, String) {
        (guard.namespace().unwrap_or_default(), guard.name_any())
    }

    fn succeeded(&self, guard: &Guard) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&Self::key(guard));
    }

    fn failed(&self, guard: &Guard) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(Self::key(guard)).or_default();
        *count += 1;
        backoff(*count)
    }
}

/// The wait after so many failures in a row.
fn backoff(failures: u32) -> Duration {
    limits::BACKOFF_MIN.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limits::BACKOFF_MAX)
}

/// Runs until it is dropped, over one namespace or all. `watching` is the client for watches.
pub async fn run(watching: Client, namespace: Option<String>, context: Context, pulse: Pulse) {
    let calling: Api<OrderCluster> = api(&context.client, namespace.as_deref());
    let state = Arc::new(State { context, pulse: pulse.clone(), failures: Mutex::default() });
    let owned = watcher::Config::default().labels(&names::all_owned());
    let clusters: Api<Guard> = api(&watching, namespace.as_deref());
    let controller = Controller::new(clusters, watcher::Config::default());
    let told = controller.store();
    let mut outcomes = controller
        .with_config(Config::default().concurrency(limits::CONCURRENCY))
        .owns(api::<StatefulSet>(&watching, namespace.as_deref()), owned.clone())
        .owns(api::<PodDisruptionBudget>(&watching, namespace.as_deref()), owned.clone())
        .owns(api::<Service>(&watching, namespace.as_deref()), owned.clone())
        .owns(api::<ConfigMap>(&watching, namespace.as_deref()), owned.clone())
        .owns(api::<ServiceAccount>(&watching, namespace.as_deref()), owned.clone())
        .owns(api::<NetworkPolicy>(&watching, namespace.as_deref()), owned)
        .run(reconciled, failed, state)
        .boxed();
    let looking = async {
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) => {}
                // It was deleted while it waited.
                Err(kube::runtime::controller::Error::ObjectNotFound(_)) => {}
                Err(error) => tracing::warn!(%error, "a resource is not as it should be"),
            }
        }
    };
    tokio::select! {
        () = looking => {}
        () = compare(&calling, &told, &pulse) => {}
    }
}

/// Compares what there is with what the watch has told, for ever.
async fn compare(clusters: &Api<OrderCluster>, told: &Store<Guard>, pulse: &Pulse) {
    let mut ticks = tokio::time::interval(limits::PULSE);
    loop {
        ticks.tick().await;
        let list = match clusters.list_metadata(&ListParams::default()).await {
            Ok(list) => list,
            // It is away: that nothing is heard then is no fault of the watch.
            Err(error) => {
                tracing::warn!(%error, "OrderClusters cannot be listed");
                continue;
            }
        };
        let told: HashMap<(String, String), Option<String>> =
            told.state().iter().map(|guard| (State::key(guard), guard.resource_version())).collect();
        let listed = list.into_iter().map(|one| {
            let key = (one.namespace().unwrap_or_default(), one.name_any());
            Listed { version: one.resource_version(), told: told.get(&key).cloned().flatten(), key }
        });
        pulse.compare(&listed.collect::<Vec<_>>());
    }
}

fn api<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

async fn reconciled(guard: Shared, state: Arc<State>) -> Result<Action, Error> {
    let begun = state.context.clock.elapsed();
    let done = reconcile::reconcile(&guard, &state.context).await;
    state.pulse.looked(State::key(&guard));
    let took = state.context.clock.elapsed().saturating_sub(begun);
    metrics::histogram!("ordermill_operator_reconcile_seconds").record(took.as_secs_f64());
    metrics::counter!("ordermill_operator_reconciles_total", "ok" => done.is_ok().to_string()).increment(1);
    let next = done?;
    state.succeeded(&guard);
    Ok(Action::requeue(next))
}

#[expect(clippy::needless_pass_by_value, reason = "the controller calls it so")]
fn failed(guard: Shared, _: &Error, state: Arc<State>) -> Action {
    Action::requeue(state.failed(&guard))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        let waits: Vec<u64> = [1, 2, 3, 7, 8, 40, u32::MAX].map(|count| backoff(count).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 64, 120, 120, 120]);
    }
}
