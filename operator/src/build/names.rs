//! What things are called: names, labels, ports and places in a pod.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use crate::MANAGER;
use crate::validate::Cluster;

/// The number of a cluster on TiKV that has it for itself, or that says no other.
pub const CLUSTER: u32 = 1;
/// The label of a node, and of its pods from Kubernetes 1.35 on, with its zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";
/// Where members listen for requests.
pub const HTTP_PORT: i32 = 8080;
/// Where members listen for each other.
pub const PEER_PORT: i32 = 7080;
/// The server's container.
pub const CONTAINER: &str = "ordermill";
/// Where an embedded store's volume is.
pub const DATA_DIR: &str = "/var/lib/ordermill";
/// Where the file with the settings is.
pub const SETTINGS_DIR: &str = "/etc/ordermill/settings";
/// The file with the settings.
pub const SETTINGS_FILE: &str = "ordermill.toml";
/// Where the Secret for TLS between members is.
pub const PEER_TLS_DIR: &str = "/etc/ordermill/peer-tls";
/// Where the Secret for TLS to PD and TiKV is.
pub const TIKV_TLS_DIR: &str = "/etc/ordermill/tikv-tls";
/// Where the API keys are mounted.
pub const API_KEYS_DIR: &str = "/etc/ordermill/api-keys";
/// Where the certificate for clients is mounted.
pub const API_TLS_DIR: &str = "/etc/ordermill/api-tls";

/// Where PD answers its clients.
pub const PD_PORT: i32 = 2379;
/// Where members of PD answer each other.
pub const PD_PEER_PORT: i32 = 2380;
/// Where TiKV answers.
pub const TIKV_PORT: i32 = 20160;
/// Where TiKV says how it is.
pub const TIKV_STATUS_PORT: i32 = 20180;

/// A database that the operator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Database {
    /// The members of PD.
    Pd,
    /// The stores of TiKV.
    Tikv,
}

impl Database {
    /// In a word: the container, and the end of every name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pd => "pd",
            Self::Tikv => "tikv",
        }
    }

    /// Its StatefulSet, its ConfigMap, its policy, and the Service of PD.
    pub fn of(self, cluster: &str) -> String {
        format!("{cluster}-{}", self.word())
    }

    /// The Service by which its pods have names.
    pub fn peers(self, cluster: &str) -> String {
        format!("{cluster}-{}-peers", self.word())
    }

    /// Labels by which its pods are found; they can never change.
    pub fn selector(self, cluster: &str) -> BTreeMap<String, String> {
        let name = format!("ordermill-{}", self.word());
        [("app.kubernetes.io/name", name), ("app.kubernetes.io/instance", cluster.to_owned())]
            .map(|(label, value)| (label.to_owned(), value))
            .into()
    }
}

/// Where PD is, for its clients: HOST:PORT.
pub fn pd_endpoint(cluster: &str, namespace: &str) -> String {
    format!("{}.{namespace}.svc:{PD_PORT}", Database::Pd.of(cluster))
}

/// Labels by which the pods of a cluster are found; they can never change.
pub fn selector(cluster: &str) -> BTreeMap<String, String> {
    [("app.kubernetes.io/name", "ordermill"), ("app.kubernetes.io/instance", cluster)]
        .map(|(label, value)| (label.to_owned(), value.to_owned()))
        .into()
}

/// Selects everything that the operator made for a cluster.
pub fn owned(cluster: &str) -> String {
    format!("app.kubernetes.io/managed-by={MANAGER},app.kubernetes.io/instance={cluster}")
}

/// Selects everything that the operator made.
pub fn all_owned() -> String {
    format!("app.kubernetes.io/managed-by={MANAGER}")
}

/// The selector as a text, for the scale subresource.
pub fn selector_text(cluster: &str) -> String {
    text(&selector(cluster))
}

/// The number of a pod of a StatefulSet.
pub fn ordinal(pod: &str) -> Option<i32> {
    pod.rsplit_once('-')?.1.parse().ok()
}

/// A selector as a text.
pub fn text(selector: &BTreeMap<String, String>) -> String {
    selector.iter().map(|(label, value)| format!("{label}={value}")).collect::<Vec<_>>().join(",")
}

pub(super) fn label_selector(cluster: &Cluster) -> LabelSelector {
    selects(selector(&cluster.name))
}

pub(super) fn selects(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}

pub(super) fn labels(cluster: &Cluster) -> BTreeMap<String, String> {
    owned_labels(selector(&cluster.name))
}

pub(super) fn owned_labels(mut selector: BTreeMap<String, String>) -> BTreeMap<String, String> {
    selector.insert("app.kubernetes.io/managed-by".to_owned(), MANAGER.to_owned());
    selector
}

pub(super) fn meta(cluster: &Cluster, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(cluster.namespace.clone()),
        labels: Some(labels(cluster)),
        owner_references: Some(vec![cluster.owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// The Service through which members find each other.
pub(super) fn peers(cluster: &Cluster) -> String {
    format!("{}-peers", cluster.name)
}

/// The ConfigMap with the settings.
pub(super) fn settings(cluster: &Cluster) -> String {
    format!("{}-settings", cluster.name)
}
