//! What the operator may do, and no more: the rules of its roles, generated into the chart.
//!
//! The tests on a real API server run it with these rights alone, and compare them with what it was seen to use.

use k8s_openapi::api::rbac::v1::PolicyRule;

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(texts(&[group])),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

/// In every namespace that is watched.
pub fn watched() -> Vec<PolicyRule> {
    const OWNED: &[&str] = &["get", "list", "watch", "create", "patch"];
    vec![
        rule("ordermill.io", &["orderclusters"], &["list", "watch"]),
        rule("ordermill.io", &["orderclusters/status"], &["patch"]),
        rule("", &["configmaps", "serviceaccounts", "services"], OWNED),
        // Pods are read for upgrades, and those that are taken back, or stores that start anew, are deleted.
        rule("", &["pods"], &["list", "delete"]),
        // The volume of a store that has left for good: no store is ever let in with it again.
        rule("", &["persistentvolumeclaims"], &["delete"]),
        // The one that has a cluster's API keys: the operator is a client of its members.
        rule("", &["secrets"], &["get"]),
        rule("apps", &["statefulsets"], OWNED),
        rule("networking.k8s.io", &["networkpolicies"], OWNED),
        // The only kind that a cluster can have and then not: a single member has no budget.
        rule("policy", &["poddisruptionbudgets"], &["get", "list", "watch", "create", "patch", "delete"]),
        // Where Prometheus' operator is installed; not watched, as there may be no such kind.
        rule("monitoring.coreos.com", &["podmonitors"], &["get", "list", "create", "patch", "delete"]),
        rule("events.k8s.io", &["events"], &["create", "patch"]),
    ]
}

/// In the operator's own namespace.
pub fn lease() -> Vec<PolicyRule> {
    vec![rule("coordination.k8s.io", &["leases"], &["get", "create", "patch"])]
}
