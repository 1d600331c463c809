//! PD and TiKV as they can be built: whole images, whole configurations.

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde_json::Value;
use toml::Table;

use super::{Refusal, Running, quantities};
use crate::crd::{Managed, Volume};

/// The version of PD and TiKV for new clusters.
const VERSION: &str = "v8.5.3";

/// PD and TiKV.
#[derive(Clone, Debug)]
pub struct Databases {
    /// The members of PD.
    pub pd: Part,
    /// The stores of TiKV.
    pub tikv: Part,
}

/// One of the two.
#[derive(Clone, Debug)]
pub struct Part {
    /// How many pods.
    pub replicas: i32,
    /// What they run.
    pub image: String,
    /// Their file of settings, in TOML.
    pub config: String,
    /// What each takes.
    pub resources: Option<ResourceRequirements>,
    /// The volume of each.
    pub volume: Volume,
    /// The zones that they are in; none: wherever.
    pub zones: Vec<String>,
}

pub(super) fn of(managed: &Managed, running: &Running) -> Result<Databases, Refusal> {
    let image = |name: &str, given: &Option<String>, running: &Option<String>| match (given, &managed.version, running)
    {
        (Some(image), _, _) => image.clone(),
        (None, Some(version), _) => format!("pingcap/{name}:{version}"),
        // A newer operator must not restart databases that nobody asked it to.
        (None, None, Some(running)) => running.clone(),
        (None, None, None) => format!("pingcap/{name}:{VERSION}"),
    };
    let (pd, tikv) = (&managed.pd, &managed.tikv);
    let mut replication = Table::new();
    replication.insert("max-replicas".to_owned(), toml::Value::Integer(managed.copies().into()));
    let own: Table = [("replication".to_owned(), toml::Value::Table(replication))].into_iter().collect();
    Ok(Databases {
        pd: Part {
            replicas: pd.replicas,
            image: image("pd", &pd.pods.image, &running.pd),
            config: config("pd", own, pd.pods.config.as_deref())?,
            resources: resources("pd", pd.pods.resources.clone())?,
            volume: pd.pods.volume.clone(),
            zones: managed.zones.clone(),
        },
        tikv: Part {
            replicas: tikv.replicas,
            image: image("tikv", &tikv.pods.image, &running.tikv),
            config: config("tikv", Table::new(), tikv.pods.config.as_deref())?,
            resources: resources("tikv", tikv.pods.resources.clone())?,
            volume: tikv.pods.volume.clone(),
            zones: managed.zones.clone(),
        },
    })
}

/// What is given, laid over what the operator says itself.
fn config(name: &str, mut own: Table, given: Option<&str>) -> Result<String, Refusal> {
    let given: Table = given.unwrap_or_default().parse().map_err(|error: toml::de::Error| Refusal {
        reason: "InvalidConfig",
        message: format!("spec.storage.tikv.managed.{name}.config is no TOML: {}", error.message()),
    })?;
    lay_over(&mut own, given);
    Ok(own.to_string())
}

fn lay_over(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => lay_over(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

fn resources(name: &str, given: Option<Value>) -> Result<Option<ResourceRequirements>, Refusal> {
    given
        .map(|given| {
            let mut whole = serde_json::json!({"resources": given});
            quantities(&mut whole);
            serde_json::from_value(whole["resources"].take())
        })
        .transpose()
        .map_err(|error| Refusal {
            reason: "InvalidResources",
            message: format!("spec.storage.tikv.managed.{name}.resources are not those of a container: {error}"),
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn databases(spec: Value, running: &Running) -> Result<Databases, Refusal> {
        of(&serde_json::from_value(spec).unwrap(), running)
    }

    #[test]
    fn a_newer_operator_leaves_the_databases_that_run() {
        let running = Running { pd: Some("pd:1".to_owned()), tikv: Some("tikv:1".to_owned()), ..Running::default() };
        let images = |spec: Value, running: &Running| {
            let databases = databases(spec, running).unwrap();
            [databases.pd.image, databases.tikv.image]
        };
        assert_eq!(images(json!({}), &Running::default()), ["pingcap/pd:v8.5.3", "pingcap/tikv:v8.5.3"]);
        assert_eq!(images(json!({}), &running), ["pd:1", "tikv:1"]);
        assert_eq!(images(json!({"version": "v9", "tikv": {"image": "mine"}}), &running), ["pingcap/pd:v9", "mine"]);
    }

    #[test]
    fn settings_are_laid_over_those_of_the_operator() {
        let config = |spec: Value| databases(spec, &Running::default()).map(|databases| databases.pd.config);
        assert_eq!(config(json!({})).unwrap(), "[replication]\nmax-replicas = 3\n");
        let given = json!({"tikv": {"replicas": 1}, "pd": {"config": "[replication]\nlocation-labels = [\"host\"]"}});
        let laid = config(given).unwrap();
        assert!(laid.contains("max-replicas = 1") && laid.contains("location-labels = [\"host\"]"), "{laid}");
        let refused = config(json!({"pd": {"config": "replication = "}})).unwrap_err();
        assert!(refused.message.contains("pd.config is no TOML"), "{refused:?}");
        let refused = databases(json!({"tikv": {"resources": {"limits": 3}}}), &Running::default()).unwrap_err();
        assert!(refused.message.contains("tikv.resources are not those"), "{refused:?}");
    }
}
