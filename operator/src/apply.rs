//! From what is there to what should be, with as few writes as that takes: none when nothing differs.
//!
//! Never takes an object over that somebody else made, and deletes nothing but what it owns.

use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::MANAGER;
use crate::build::{HASH, Object};
use crate::observe::{Live, Observed, owned_by};

/// Why not everything is as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object of that name is there, and somebody else's.
    #[error("there is a {kind} {name} already, and it is not this OrderCluster's: rename or delete one of them")]
    Taken {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server did not do it.
    #[error("{what}: {error}")]
    Refused {
        /// What was to be done.
        what: String,
        /// What it said.
        error: Box<kube::Error>,
    },
}

/// Writes what differs, then deletes what is owned and not built any longer. What is there afterwards replaces what
/// was `observed`.
pub async fn apply(
    client: &Client,
    namespace: &str,
    uid: &str,
    built: &[Object],
    observed: &mut Observed,
) -> Result<(), Error> {
    for object in built {
        let live = observed.objects.iter_mut().find(|live| is(live, object));
        if live.as_ref().is_some_and(|live| same(&live.object, object)) {
            continue;
        }
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &object.resource);
        let what = format!("{} {} cannot be written", object.resource.kind, object.name);
        let refused = |error| Error::Refused { what: what.clone(), error: Box::new(error) };
        if live.is_none() {
            let other = api.get_opt(&object.name).await.map_err(refused)?;
            if other.is_some_and(|other| !owned_by(&other, uid)) {
                return Err(Error::Taken { kind: object.resource.kind.clone(), name: object.name.clone() });
            }
        }
        let params = PatchParams::apply(MANAGER).force();
        let written = api.patch(&object.name, &params, &Patch::Apply(&object.body)).await.map_err(refused)?;
        metrics::counter!("ordermill_operator_writes_total", "kind" => object.resource.kind.clone()).increment(1);
        match live {
            Some(live) => live.object = written,
            None => observed.objects.push(Live { resource: object.resource.clone(), object: written }),
        }
    }
    prune(client, namespace, built, observed).await
}

async fn prune(client: &Client, namespace: &str, built: &[Object], observed: &mut Observed) -> Result<(), Error> {
    let wanted = |live: &Live| built.iter().any(|object| is(live, object));
    for live in
        observed.objects.iter().filter(|live| !wanted(live) && live.object.metadata.deletion_timestamp.is_none())
    {
        let (kind, name) = (&live.resource.kind, live.object.name_any());
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &live.resource);
        // This one, not another of its name that was made since.
        let this = Preconditions { uid: live.object.uid(), resource_version: None };
        let params = DeleteParams { preconditions: Some(this), ..DeleteParams::background() };
        match api.delete(&name, &params).await {
            Ok(_) => {
                metrics::counter!("ordermill_operator_deletes_total", "kind" => kind.clone()).increment(1);
                tracing::info!(kind, name, "deleted: it is not built any longer");
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                let what = format!("{kind} {name} cannot be deleted");
                return Err(Error::Refused { what, error: Box::new(error) });
            }
        }
    }
    observed.objects.retain(wanted);
    Ok(())
}

fn is(live: &Live, object: &Object) -> bool {
    live.resource == object.resource && live.object.name_any() == object.name
}

/// Whether writing `object` would change nothing: it was built the same before, and nobody has changed it since.
fn same(live: &DynamicObject, object: &Object) -> bool {
    let built = object.body["metadata"]["annotations"][HASH].as_str();
    if live.annotations().get(HASH).map(String::as_str) != built {
        return false;
    }
    let Ok(live) = serde_json::to_value(live) else { return false };
    // The kind is the same already, and items of a list do not repeat it.
    let said = object
        .body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !["apiVersion", "kind"].contains(&name.as_str()));
    said.into_iter().all(|(name, wanted)| contains(&live[name], wanted))
}

/// Whether everything that `wanted` says is so in `live`, which may say more.
fn contains(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted.iter().all(|(name, wanted)| {
            let empty = wanted.as_object().is_some_and(serde_json::Map::is_empty);
            live.get(name).map_or(empty || wanted.is_null(), |live| contains(live, wanted))
        }),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| contains(live, wanted))
        }
        // The API server writes amounts in its own way: 1000m becomes 1.
        (Value::String(live), Value::String(wanted)) => {
            live == wanted || matches!((amount(live), amount(wanted)), (Some(live), Some(wanted)) if live == wanted)
        }
        _ => live == wanted,
    }
}

/// A quantity of Kubernetes, in thousandths, if that is what a text is.
fn amount(text: &str) -> Option<i128> {
    const SUFFIXES: [(&str, i128); 11] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("", 1),
    ];
    if let Some(thousandths) = text.strip_suffix('m') {
        return thousandths.parse().ok();
    }
    let (number, factor) = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let part = format!("{part:0<3}").get(..3)?.parse::<i128>().ok()?;
    (whole.parse::<i128>().ok()?.checked_mul(1_000)?.checked_add(part)?).checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_server_adds_is_no_difference_and_what_somebody_changes_is() {
        let wanted =
            json!({"spec": {"ports": [{"name": "http", "port": 80}], "limits": {"cpu": "1000m"}}, "labels": {}});
        let live =
            json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "limits": {"cpu": "1"}}});
        assert!(contains(&live, &wanted));
        for (path, changed) in
            [("/spec/ports/0/port", json!(81)), ("/spec/ports", json!([])), ("/spec/limits", json!({}))]
        {
            let mut live = live.clone();
            *live.pointer_mut(path).unwrap() = changed;
            assert!(!contains(&live, &wanted), "{path}");
        }
    }

    #[test]
    fn amounts() {
        assert_eq!((amount("1"), amount("1000m"), amount("1.5Gi")), (Some(1_000), Some(1_000), amount("1536Mi")));
        assert_eq!((amount("http"), amount(""), amount("8080x")), (None, None, None));
    }
}
