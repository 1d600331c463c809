//! How members are reached, by whom, and what may stop them at once.

use k8s_openapi::api::core::v1::{Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names;
use crate::validate::Cluster;

/// Members speak to nobody of Kubernetes: no token.
pub(super) fn account(cluster: &Cluster) -> ServiceAccount {
    ServiceAccount {
        metadata: names::meta(cluster, &cluster.name),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Where clients find whichever member is ready.
pub(super) fn service(cluster: &Cluster) -> Service {
    Service {
        metadata: names::meta(cluster, &cluster.name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(names::selector(&cluster.name)),
            ports: Some(vec![port("http", names::HTTP_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Where members find each other by name, ready or not: a member is ready only once it has joined.
pub(super) fn peers(cluster: &Cluster) -> Service {
    let mut ports = vec![port("http", names::HTTP_PORT)];
    if cluster.spec.storage.tikv.is_some() {
        ports.push(port("peer", names::PEER_PORT));
    }
    Service {
        metadata: names::meta(cluster, &names::peers(cluster)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector(&cluster.name)),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

pub(super) fn port(name: &str, port: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port,
        target_port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..ServicePort::default()
    }
}

/// Requests from anywhere, connections between members from members only.
pub(super) fn policy(cluster: &Cluster) -> NetworkPolicy {
    let port = |name: &str| NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some("TCP".to_owned()),
        ..NetworkPolicyPort::default()
    };
    let mut ingress = vec![NetworkPolicyIngressRule { from: None, ports: Some(vec![port("http")]) }];
    if cluster.spec.storage.tikv.is_some() {
        let members =
            NetworkPolicyPeer { pod_selector: Some(names::label_selector(cluster)), ..NetworkPolicyPeer::default() };
        ingress.push(NetworkPolicyIngressRule { from: Some(vec![members]), ports: Some(vec![port("peer")]) });
    }
    NetworkPolicy {
        metadata: names::meta(cluster, &cluster.name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(names::label_selector(cluster)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

/// One member at a time; none for a single one, which no node could then be drained of.
pub(super) fn budget(cluster: &Cluster) -> Option<PodDisruptionBudget> {
    (cluster.spec.replicas > 1).then(|| PodDisruptionBudget {
        metadata: names::meta(cluster, &cluster.name),
        spec: Some(one_at_a_time(names::label_selector(cluster))),
        ..PodDisruptionBudget::default()
    })
}

pub(super) fn one_at_a_time(selector: LabelSelector) -> PodDisruptionBudgetSpec {
    PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(selector),
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    }
}
