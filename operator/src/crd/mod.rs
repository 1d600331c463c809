//! `OrderCluster`: what a user asks for, and what the API server refuses by itself.
//!
//! The descriptions here are what `kubectl explain` prints. The rules hold before anything of ours runs; what
//! they cannot see is checked in `validate`. Holds no field that nothing carries out.

#![allow(unreachable_pub, reason = "the derive makes items for the schema")]

mod autoscaling;
mod rebalancing;
mod status;
mod strategy;
mod tikv;

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::autoscaling::Autoscaling;
pub use self::rebalancing::{Rebalancing, RebalancingPolicy};
pub use self::status::{
    Condition, Division, Leaving, MemberRow, OrderClusterStatus, Restart, ScalingStatus, ShardsStatus, StoreRow,
    StoreStatus, UpgradeStatus,
};
pub use self::strategy::Strategy;
pub use self::tikv::{External, Managed, Pd, Pods, Stores, Tikv};

/// Orders, taken over HTTP and led through reserve, pay, fulfil, cancel and return.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[kube(
    group = "ordermill.io",
    version = "v1alpha1",
    kind = "OrderCluster",
    namespaced,
    shortname = "oc",
    category = "all",
    category = "ordermill",
    status = "OrderClusterStatus",
    derive = "PartialEq",
    doc = "An Ordermill: the processes that take orders, and where the orders are kept.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.ready", description = "Members that serve, of those that should"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.summary", description = "What it is about, in a word"),
    printcolumn(name = "Shards", type_ = "string", json_path = ".status.shards.ready", description = "Shards that a member serves, of all", priority = 1),
    printcolumn(name = "Stores", type_ = "string", json_path = ".status.store.ready", description = "TiKV stores that are up, of those that should", priority = 1),
    printcolumn(name = "Storage", type_ = "string", json_path = ".status.storage", description = "Where orders are kept"),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", description = "What the members run", priority = 1),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint", description = "Where the API is, inside the cluster", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 45 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name becomes that of Services and pods: at most 45 lower-case letters, digits and hyphens, and a letter first")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.storage.embedded) || self.replicas <= 1",
        "an embedded store belongs to one process: replicas can be 0 or 1. Several members need storage.tikv"),
    validation = ("has(self.storage.embedded) == has(oldSelf.storage.embedded) && has(self.storage.tikv) == has(oldSelf.storage.tikv)",
        "the kind of storage cannot be changed, as orders do not move with it: make a new OrderCluster and import the orders there"),
    validation = ("has(self.initialShards) == has(oldSelf.initialShards) && (!has(self.initialShards) || self.initialShards == oldSelf.initialShards)",
        "initialShards cannot be changed: it is fixed when the store is made"),
    validation = ("!has(self.autoscaling) || has(self.storage.tikv)",
        "an embedded store belongs to one process: autoscaling needs storage.tikv"),
    validation = ("!has(self.rebalancing) || has(self.storage.tikv)",
        "an embedded store belongs to one process, and its shards have nowhere to go: rebalancing needs storage.tikv"),
    validation = ("!has(self.image) || !has(self.version)",
        "image and version say the same thing: give one of them"),
    validation = ("!has(self.peerTlsSecretName) || has(self.storage.tikv)",
        "peerTlsSecretName is about connections between members: with an embedded store there is one member"),
    validation = ("has(self.storage.embedded) || !has(self.settings) || (!has(self.settings.minFreeMib) && !has(self.settings.segmentMib))",
        "settings.minFreeMib and settings.segmentMib are about an embedded store: with storage.tikv, leave them out")
)]
pub struct OrderClusterSpec {
    /// The version of Ordermill that the members run, as in `0.1.0`: a tag of the operator's image. Default: what the
    /// cluster runs already; for a new one, the operator's own version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub version: Option<String>,

    /// A whole image that the members run instead, as in `registry.example/ordermill:0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// How many members take orders; 0 stops them all and keeps the orders. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// How many members there are, by the load that they report; `replicas` then says nothing. An autoscaler of
    /// Kubernetes (HPA, KEDA) instead uses the scale subresource: leave this out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// How many shards the store is made with; cannot be changed afterwards. Default: 1 with an embedded store, 64 in
    /// TiKV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub initial_shards: Option<u32>,

