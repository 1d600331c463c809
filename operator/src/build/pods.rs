//! The members: a StatefulSet, so that each keeps its name and its volume.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::apps::v1::{
    RollingUpdateStatefulSetStrategy, StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, Container, ContainerPort, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EnvVar,
    EnvVarSource, HTTPGetAction, Lifecycle, LifecycleHandler, ObjectFieldSelector, PersistentVolumeClaim,
    PersistentVolumeClaimSpec, Pod, PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec,
    Probe, SeccompProfile, SecretVolumeSource, SecurityContext, SleepAction, TopologySpreadConstraint, Volume,
    VolumeMount, VolumeResourceRequirements, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{IMAGE, TEMPLATE, names};
use crate::crd::{self, DeletionPolicy};
use crate::validate::Cluster;
use crate::{credentials, limits};

/// The annotation of a pod with its settings, which it reads as a file: other settings, other pods, and a pod that is
/// made anew as it was has those that it had.
const SETTINGS: &str = "ordermill.io/settings";

pub(super) fn stateful_set(cluster: &Cluster, settings: &str, template_hash: String) -> StatefulSet {
    let mut metadata = names::meta(cluster, &cluster.name);
    metadata.annotations =
        Some([(IMAGE.to_owned(), cluster.image.clone()), (TEMPLATE.to_owned(), template_hash)].into());
    StatefulSet {
        metadata,
        spec: Some(StatefulSetSpec {
            replicas: Some(cluster.spec.replicas),
            selector: names::label_selector(cluster),
            service_name: Some(names::peers(cluster)),
            // Members wait for nobody when they start.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: (cluster.partition > 0).then(|| RollingUpdateStatefulSetStrategy {
                    partition: Some(cluster.partition),
                    ..RollingUpdateStatefulSetStrategy::default()
                }),
            }),
            persistent_volume_claim_retention_policy: Some(retention(cluster.spec.deletion_policy)),
            template: template(cluster, settings),
            volume_claim_templates: cluster.spec.storage.embedded.as_ref().map(|store| vec![claim(&store.volume)]),
            ..StatefulSetSpec::default()
        }),
        ..StatefulSet::default()
    }
}

/// What becomes of volumes.
pub(super) fn retention(policy: DeletionPolicy) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let when_deleted = match policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Delete => "Delete",
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.to_owned()),
        when_scaled: Some("Retain".to_owned()),
    }
}

pub(super) fn template(cluster: &Cluster, settings: &str) -> PodTemplateSpec {
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(cluster)),
            annotations: Some([(SETTINGS.to_owned(), settings.to_owned())].into()),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(cluster.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(limits::TERMINATION_SECONDS),
            security_context: Some(restricted_pod()),
            affinity: Some(apart_by_zone(&names::label_selector(cluster))),
            topology_spread_constraints: Some(vec![apart_by_node(&names::label_selector(cluster))]),
            containers: vec![container(cluster)],
            volumes: Some(volumes(cluster).into_iter().map(|(volume, _)| volume).collect()),
            ..PodSpec::default()
        }),
    };
    if let Some(overlay) = cluster.overlay.clone() {
        template.merge_from(overlay);
    }
    template
}

fn container(cluster: &Cluster) -> Container {
    let mut mounts: Vec<VolumeMount> = volumes(cluster).into_iter().map(|(_, mount)| mount).collect();
    let mut ports = vec![("http", names::HTTP_PORT)];
    if cluster.spec.storage.tikv.is_some() {
        ports.push(("peer", names::PEER_PORT));
    } else {
        mounts.push(mount("data", names::DATA_DIR, false));
    }
    Container {
        name: names::CONTAINER.to_owned(),
        image: Some(cluster.image.clone()),
        args: Some(vec!["serve".to_owned()]),
        env: Some(environment(cluster)),
        ports: Some(
            ports
                .into_iter()
                .map(|(name, port)| ContainerPort {
                    name: Some(name.to_owned()),
                    container_port: port,
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                })
                .collect(),
        ),
        // Alive from the first moment on, however long a recovery takes; ready once it serves, and not while it drains.
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            failure_threshold: Some(6),
            ..probe(cluster, "/healthz")
        }),
        readiness_probe: Some(Probe {
            period_seconds: Some(2),
            failure_threshold: Some(2),
            ..probe(cluster, "/readyz")
        }),
        // Serves on until no node sends it requests; SIGTERM then drains it.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction { seconds: limits::PRE_STOP_SECONDS }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(restricted_container()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn environment(cluster: &Cluster) -> Vec<EnvVar> {
    let plain = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    let mut environment = vec![plain("ORDERMILL_CONFIG", format!("{}/{}", names::SETTINGS_DIR, names::SETTINGS_FILE))];
    if cluster.spec.storage.tikv.is_some() {
        environment.push(EnvVar {
            name: "ORDERMILL_MEMBER_NAME".to_owned(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: "metadata.name".to_owned(),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        });
        let (peers, namespace, port) = (names::peers(cluster), &cluster.namespace, names::PEER_PORT);
        let advertise = format!("$(ORDERMILL_MEMBER_NAME).{peers}.{namespace}.svc:{port}");
        environment.push(plain("ORDERMILL_PEER_ADVERTISE", advertise));
    }
    environment
}

