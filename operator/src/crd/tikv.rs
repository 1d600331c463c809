//! TiKV as a store: one that is there, or one that the operator runs.
//!
//! What a cluster needs for its data the rules here cannot see: that is PD's to say, before a store goes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Volume, any_object};

/// A store in TiKV: one of the two.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.managed) != has(self.external)",
        "storage.tikv is either managed or external: give exactly one of them"),
    validation = ("has(self.managed) == has(oldSelf.managed)",
        "managed and external cannot be changed into each other, as orders do not move: make a new OrderCluster and import the orders there")
)]
pub struct Tikv {
    /// A TiKV cluster that the operator runs, for this OrderCluster alone. `managed: {}` is three PD and three TiKV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed: Option<Managed>,

    /// A TiKV cluster that is there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
}

/// A TiKV cluster that somebody else looks after.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct External {
    /// PD's client addresses, each HOST:PORT.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 260)))]
    #[x_kube(validation = ("self.all(endpoint, endpoint.matches('^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?:[1-9][0-9]{0,4}$'))",
        "each of pdEndpoints is HOST:PORT, as in pd-0.pd.tikv:2379, without http://"))]
    pub pd_endpoints: Vec<String>,

    /// Tells several OrderClusters in one TiKV apart: two with the same number would share their orders. Cannot be
    /// changed afterwards. Default: 1.
    #[serde(default = "one_id")]
    #[x_kube(validation = ("self == oldSelf",
        "clusterId cannot be changed: the orders of another number are another cluster's"))]
    pub cluster_id: u32,

    /// Whether members let versions in TiKV go that are older than an hour: only where nobody else uses the same PD, or
    /// lets them go. Default: false.
    #[serde(default)]
    pub drive_gc: bool,

    /// A Secret with `ca.crt`, `tls.crt` and `tls.key` for TLS to PD and TiKV. Default: no TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,
}

fn one_id() -> u32 {
    1
}

/// PD and TiKV, run by the operator.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.allowUnsafeReplicas || self.tikv.replicas >= 3",
        "with fewer than 3 TiKV stores, orders are gone with the first disk: give tikv.replicas 3 or more, or, for trying out, allowUnsafeReplicas: true"),
    validation = ("self.allowUnsafeReplicas || self.pd.replicas >= 3",
        "with fewer than 3 PD members, nothing is stored while one is away: give pd.replicas 3 or more, or, for trying out, allowUnsafeReplicas: true"),
    validation = ("has(self.version) || !has(oldSelf.version)",
        "version cannot be left out again: the databases would keep what they run, and the resource would not say what that is"),
    validation = ("self.allowUnsafeReplicas || size(self.zones) != 2",
        "of two zones one has two of the three copies of a row, and without it nothing is stored: give three zones or more, one, none, or, for trying out, allowUnsafeReplicas: true")
)]
pub struct Managed {
    /// The version of PD and TiKV, as in `v8.5.3`: a tag of the images `pingcap/pd` and `pingcap/tikv`. Default: what
    /// runs already; for a new cluster, v8.5.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"))]
    pub version: Option<String>,

    /// The members of PD, which know where everything is.
    #[serde(default)]
    pub pd: Pd,

    /// The stores of TiKV, which hold the orders.
    #[serde(default)]
    pub tikv: Stores,

    /// The zones of both, as nodes have them in their label `topology.kubernetes.io/zone`: pods are spread over them evenly
    /// and are in no other, and PD keeps the copies of a row in different ones. More can come; one that is given stays, as
    /// volumes do. Needs Kubernetes 1.35 or newer, which tells pods their zone. Default: none; pods are in zones of their
    /// own where that can be had, and PD knows of no zones.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(
        validation = ("self.all(zone, self.exists_one(other, other == zone))", "zones names a zone twice"),
        validation = ("oldSelf.all(zone, zone in self)",
            "a zone cannot be taken away: volumes in it cannot follow their pods into another")
    )]
    pub zones: Vec<String>,

    /// Allow fewer than 3 of them: orders are then gone with one disk. Default: false.
    #[serde(default)]
    pub allow_unsafe_replicas: bool,
}

/// The members of PD.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pd {
    /// How many: 1, 3, 5 or 7. Default: 3.
    #[serde(default = "three")]
    #[x_kube(
        validation = ("self in [1, 3, 5, 7]",
            "pd.replicas is 1, 3, 5 or 7: a majority decides, and an even number bears no more losses than one fewer"),
        validation = ("self >= oldSelf", "pd.replicas cannot be lowered: idle members of PD cost next to nothing")
    )]
    pub replicas: i32,

    /// What both are asked alike.
    #[serde(flatten)]
    pub pods: Pods,
}

impl Default for Pd {
    fn default() -> Self {
        Self { replicas: three(), pods: Pods::default() }
    }
}

/// The stores of TiKV.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stores {
    /// How many. Fewer than before go one at a time, each once PD has moved off it what it holds; asked for again, one
    /// that is on its way out stays. Default: 3.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,

    /// How long a store that is to start anew may take until it leads no region, in seconds, before it is stopped
    /// anyway; 0 stops it at once. Default: 300.
    #[serde(default = "evict_leaders_seconds")]
    #[schemars(range(max = 86_400))]
    pub evict_leaders_seconds: u32,

    /// What both are asked alike.
    #[serde(flatten)]
    pub pods: Pods,
}

impl Default for Stores {
    fn default() -> Self {
        Self { replicas: three(), evict_leaders_seconds: evict_leaders_seconds(), pods: Pods::default() }
    }
}

/// What can be asked of the pods of PD, and of those of TiKV.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// A whole image instead of `version`. Default: that of `version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Requests and limits of each, as in a pod. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub resources: Option<Value>,

    /// The volume of each; cannot be changed afterwards. Default: 10Gi.
    #[serde(default)]
    #[x_kube(validation = ("self == oldSelf",
        "the volumes of PD and TiKV cannot be changed here: a StatefulSet's volumes are fixed"))]
    pub volume: Volume,

    /// Settings of PD or TiKV in TOML, above those that the operator gives. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65_536))]
    pub config: Option<String>,
}

fn three() -> i32 {
    3
}

fn evict_leaders_seconds() -> u32 {
    300
}

impl Managed {
    /// How many copies of a row PD keeps.
    pub fn copies(&self) -> i32 {
        if self.tikv.replicas < 3 { 1 } else { 3 }
    }
}
