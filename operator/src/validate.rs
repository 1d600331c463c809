//! What the API server's own rules cannot see.
//!
//! Turns a resource into something that can be built, or says what stands against it. Calls nobody.

mod databases;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use serde_json::Value;

pub use self::databases::{Databases, Part};
use crate::build::names;
use crate::crd::{OrderCluster, OrderClusterSpec};

/// What holds for every cluster that does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The image of members, without a tag.
    pub repository: String,
    /// Its tag for new clusters.
    pub version: String,
    /// The labels of PodMonitors; None: there are to be none.
    pub monitors: Option<BTreeMap<String, String>>,
}

/// A resource that can be built.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, and the first part of all names.
    pub name: String,
    /// Where it lives, and everything with it.
    pub namespace: String,
    /// What everything that is built names as its owner.
    pub owner: OwnerReference,
    /// What is asked.
    pub spec: OrderClusterSpec,
    /// What the members run.
    pub image: String,
    /// What is laid over the pod template.
    pub overlay: Option<PodTemplateSpec>,
    /// Members below this number are left as they are.
    pub partition: i32,
    /// PD and TiKV, where the operator runs them.
    pub databases: Option<Databases>,
    /// The labels of its PodMonitor; None: it has none.
    pub monitors: Option<BTreeMap<String, String>>,
}

/// What runs already: the images that were built into StatefulSets before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The members'.
    pub members: Option<String>,
    /// PD's.
    pub pd: Option<String>,
    /// TiKV's.
    pub tikv: Option<String>,
}

/// Why a resource cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// In a word.
    pub reason: &'static str,
    /// In a sentence.
    pub message: String,
}

/// Checks a resource.
pub fn validate(cluster: &OrderCluster, running: &Running, defaults: &Defaults) -> Result<Cluster, Refusal> {
    let refusal = |reason, message: &str| Refusal { reason, message: message.to_owned() };
    let Some(owner) = cluster.controller_owner_ref(&()) else {
        return Err(refusal("Incomplete", "the resource has no name and uid yet"));
    };
    let spec = cluster.spec.clone();
    let image = match (&spec.image, &spec.version, &running.members) {
        (Some(image), _, _) => image.clone(),
        (None, Some(version), _) => format!("{}:{version}", defaults.repository),
        // A newer operator must not restart members that nobody asked it to.
        (None, None, Some(running)) => running.clone(),
        (None, None, None) => format!("{}:{}", defaults.repository, defaults.version),
    };
    if let Some(message) = running.members.as_deref().and_then(|running| skew(running, &image)) {
        return Err(Refusal { reason: "VersionSkew", message });
    }
    let overlay = spec.pod_template.clone().map(|overlay| pod_template(overlay, &cluster.name_any())).transpose()?;
    let managed = spec.storage.tikv.as_ref().and_then(|tikv| tikv.managed.as_ref());
    let databases = managed.map(|managed| databases::of(managed, running)).transpose()?;
    Ok(Cluster {
        databases,
        partition: 0,
        name: cluster.name_any(),
        namespace: cluster.namespace().unwrap_or_default(),
        owner,
        spec,
        image,
        overlay,
        monitors: defaults.monitors.clone(),
    })
}