/// The server's own container in a member's pod.
pub fn own_container(pod: &Pod) -> Option<&Container> {
    pod.spec.iter().flat_map(|spec| &spec.containers).find(|container| container.name == names::CONTAINER)
}

/// Whether a member's pod was built to speak TLS to clients.
pub fn speaks_tls(pod: &Pod) -> bool {
    let probe = own_container(pod).and_then(|own| own.readiness_probe.as_ref()?.http_get.as_ref()?.scheme.as_deref());
    probe == Some("HTTPS")
}

fn probe(cluster: &Cluster, path: &str) -> Probe {
    let scheme = if credentials::tls_secret(&cluster.spec).is_some() { "HTTPS" } else { "HTTP" };
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            scheme: Some(scheme.to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// What the restricted Pod Security level asks of a pod.
pub(super) fn restricted_pod() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(limits::USER),
        run_as_group: Some(limits::USER),
        fs_group: Some(limits::USER),
        // Without it, the owner of every file of a large volume is changed at every start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// What it asks of a container, and more: nothing is written but to volumes.
pub(super) fn restricted_container() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), ..Capabilities::default() }),
        ..SecurityContext::default()
    }
}

/// On nodes of their own where that can be had, together where it cannot.
pub(super) fn apart_by_node(selector: &LabelSelector) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(selector.clone()),
        ..TopologySpreadConstraint::default()
    }
}

/// In zones of their own where there are zones. No second constraint beside that on nodes: the scheduler passes over
/// nodes that lack the label of any, and without zones nothing at all would be spread.
pub(super) fn apart_by_zone(selector: &LabelSelector) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(selector.clone()),
        topology_key: names::ZONE.to_owned(),
        ..PodAffinityTerm::default()
    };
    let preferred = WeightedPodAffinityTerm { pod_affinity_term: term, weight: 100 };
    let anti = PodAntiAffinity {
        preferred_during_scheduling_ignored_during_execution: Some(vec![preferred]),
        ..PodAntiAffinity::default()
    };
    Affinity { pod_anti_affinity: Some(anti), ..Affinity::default() }
}

/// What is mounted besides the volume with the orders, and where.
fn volumes(cluster: &Cluster) -> Vec<(Volume, VolumeMount)> {
    let settings = Volume {
        name: "settings".to_owned(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: names::SETTINGS_FILE.to_owned(),
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".to_owned()),
                    field_path: format!("metadata.annotations['{SETTINGS}']"),
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![(settings, mount("settings", names::SETTINGS_DIR, true))];
    let tikv_tls = cluster.spec.storage.tikv.as_ref().and_then(|tikv| tikv.external.as_ref()?.tls_secret_name.as_ref());
    for (name, secret, directory) in [
        ("peer-tls", cluster.spec.peer_tls_secret_name.as_ref(), names::PEER_TLS_DIR),
        ("tikv-tls", tikv_tls, names::TIKV_TLS_DIR),
        ("api-keys", credentials::keys_secret(&cluster.spec), names::API_KEYS_DIR),
        ("api-tls", credentials::tls_secret(&cluster.spec), names::API_TLS_DIR),
    ] {
        if let Some(secret) = secret {
            let source = SecretVolumeSource {
                secret_name: Some(secret.clone()),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            };
            let volume = Volume { name: name.to_owned(), secret: Some(source), ..Volume::default() };
            volumes.push((volume, mount(name, directory, true)));
        }
    }
    volumes
}

pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

pub(super) fn claim(volume: &crd::Volume) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta { name: Some("data".to_owned()), ..ObjectMeta::default() },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: volume.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), Quantity(volume.size.clone()))].into()),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
