//! What Prometheus scrapes of a cluster, for Prometheus' operator.

use kube::discovery::ApiResource;
use serde_json::json;

use super::{Object, names, stamped};
use crate::credentials;
use crate::validate::Cluster;

/// A kind that there is only where Prometheus' operator is installed.
pub fn kind() -> ApiResource {
    ApiResource {
        group: "monitoring.coreos.com".to_owned(),
        version: "v1".to_owned(),
        api_version: "monitoring.coreos.com/v1".to_owned(),
        kind: "PodMonitor".to_owned(),
        plural: "podmonitors".to_owned(),
    }
}

/// The members' measurements, which they tell everybody who can reach them; None where none are wanted.
pub fn monitor(cluster: &Cluster) -> Option<Object> {
    let mut metadata = names::meta(cluster, &cluster.name);
    metadata.labels.get_or_insert_default().extend(cluster.monitors.clone()?);
    let mut endpoint = json!({"port": "http", "path": "/metrics"});
    if credentials::tls_secret(&cluster.spec).is_some() {
        endpoint["scheme"] = json!("https");
        // Pods are scraped by their addresses, which no certificate has; what is told is no secret, and none is shown.
        endpoint["tlsConfig"] = json!({"insecureSkipVerify": true});
    }
    let body = json!({
        "apiVersion": kind().api_version,
        "kind": kind().kind,
        "metadata": metadata,
        "spec": {"selector": names::label_selector(cluster), "podMetricsEndpoints": [endpoint]},
    });
    Some(stamped(kind(), cluster.name.clone(), body))
}
