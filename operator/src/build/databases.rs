//! PD and TiKV: for each a StatefulSet, a ConfigMap, Services by which it is found, a policy and a budget.
//!
//! A pod's arguments are the same before and after PD was formed: what differs comes through its environment when it
//! starts, so that forming restarts nobody. No probe kills a database.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    Affinity, ConfigMap, ConfigMapKeySelector, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
    EnvVar, EnvVarSource, HTTPGetAction, KeyToPath, NodeAffinity, NodeSelector, NodeSelectorRequirement,
    NodeSelectorTerm, ObjectFieldSelector, PodSpec, PodTemplateSpec, Probe, Service, ServiceSpec, TCPSocketAction,
    TopologySpreadConstraint, Volume,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::names::{Database, PD_PEER_PORT, PD_PORT, TIKV_PORT, TIKV_STATUS_PORT};
use super::{IMAGE, Object, Stage, hash, names, network, object, pods};
use crate::validate::{Cluster, Databases, Part};
use crate::{MANAGER, limits};

/// The annotation of a pod with the hash of its configuration: another one, other pods.
const CONFIG_HASH: &str = "ordermill.io/config";
const INITIAL_CLUSTER: &str = "initial-cluster";
const JOIN: &str = "join";

/// Those of both that can come already.
pub(super) fn objects(cluster: &Cluster, databases: &Databases, stage: Stage) -> Vec<Object> {
    let mut objects = Vec::new();
    for (database, part) in [(Database::Pd, &databases.pd), (Database::Tikv, &databases.tikv)] {
        if database == Database::Tikv && !stage.bootstrapped {
            break;
        }
        objects.push(object(&config_map(cluster, database, part, stage)));
        if database == Database::Pd {
            objects.push(object(&service(cluster)));
        }
        objects.push(object(&peers(cluster, database)));
        objects.push(object(&policy(cluster, database)));
        objects.extend(budget(cluster, database, part).as_ref().map(object));
        objects.push(object(&stateful_set(cluster, database, part)));
    }
    objects
}

/// Whether the ConfigMap of PD says that its members join what is there.
pub fn joins(config_map: &serde_json::Value) -> bool {
    config_map["data"][JOIN].as_str().is_some_and(|join| !join.is_empty())
}

fn meta(cluster: &Cluster, database: Database, name: &str) -> ObjectMeta {
    ObjectMeta { labels: Some(names::owned_labels(database.selector(&cluster.name))), ..names::meta(cluster, name) }
}

/// The host of a pod, which may be named by a variable.
fn host(cluster: &Cluster, database: Database, pod: &str) -> String {
    format!("{pod}.{}.{}.svc", database.peers(&cluster.name), cluster.namespace)
}

