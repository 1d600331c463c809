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
    /// What of it names `uid` as its controller.
    fn owned(mut self, uid: &str) -> Self {
        self.objects.retain(|live| owned_by(&live.object, uid));
        self
    }

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
    let reads = build::kinds().map(|kind| read(client, namespace, &selected, kind));
    let found = futures::future::try_join_all(reads).await?;
    Ok(Observed { objects: found.into_iter().flat_map(|found| found.objects).collect() }.owned(uid))
}

/// The same of PodMonitors alone; None where there is no such kind.
pub async fn monitors(client: &Client, namespace: &str, name: &str, uid: &str) -> kube::Result<Option<Observed>> {
    match read(client, namespace, &ListParams::default().labels(&names::owned(name)), build::monitor_kind()).await {
        Ok(found) => Ok(Some(found.owned(uid))),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

async fn read(client: &Client, namespace: &str, selected: &ListParams, kind: ApiResource) -> kube::Result<Observed> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let list = api.list(selected).await?;
    let objects = list.items.into_iter().map(|object| Live { resource: kind.clone(), object });
    Ok(Observed { objects: objects.collect() })
}

/// Whether an object names `uid` as its controller.
pub fn owned_by(object: &DynamicObject, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.controller == Some(true) && owner.uid == uid)
}
