//! From a resource to the objects that run it: a pure function.
//!
//! Golden manifests under tests/golden show every change of what it makes, of a pod template above all: that one
//! restarts members. Knows nothing of what is there already.

mod databases;
mod monitor;
pub mod names;
mod network;
mod pods;
mod settings;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use kube::discovery::ApiResource;
use serde::Serialize;
use serde_json::{Value, json};
use twox_hash::XxHash3_64;

pub use self::databases::joins;
pub use self::monitor::{kind as monitor_kind, monitor};
pub use self::pods::{own_container, speaks_tls};
use crate::validate::Cluster;

/// The annotation with the hash of what was built: a field that is built no longer shows there.
pub const HASH: &str = "ordermill.io/built";
/// The annotation of a StatefulSet with the image that was built into it, below any overlay.
pub const IMAGE: &str = "ordermill.io/image";

/// The annotation of a StatefulSet with the hash of its pod template as it was built.
pub const TEMPLATE: &str = "ordermill.io/template";

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its kind.
    pub resource: ApiResource,
    /// Its name.
    pub name: String,
    /// All of it, the annotation with its hash included.
    pub body: Value,
}

/// Every kind of Kubernetes' own that can be owned, in the order in which they are applied: what a pod needs before the pods.
pub fn kinds() -> [ApiResource; 6] {
    [
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<StatefulSet>(&()),
    ]
}

/// How far a cluster has come whose PD and TiKV the operator runs. What comes later is not built before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// PD was formed: its members join what is there, and TiKV can come.
    pub bootstrapped: bool,
    /// The stores are there: members can come.
    pub stored: bool,
}

impl Stage {
    /// Everything is built.
    pub const ALL: Self = Self { bootstrapped: true, stored: true };
}

/// Everything that runs a cluster.
pub fn objects(cluster: &Cluster, stage: Stage) -> Vec<Object> {
    let settings = settings::toml(cluster);
    let mut objects = vec![
        object(&network::account(cluster)),
        object(&settings::config_map(cluster, &settings)),
        object(&network::service(cluster)),
        object(&network::peers(cluster)),
        object(&network::policy(cluster)),
    ];
    objects.extend(network::budget(cluster).as_ref().map(object));
    if let Some(databases) = &cluster.databases {
        objects.extend(databases::objects(cluster, databases, stage));
    }
    if !stage.stored {
        return objects;
    }
    objects.push(object(&pods::stateful_set(cluster, &settings, template_hash(cluster))));
    objects
}

/// Tells one pod template from another: pods of different ones are replaced.
pub fn template_hash(cluster: &Cluster) -> String {
    let template = pods::template(cluster, &settings::toml(cluster));
    hash(serde_json::to_string(&template).expect("Kubernetes' own types are JSON").as_bytes())
}

fn object<K: Resource<DynamicType = ()> + Serialize>(typed: &K) -> Object {
    let body = serde_json::to_value(typed).expect("Kubernetes' own types are JSON");
    let name = typed.meta().name.clone().expect("everything that is built has a name");
    stamped(ApiResource::erase::<K>(&()), name, body)
}

/// With the hash of it.
fn stamped(resource: ApiResource, name: String, mut body: Value) -> Object {
    let hash = hash(body.to_string().as_bytes());
    let annotations = &mut body["metadata"]["annotations"];
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations[HASH] = Value::String(hash);
    Object { resource, name, body }
}

fn hash(bytes: &[u8]) -> String {
    format!("{:016x}", XxHash3_64::oneshot(bytes))
}