fn config_map(cluster: &Cluster, database: Database, part: &Part, stage: Stage) -> ConfigMap {
    let mut data: BTreeMap<String, String> = [(file(database), part.config.clone())].into();
    if database == Database::Pd {
        let name = database.of(&cluster.name);
        let member = |ordinal: i32| {
            let pod = format!("{name}-{ordinal}");
            format!("{pod}=http://{}:{PD_PEER_PORT}", host(cluster, database, &pod))
        };
        let initial = (0..part.replicas).map(member).collect::<Vec<_>>().join(",");
        // The Service leads to the others: one that has lost its volume finds them there, or nobody, and waits.
        let join = format!("http://{}", names::pd_endpoint(&cluster.name, &cluster.namespace));
        let (initial, join) = if stage.bootstrapped { (String::new(), join) } else { (initial, String::new()) };
        data.insert(INITIAL_CLUSTER.to_owned(), initial);
        data.insert(JOIN.to_owned(), join);
    }
    ConfigMap {
        metadata: meta(cluster, database, &database.of(&cluster.name)),
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn file(database: Database) -> String {
    format!("{}.toml", database.word())
}

/// Where PD answers its clients, whichever member is ready.
fn service(cluster: &Cluster) -> Service {
    Service {
        metadata: meta(cluster, Database::Pd, &Database::Pd.of(&cluster.name)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(Database::Pd.selector(&cluster.name)),
            ports: Some(vec![network::port("client", PD_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn ports(database: Database) -> [(&'static str, i32); 2] {
    match database {
        Database::Pd => [("client", PD_PORT), ("peer", PD_PEER_PORT)],
        Database::Tikv => [("tikv", TIKV_PORT), ("status", TIKV_STATUS_PORT)],
    }
}

/// Names for the pods, ready or not: they need each other to become ready.
fn peers(cluster: &Cluster, database: Database) -> Service {
    Service {
        metadata: meta(cluster, database, &database.peers(&cluster.name)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(database.selector(&cluster.name)),
            ports: Some(ports(database).map(|(name, port)| network::port(name, port)).into()),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// From this cluster's own pods and from the operator only.
fn policy(cluster: &Cluster, database: Database) -> NetworkPolicy {
    let pods = |labels: BTreeMap<String, String>| NetworkPolicyPeer {
        pod_selector: Some(names::selects(labels)),
        ..NetworkPolicyPeer::default()
    };
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector::default()),
        ..pods([("app.kubernetes.io/name".to_owned(), MANAGER.to_owned())].into())
    };
    let own = |database: Database| pods(database.selector(&cluster.name));
    let members = pods(names::selector(&cluster.name));
    let rule = |name: &str, from: Vec<NetworkPolicyPeer>| NetworkPolicyIngressRule {
        from: Some(from),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::String(name.to_owned())),
            protocol: Some("TCP".to_owned()),
            ..NetworkPolicyPort::default()
        }]),
    };
    let everybody = vec![members, own(Database::Pd), own(Database::Tikv)];
    let ingress = match database {
        Database::Pd => {
            let clients = [everybody, vec![operator]].concat();
            vec![rule("client", clients), rule("peer", vec![own(Database::Pd)])]
        }
        Database::Tikv => {
            vec![rule("tikv", everybody), rule("status", vec![own(Database::Pd), operator])]
        }
    };
    NetworkPolicy {
        metadata: meta(cluster, database, &database.of(&cluster.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(names::selects(database.selector(&cluster.name))),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(ingress),
            ..NetworkPolicySpec::default()
        }),
    }
}

fn budget(cluster: &Cluster, database: Database, part: &Part) -> Option<PodDisruptionBudget> {
    (part.replicas > 1).then(|| PodDisruptionBudget {
        metadata: meta(cluster, database, &database.of(&cluster.name)),
        spec: Some(network::one_at_a_time(names::selects(database.selector(&cluster.name)))),
        ..PodDisruptionBudget::default()
    })
}

fn stateful_set(cluster: &Cluster, database: Database, part: &Part) -> StatefulSet {
    let mut metadata = meta(cluster, database, &database.of(&cluster.name));
    metadata.annotations = Some([(IMAGE.to_owned(), part.image.clone())].into());
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(part.replicas),
            selector: names::selects(database.selector(&cluster.name)),
            service_name: Some(database.peers(&cluster.name)),
            // PD needs a majority before any of them is ready.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some(update(database).to_owned()),
                ..StatefulSetUpdateStrategy::default()
            }),
            persistent_volume_claim_retention_policy: Some(pods::retention(cluster.spec.deletion_policy)),
            template: template(cluster, database, part),
            volume_claim_templates: Some(vec![pods::claim(&part.volume)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// A store gives its leaders away before its pod is made anew, so the operator deletes it; members of PD find a new
/// leader within seconds by themselves.
fn update(database: Database) -> &'static str {
    match database {
        Database::Pd => "RollingUpdate",
        Database::Tikv => "OnDelete",
    }
}

fn template(cluster: &Cluster, database: Database, part: &Part) -> PodTemplateSpec {
    let selector = database.selector(&cluster.name);
    let selects = names::selects(selector.clone());
    let config = Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: database.of(&cluster.name),
            items: Some(vec![KeyToPath { key: file(database), path: file(database), mode: None }]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let temporary =
        Volume { name: "tmp".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            annotations: Some([(CONFIG_HASH.to_owned(), hash(part.config.as_bytes()))].into()),
            labels: Some(names::owned_labels(selector.clone())),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(cluster.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(limits::TERMINATION_SECONDS),
            security_context: Some(pods::restricted_pod()),
            affinity: Some(affinity(part, &selects)),
            topology_spread_constraints: Some(spread(part, &selects)),
            containers: vec![container(cluster, database, part)],
            volumes: Some(vec![config, temporary]),
            ..PodSpec::default()
        }),
    }
}

/// In the zones that are given, or in zones of their own where that can be had.
fn affinity(part: &Part, selects: &LabelSelector) -> Affinity {
    if part.zones.is_empty() {
        return pods::apart_by_zone(selects);
    }
    let expression = NodeSelectorRequirement {
        key: names::ZONE.to_owned(),
        operator: "In".to_owned(),
        values: Some(part.zones.clone()),
    };
    let term = NodeSelectorTerm { match_expressions: Some(vec![expression]), ..NodeSelectorTerm::default() };
    let required = NodeSelector { node_selector_terms: vec![term] };
    let node =
        NodeAffinity { required_during_scheduling_ignored_during_execution: Some(required), ..NodeAffinity::default() };
    Affinity { node_affinity: Some(node), ..Affinity::default() }
}

/// On nodes of their own where that can be had. Of the zones that are given none has two pods more than another: one that
/// is away keeps its share waiting, as its volumes are there.
fn spread(part: &Part, selects: &LabelSelector) -> Vec<TopologySpreadConstraint> {
    let by_node = pods::apart_by_node(selects);
    if part.zones.is_empty() {
        return vec![by_node];
    }
    let by_zone = TopologySpreadConstraint {
        topology_key: names::ZONE.to_owned(),
        when_unsatisfiable: "DoNotSchedule".to_owned(),
        min_domains: Some(part.zones.len() as i32),
        ..by_node.clone()
    };
    vec![by_zone, by_node]
}

fn container(cluster: &Cluster, database: Database, part: &Part) -> Container {
    let word = database.word();
    Container {
        name: word.to_owned(),
        image: Some(part.image.clone()),
        args: Some(arguments(cluster, database)),
        env: Some(environment(cluster, database)),
        ports: Some(
            ports(database)
                .map(|(name, port)| ContainerPort {
                    name: Some(name.to_owned()),
                    container_port: port,
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                })
                .into(),
        ),
        readiness_probe: Some(ready(database)),
        resources: part.resources.clone(),
        security_context: Some(pods::restricted_container()),
        volume_mounts: Some(vec![
            pods::mount("data", &data(database), false),
            pods::mount("config", &format!("/etc/{word}"), true),
            pods::mount("tmp", "/tmp", false),
        ]),
        ..Container::default()
    }
}

fn data(database: Database) -> String {
    format!("/var/lib/{}", database.word())
}

/// Arguments alone: what the image starts is its own business.
fn arguments(cluster: &Cluster, database: Database) -> Vec<String> {
    let (word, me) = (database.word(), host(cluster, database, "$(POD_NAME)"));
    let files = [format!("--data-dir={}", data(database)), format!("--config=/etc/{word}/{}", file(database))];
    let addresses = match database {
        Database::Pd => vec![
            "--name=$(POD_NAME)".to_owned(),
            format!("--client-urls=http://0.0.0.0:{PD_PORT}"),
            format!("--advertise-client-urls=http://{me}:{PD_PORT}"),
            format!("--peer-urls=http://0.0.0.0:{PD_PEER_PORT}"),
            format!("--advertise-peer-urls=http://{me}:{PD_PEER_PORT}"),
            "--initial-cluster=$(PD_INITIAL_CLUSTER)".to_owned(),
            "--join=$(PD_JOIN)".to_owned(),
        ],
        Database::Tikv => vec![
            format!("--pd={}", names::pd_endpoint(&cluster.name, &cluster.namespace)),
            format!("--addr=0.0.0.0:{TIKV_PORT}"),
            format!("--advertise-addr={me}:{TIKV_PORT}"),
            format!("--status-addr=0.0.0.0:{TIKV_STATUS_PORT}"),
        ],
    };
    addresses.into_iter().chain(files).collect()
}

fn environment(cluster: &Cluster, database: Database) -> Vec<EnvVar> {
    let from = |name: &str, source: EnvVarSource| EnvVar {
        name: name.to_owned(),
        value_from: Some(source),
        ..EnvVar::default()
    };
    let field = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: "metadata.name".to_owned() };
    let pod = EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() };
    let key = |key: &str| EnvVarSource {
        config_map_key_ref: Some(ConfigMapKeySelector {
            name: database.of(&cluster.name),
            key: key.to_owned(),
            ..ConfigMapKeySelector::default()
        }),
        ..EnvVarSource::default()
    };
    let mut environment = vec![from("POD_NAME", pod)];
    if database == Database::Pd {
        environment.push(from("PD_INITIAL_CLUSTER", key(INITIAL_CLUSTER)));
        environment.push(from("PD_JOIN", key(JOIN)));
    }
    environment
}

/// PD that follows nobody is not ready; TiKV listens once PD knows it.
fn ready(database: Database) -> Probe {
    let probe = Probe { period_seconds: Some(5), timeout_seconds: Some(3), ..Probe::default() };
    match database {
        Database::Pd => Probe {
            http_get: Some(HTTPGetAction {
                path: Some("/pd/api/v1/ping".to_owned()),
                port: IntOrString::String("client".to_owned()),
                scheme: Some("HTTP".to_owned()),
                ..HTTPGetAction::default()
            }),
            ..probe
        },
        Database::Tikv => Probe {
            tcp_socket: Some(TCPSocketAction {
                port: IntOrString::String("tikv".to_owned()),
                ..TCPSocketAction::default()
            }),
            ..probe
        },
    }
}
