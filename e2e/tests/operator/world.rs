//! What a test sees of a namespace, and what a kubelet would say there.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use ordermill_e2e::until;
use ordermill_operator::OrderCluster;
use serde_json::json;

/// The namespace of the clusters.
pub(crate) const ORDERS: &str = "orders";

/// The namespace, to somebody who may do everything.
pub(crate) struct World {
    pub(crate) client: Client,
}

impl World {
    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) async fn set(&self, name: &str) -> Option<StatefulSet> {
        self.api::<StatefulSet>(ORDERS).get_opt(name).await.unwrap()
    }

    pub(crate) async fn pods(&self, name: &str) -> Vec<Pod> {
        let selected = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
        self.api::<Pod>(ORDERS).list(&selected).await.unwrap().items
    }

    /// Says of every pod of a cluster what its kubelet would: it runs and is ready.
    pub(crate) async fn kubelet(&self, name: &str) {
        for pod in self.pods(name).await.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let conditions = json!([{"type": "Ready", "status": "True"}]);
            let status = json!({"status": {"phase": "Running", "conditions": conditions}});
            // It may be replaced at this moment.
            let _ = self
                .api::<Pod>(ORDERS)
                .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(&status))
                .await;
        }
    }

    /// Waits for a summary in the status, and plays the kubelet meanwhile.
    pub(crate) async fn becomes(&self, name: &str, summary: &str) -> OrderCluster {
        let clusters = self.api::<OrderCluster>(ORDERS);
        until(&format!("{name} is {summary}"), async || {
            self.kubelet(name).await;
            let cluster = clusters.get(name).await.unwrap();
            let status = cluster.status.clone()?;
            let current = status.observed_generation == cluster.metadata.generation;
            (current && status.summary.as_deref() == Some(summary)).then_some(cluster)
        })
        .await
    }

    /// Everything that a cluster consists of, with its resource version.
    pub(crate) async fn versions(&self, name: &str) -> BTreeSet<String> {
        let mut versions = BTreeSet::new();
        for resource in ordermill_operator::build::kinds() {
            let api: Api<kube::api::DynamicObject> = Api::namespaced_with(self.client.clone(), ORDERS, &resource);
            let selected = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
            for object in api.list(&selected).await.unwrap() {
                let (kind, name, version) = (&resource.kind, object.name_any(), object.resource_version().unwrap());
                versions.insert(format!("{kind}/{name}@{version}"));
            }
        }
        versions
    }
}
