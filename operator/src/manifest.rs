//! The CRD as a file: generated from the types, committed, and checked for drift by this crate's tests.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::crd::OrderCluster;

/// The CRD. It outlives the chart that installed it: without it, every OrderCluster would be gone.
pub fn crd() -> Value {
    let mut crd = serde_json::to_value(OrderCluster::crd()).expect("a CRD is JSON");
    crd["metadata"]["annotations"] = json!({"helm.sh/resource-policy": "keep"});
    crd
}

/// A document of YAML.
pub fn yaml(value: &Value) -> String {
    serde_saphyr::to_string(value).expect("JSON is YAML")
}
