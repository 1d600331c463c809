//! The CRD and the operator on a real API server, with Kubernetes' own controllers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod alerts;
mod charts;
mod databases;
mod deletion;
mod kills;
mod life;
mod refusals;
mod scaling;
mod stores;
mod upgrades;
mod world;
mod zones;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams};
use kube::discovery::ApiResource;
use kube::{Client, Resource};
use ordermill_e2e::{until, variable};
use ordermill_operator::OrderCluster;
use serde_json::{Value, json};

/// The file that users install.
const CRD: &str = include_str!("../../../crds/orderclusters.yaml");

/// Installs the CRD, and waits until it is served.
async fn install(client: &Client) {
    let crd: Value = serde_saphyr::from_str(CRD).unwrap();
    install_as(client, &crd).await;
}

async fn install_as(client: &Client, crd: &Value) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd["metadata"]["name"].as_str().unwrap();
    let written = api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(crd)).await.unwrap();
    let condition = |crd: &CustomResourceDefinition, type_: &str| {
        let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|condition| condition.type_ == type_).cloned()
    };
    assert!(condition(&written, "NonStructuralSchema").is_none_or(|it| it.status == "False"), "{written:?}");
    until("the CRD is served", async || {
        let crd = api.get(name).await.ok()?;
        condition(&crd, "Established").filter(|it| it.status == "True").map(drop)
    })
    .await;
    // Established says that it will be served in a moment.
    let clusters: Api<OrderCluster> = Api::all(client.clone());
    until("OrderClusters are served", async || clusters.list(&kube::api::ListParams::default()).await.ok()).await;
}

/// Installs the kind of Prometheus' operator, without that.
async fn install_pod_monitors(client: &Client) {
    let text = std::fs::read_to_string(variable("ORDERMILL_POD_MONITORS")).unwrap();
    let crd: Value = serde_saphyr::from_str(&text).unwrap();
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = crd["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&crd)).await.unwrap();
    let api: Api<kube::api::DynamicObject> = Api::all_with(client.clone(), &ordermill_operator::build::monitor_kind());
    until("PodMonitors are served", async || api.list(&kube::api::ListParams::default()).await.ok()).await;
}

/// A resource as a user writes it.
fn cluster(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "ordermill.io/v1alpha1", "kind": "OrderCluster", "metadata": {"name": name}, "spec": spec})
}

/// OrderClusters of a namespace, as a user sees them.
fn clusters(client: &Client, namespace: &str) -> Api<kube::api::DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<OrderCluster>(&()))
}

/// As `kubectl apply --server-side`; what the API server says when it refuses.
async fn apply(client: &Client, namespace: &str, body: &Value) -> Result<kube::api::DynamicObject, String> {
    let name = body["metadata"]["name"].as_str().unwrap();
    let params = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::apply("user").force()
    };
    clusters(client, namespace).patch(name, &params, &Patch::Apply(body)).await.map_err(|error| match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    })
}

/// The API version that the resource is served as.
#[test]
fn the_resource_is_what_it_is_called() {
    assert_eq!(OrderCluster::api_version(&()), "ordermill.io/v1alpha1");
}