    /// Where orders are kept. Default: embedded, on a volume of 10 GiB.
    #[serde(default)]
    pub storage: Storage,

    /// Settings of the members; the defaults are the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,

    /// A Secret with `ca.crt`, `tls.crt` and `tls.key` for TLS between members; the certificate carries the DNS name
    /// `peer.ordermill.internal`. Default: no TLS between members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub peer_tls_secret_name: Option<String>,

    /// The HTTP API. Default: whoever reaches it may use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<HttpApi>,

    /// How members are upgraded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Strategy>,

    /// What shards move for by themselves, and how many at once. Default: what the members were told last by whomever, at
    /// first Load and 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalancing: Option<Rebalancing>,

    /// Laid over the pod template that the operator builds, list items matched by name: resources, node selectors,
    /// tolerations, environment, further containers. The server's own container is `ordermill`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub pod_template: Option<Value>,

    /// While true, the operator writes nothing but the status; members keep serving. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// What becomes of the volumes when this resource is deleted. Default: Retain.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn one() -> i32 {
    1
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Where orders are kept: one of the two.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.embedded) != has(self.tikv)",
    "storage is either embedded or tikv: give exactly one of them"))]
pub struct Storage {
    /// In a volume of the one member; for trying out, and for what one machine can carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Embedded>,

    /// In a TiKV cluster, which any number of members share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tikv: Option<Tikv>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { embedded: Some(Embedded::default()), tikv: None }
    }
}

/// A store in the member's own volume.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Embedded {
    /// The volume; cannot be changed afterwards.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf",
        "the volume of an embedded store cannot be changed: make a new OrderCluster and import the orders there"))]
    pub volume: Volume,
}

/// A volume that is claimed for a pod.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its size, in Mi, Gi or Ti. Default: 10Gi.
    #[serde(default = "ten_gibibytes")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(validation = ("self.matches('^[1-9][0-9]*(Mi|Gi|Ti)$')",
        "a volume's size is a whole number of Mi, Gi or Ti, as in 10Gi"))]
    pub size: String,

    /// Its storage class. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,
}

fn ten_gibibytes() -> String {
    "10Gi".to_owned()
}

impl Default for Volume {
    fn default() -> Self {
        Self { size: ten_gibibytes(), storage_class_name: None }
    }
}

/// The HTTP API.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpApi {
    /// A Secret with the API keys: an entry for each tenant, by its name, with a key on each line, 16 bytes at least.
    /// The operator itself uses the first key of the entry `default`. Changed keys count within two minutes, without a
    /// restart. Default: nobody is asked for a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub keys_secret_name: Option<String>,

    /// A Secret with `tls.crt` and `tls.key`: HTTPS instead of HTTP. The certificate has the names by which clients reach the
    /// API, and for the operator `*.NAME-peers.NAMESPACE.svc`; who has signed it is in `ca.crt`, unless it has signed
    /// itself. A renewed certificate counts within two minutes, without a restart. Default: HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,
}

/// Settings of the members, each the flag of `ordermill serve` of that name.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Rows kept in memory, in MiB. Default: 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub cache_mib: Option<u32>,

    /// Changed rows at which they are flushed, in MiB. Default: 48.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub flush_mib: Option<u32>,

    /// How far the event feed reaches back, as in `24h` or `7d`. Default: 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^([0-9]{1,9}(ms|s|m|min|h|d))+$')",
        "journalRetention is a length of time, as in 90m, 24h or 7d"))]
    pub journal_retention: Option<String>,

    /// How long an idempotency key is remembered, as in `24h` or `7d`. Default: 24h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = ("self.matches('^([0-9]{1,9}(ms|s|m|min|h|d))+$')",
        "idempotencyRetention is a length of time, as in 90m, 24h or 7d"))]
    pub idempotency_retention: Option<String>,

    /// Free space of an embedded store's volume below which writes are refused, in MiB. Default: 128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub min_free_mib: Option<u32>,

    /// One file of an embedded store's journal, in MiB. Default: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub segment_mib: Option<u32>,

    /// Which logs are written, as in `info` or `warn,ordermill_shard=debug`. Default: info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub log_filter: Option<String>,
}

/// What becomes of volumes.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum DeletionPolicy {
    /// They stay, with the orders on them, until somebody deletes them.
    #[default]
    Retain,
    /// They go.
    Delete,
}