/// What stands against members of two versions side by side, as an upgrade has them. Known are versions that are tags of the
/// same image; of others, whoever names them has to know.
fn skew(running: &str, wanted: &str) -> Option<String> {
    let parts = |image: &str| {
        let (repository, tag) = image.rsplit_once(':')?;
        let mut numbers = tag.splitn(3, '.').map(|part| part.parse::<u64>().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        numbers.next().map(|_| (repository.to_owned(), major, minor))
    };
    let ((from, major, minor), (to, wanted_major, wanted_minor)) = (parts(running)?, parts(wanted)?);
    if from != to || (wanted_major == major && wanted_minor.abs_diff(minor) <= 1) {
        return None;
    }
    if wanted_major == major + 1 && wanted_minor == 0 {
        return None;
    }
    let (running, wanted) = (running.rsplit(':').next()?, wanted.rsplit(':').next()?);
    Some(format!(
        "members run {running}, and {wanted} is more than one minor version from it: go through those between, one after the other"
    ))
}

fn pod_template(mut overlay: Value, name: &str) -> Result<PodTemplateSpec, Refusal> {
    let refusal = |message: String| Refusal { reason: "InvalidPodTemplate", message };
    quantities(&mut overlay);
    let overlay: PodTemplateSpec = serde_json::from_value(overlay)
        .map_err(|error| refusal(format!("spec.podTemplate is no pod template: {error}")))?;
    let labels = overlay.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    for (label, value) in names::selector(name) {
        if labels.and_then(|labels| labels.get(&label)).is_some_and(|given| *given != value) {
            return Err(refusal(format!("spec.podTemplate changes the label {label}, by which the pods are found")));
        }
    }
    let containers =
        overlay.spec.iter().flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    if containers.clone().any(|container| container.name.is_empty()) {
        return Err(refusal(
            "spec.podTemplate has a container without a name: the server's own is `ordermill`".to_owned(),
        ));
    }
    Ok(overlay)
}

/// `cpu: 2` is a number in YAML, and a quantity.
fn quantities(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if let (true, Some(amounts)) = (["limits", "requests"].contains(&name.as_str()), field.as_object_mut())
                {
                    for amount in amounts.values_mut().filter(|amount| amount.is_number()) {
                        *amount = Value::String(amount.to_string());
                    }
                } else {
                    quantities(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(quantities),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cluster(spec: Value) -> OrderCluster {
        let mut cluster = OrderCluster::new("shop", serde_json::from_value(spec).unwrap());
        cluster.metadata.uid = Some("1".to_owned());
        cluster
    }

    fn defaults() -> Defaults {
        Defaults { repository: "registry/ordermill".to_owned(), version: "2".to_owned(), monitors: None }
    }

    #[test]
    fn a_newer_operator_leaves_the_image_that_runs() {
        let image = |spec: Value, running: Option<&str>| {
            let running = Running { members: running.map(str::to_owned), ..Running::default() };
            validate(&cluster(spec), &running, &defaults()).unwrap().image
        };
        assert_eq!(image(json!({}), None), "registry/ordermill:2");
        assert_eq!(image(json!({}), Some("registry/ordermill:1")), "registry/ordermill:1");
        assert_eq!(image(json!({"version": "3"}), Some("registry/ordermill:1")), "registry/ordermill:3");
        assert_eq!(image(json!({"image": "mine:4"}), Some("registry/ordermill:1")), "mine:4");
    }

    #[test]
    fn versions_go_one_step_at_a_time() {
        let refused = |running: &str, version: &str| {
            let running = Running { members: Some(running.to_owned()), ..Running::default() };
            validate(&cluster(json!({"version": version})), &running, &defaults()).err().map(|refusal| refusal.reason)
        };
        for (running, version) in
            [("0.2.0", "0.3.1"), ("0.2.0", "0.1.9"), ("0.2.0", "0.2.7"), ("1.9.3", "2.0.0"), ("one", "0.9.0")]
        {
            assert_eq!(refused(&format!("registry/ordermill:{running}"), version), None, "{running} to {version}");
        }
        for (running, version) in
            [("0.2.0", "0.4.0"), ("0.4.0", "0.2.0"), ("1.9.3", "2.1.0"), ("1.9.3", "3.0.0"), ("2.0.0", "1.9.9")]
        {
            assert_eq!(
                refused(&format!("registry/ordermill:{running}"), version),
                Some("VersionSkew"),
                "{running} to {version}"
            );
        }
        assert_eq!(refused("mine/ordermill:0.1.0", "0.9.0"), None, "another image is somebody's own");
    }

    #[test]
    fn an_overlay_that_cannot_be_laid_over_is_named() {
        let refused = |overlay: Value| {
            validate(&cluster(json!({"podTemplate": overlay})), &Running::default(), &defaults()).unwrap_err()
        };
        let message = refused(json!({"spec": {"containers": "none"}})).message;
        assert!(message.contains("no pod template"), "{message}");
        let message = refused(json!({"metadata": {"labels": {"app.kubernetes.io/name": "x"}}})).message;
        assert!(message.contains("app.kubernetes.io/name"), "{message}");
        let message = refused(json!({"spec": {"containers": [{"image": "x"}]}})).message;
        assert!(message.contains("without a name"), "{message}");
    }

    #[test]
    fn an_amount_may_be_a_number() {
        let resources = json!({"limits": {"cpu": 2, "memory": "1Gi"}});
        let overlay = json!({"spec": {"containers": [{"name": "ordermill", "resources": resources}]}});
        let overlay = validate(&cluster(json!({"podTemplate": overlay})), &Running::default(), &defaults())
            .unwrap()
            .overlay
            .unwrap();
        let limits = overlay.spec.unwrap().containers[0].resources.clone().unwrap().limits.unwrap();
        assert_eq!((limits["cpu"].0.as_str(), limits["memory"].0.as_str()), ("2", "1Gi"));
    }
}
