//! What the operator answers.
//!
//! Reads like a dashboard; every line of it comes from one function, `status::of`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the cluster is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderClusterStatus {
    /// The generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What it is about, in a word: the reason of the condition that matters most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,

    /// Members that serve, of those that should, as in `2/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,

    /// Pods that there are.
    #[serde(default)]
    pub replicas: i32,

    /// Members that serve.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Pods that are built as the spec says now.
    #[serde(default)]
    pub updated_replicas: i32,

    /// Selects the pods; for `kubectl scale` and autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// What the members run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Where orders are kept: `embedded` or `tikv`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,

    /// Where the API is, inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// How many members there should be, by their load or while some are drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,

    /// The upgrade that is under way, or was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,

    /// The shards, as the members tell; not while nobody tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<ShardsStatus>,

    /// The members, as they tell, by their pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub members: Vec<MemberRow>,

    /// The value of the annotation `ordermill.io/rebalance` for which shards were levelled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalanced: Option<String>,

    /// PD and TiKV, where the operator runs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreStatus>,

    /// `Accepted`: the spec can be carried out. `Available`: orders can be taken. `Progressing`: a change is under way.
    /// Where the operator runs them, `StoreReady`: PD and TiKV are whole; `StoresSettled`: there are as many stores as
    /// asked, and each as it is asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How many members there should be.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// How many members there should be.
    pub replicas: i32,
    /// Why: `Asked`, `Steady`, `More`, `Fewer`, `Settling`, `Frozen`, `Changing` or `Bounds`.
    pub reason: String,
    /// Members that hand their shards over, and then go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draining: Vec<String>,
}

/// How shards are.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardsStatus {
    /// How many there are.
    pub count: u64,
    /// Those that a member serves.
    pub owned: u64,
    /// Those on their way to a member, or without one.
    pub moving: u64,
    /// Those that are served, of all, as in `64/64`.
    pub ready: String,
    /// What they move for by themselves, and how many at once, as in `load, 8 at once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rebalancing: Option<String>,
    /// The format in which records are written.
    pub format: u32,
}

/// A member, as it is told of.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberRow {
    /// Its pod.
    pub name: String,
    /// `serving`, `cordoned`, `draining` or `drained`.
    pub state: String,
    /// How many shards it serves.
    pub shards: u64,
}

/// How far an upgrade is.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// `Preflight`, `Canary`, `Rolling`, `RollingBack` or `RolledBack`.
    pub step: String,
    /// The image that the members shall run.
    pub to: String,
    /// What it waits for, or why it went back.
    pub message: String,
    /// The hash of the pod template that was refused: it is not tried again until the spec gives another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_template: Option<String>,
}

/// How PD and TiKV are.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreStatus {
    /// Whether PD was formed. Once it was, a member of PD that has lost its volume joins the others and never founds anew.
    #[serde(default)]
    pub bootstrapped: bool,

    /// Members of PD that are well, of those that should, as in `3/3`.
    #[serde(default)]
    pub pd: String,

    /// Which of them leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pd_leader: Option<String>,

    /// Stores that are up, of those that should, as in `3/3`.
    #[serde(default)]
    pub ready: String,

    /// The store that leaves: what it holds is moved off it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,

    /// The store that is to start anew: it gives its leaders away first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,

    /// Whether regions end at the bounds of shards, so that load spreads from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<Division>,

    /// The stores that PD knows, by their numbers; not those that are gone for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub stores: Vec<StoreRow>,
}

/// How the division of regions at the bounds of shards went.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Division {
    /// Whether all is divided.
    pub done: bool,
    /// How often it was tried; after 20 times PD is left to divide what grows by itself.
    pub tries: u32,

    /// When it was tried last.
    #[serde(default)]
    pub last_try: String,
}

/// A store that leaves. It is here before PD hears of it, and for as long: only such a one is let back.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaving {
    /// Its number.
    pub id: u64,
    /// Its pod.
    pub pod: String,
}

/// A store that is to start anew. It is here before PD is told to take its leaders away, and until it may lead again.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// Its number.
    pub id: u64,
    /// Its pod.
    pub pod: String,
    /// Since when its leaders are asked away, RFC 3339.
    pub since: String,
}

/// A store of TiKV, as PD sees it.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreRow {
    /// Its number.
    pub id: u64,
    /// Its pod, or its address where that is no pod of ours.
    pub pod: String,
    /// `Up`, `Disconnected`, `Down` or `Offline` (its data moves off it).
    pub state: String,
    /// How full its volume is, in steps of ten percent.
    pub used: String,
    /// Its zone, where PD was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// One thing that is so or not.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// The generation of the spec that this speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When `status` changed last, RFC 3339.
    pub last_transition_time: String,
}
