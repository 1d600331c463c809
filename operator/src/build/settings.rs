//! The file that `ordermill serve` reads, and the ConfigMap that shows it.
//!
//! Pods read it from their own template, so that one that is made anew as it was has the settings that it had.

use k8s_openapi::api::core::v1::ConfigMap;
use toml::{Table, Value};

use super::names;
use crate::credentials;
use crate::validate::Cluster;

/// The settings as the server reads them: what is not said is the server's own default.
pub(super) fn toml(cluster: &Cluster) -> String {
    let mut table = Table::new();
    let mut set = |name: &str, value: Option<Value>| drop(value.map(|value| table.insert(name.to_owned(), value)));
    let text = |text: &str| Some(Value::String(text.to_owned()));
    let number = |number: Option<u32>| number.map(|number| Value::Integer(number.into()));
    set("listen", text(&format!("0.0.0.0:{}", names::HTTP_PORT)));
    set("log", text("json"));
    if credentials::keys_secret(&cluster.spec).is_some() {
        set("api-keys-dir", text(names::API_KEYS_DIR));
    }
    if credentials::tls_secret(&cluster.spec).is_some() {
        set("http-certificate", text(&format!("{}/tls.crt", names::API_TLS_DIR)));
        set("http-key", text(&format!("{}/tls.key", names::API_TLS_DIR)));
    }
    set("shards", number(cluster.spec.initial_shards));
    match &cluster.spec.storage.tikv {
        None => {
            set("store", text("embedded"));
            set("data-dir", text(names::DATA_DIR));
        }
        Some(tikv) => {
            // Of a PD that the operator runs, the Service is the address: more members of PD restart nobody.
            let own = vec![names::pd_endpoint(&cluster.name, &cluster.namespace)];
            let external = tikv.external.as_ref();
            let endpoints = external.map_or(own, |external| external.pd_endpoints.clone());
            set("store", text("tikv"));
            set("pd-endpoints", Some(Value::Array(endpoints.into_iter().map(Value::String).collect())));
            set("cluster-id", number(Some(external.map_or(names::CLUSTER, |external| external.cluster_id))));
            // A PD that the operator runs has no other users, and nobody else who would do it.
            if external.is_none_or(|external| external.drive_gc) {
                set("drive-gc", Some(Value::Boolean(true)));
            }
            set("peer-listen", text(&format!("0.0.0.0:{}", names::PEER_PORT)));
            let mut tls = |name: &str, secret: &Option<String>, directory: &str| {
                if secret.is_some() {
                    set(&format!("{name}-ca"), text(&format!("{directory}/ca.crt")));
                    set(&format!("{name}-certificate"), text(&format!("{directory}/tls.crt")));
                    set(&format!("{name}-key"), text(&format!("{directory}/tls.key")));
                }
            };
            tls("tikv", &external.and_then(|external| external.tls_secret_name.clone()), names::TIKV_TLS_DIR);
            tls("peer", &cluster.spec.peer_tls_secret_name, names::PEER_TLS_DIR);
        }
    }
    let given = cluster.spec.settings.clone().unwrap_or_default();
    set("cache-mib", number(given.cache_mib));
    set("flush-mib", number(given.flush_mib));
    set("journal-retention", given.journal_retention.map(Value::String));
    set("idempotency-retention", given.idempotency_retention.map(Value::String));
    set("min-free-mib", number(given.min_free_mib));
    set("segment-mib", number(given.segment_mib));
    set("log-filter", given.log_filter.map(Value::String));
    table.to_string()
}

pub(super) fn config_map(cluster: &Cluster, toml: &str) -> ConfigMap {
    ConfigMap {
        metadata: names::meta(cluster, &names::settings(cluster)),
        data: Some([(names::SETTINGS_FILE.to_owned(), toml.to_owned())].into()),
        ..ConfigMap::default()
    }
}
