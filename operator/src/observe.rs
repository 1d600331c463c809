//! What is there: everything that the operator made for one cluster, read from the API server, not from a cache.
//!
//! A watch's store may be partial just after it began anew, and what is not seen would be pruned or made again.

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt};

use crate::build::{self, names};
use crate::validate::Running;

/// An object that is there.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its kind.
    pub resource: ApiResource,
    /// All of it.
    pub object: DynamicObject,
}

/// What belongs to one cluster.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// All of it.
    pub objects: Vec<Live>,
}

impl Observed {
    /// The StatefulSet of that name, if it is there and can be read.
    pub fn stateful_set(&self, name: &str) -> Option<StatefulSet> {
        let live =
            self.objects.iter().find(|live| live.resource.kind == "StatefulSet" && live.object.name_any() == name)?;
        live.object.clone().try_parse().ok()
    }

    /// Whether PD's members were told once to join what is there.
    pub fn joins(&self, cluster: &str) -> bool {
        let name = names::Database::Pd.of(cluster);
        let map = self.objects.iter().find(|live| live.resource.kind == "ConfigMap" && live.object.name_any() == name);
        map.is_some_and(|map| build::joins(&map.object.data))
    }

    /// The images that were built into the StatefulSets of a cluster.
    pub fn running(&self, cluster: &str) -> Running {
        let [pd, tikv] = [names::Database::Pd, names::Database::Tikv].map(|database| self.image(&database.of(cluster)));
        Running { members: self.image(cluster), pd, tikv }
    }

    /// The image that was built into the StatefulSet of that name.
    pub fn image(&self, name: &str) -> Option<String> {
        self.stateful_set(name)?.annotations().get(build::IMAGE).cloned()
    }
}

/// Reads it; only what names `uid` as its controller.
pub async fn observe(client: &Client, namespace: &str, name: &str, uid: &str) -> kube::Result<Observed> {
    let selected = ListParams::default().labels(&names::owned(name));
    let reads = build::kinds().map(|resource| {
        let selected = &selected;
        async move {
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let list = api.list(selected).await?;
            Ok::<_, kube::Error>(list.items.into_iter().map(move |object| Live { resource: resource.clone(), object }))
        }
    });
    let objects = futures::future::try_join_all(reads).await?.into_iter().flatten();
    Ok(Observed { objects: objects.filter(|live| owned_by(&live.object, uid)).collect() })
}

/// Whether an object names `uid` as its controller.
pub fn owned_by(object: &DynamicObject, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}
