//! What a test sees of a namespace, and what a kubelet would say there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use ordermill_api as api;
use ordermill_e2e::{Answer, ControlPlane, Operator, Proxy, namespace, until};
use ordermill_operator::OrderCluster;
use serde_json::json;

use crate::install;

/// The namespace of the clusters.
pub(crate) const ORDERS: &str = "orders";

/// The namespace, to somebody who may do everything.
pub(crate) struct World {
    pub(crate) client: Client,
}

impl World {
    /// A control plane with the CRD, the operator's rights everywhere, the namespaces that are needed, and a proxy that knows
    /// nobody yet.
    pub(crate) async fn start() -> (ControlPlane, Self, Proxy) {
        let control_plane = ControlPlane::start().await;
        let client = control_plane.admin().await;
        for name in ["operators", ORDERS] {
            namespace(&client, name).await;
        }
        install(&client).await;
        Operator::grant(&client, &[]).await;
        (control_plane, Self { client }, Proxy::start().await)
    }

    /// The same, and members that are well.
    pub(crate) async fn start_with_members() -> (ControlPlane, Self, Proxy) {
        let (control_plane, world, proxy) = Self::start().await;
        proxy.otherwise(Arc::new(Members::default()).answers());
        (control_plane, world, proxy)
    }

    /// Changes what does not matter about `shop`, and waits until the operator has looked at it.
    pub(crate) async fn poke(&self, control_plane: &ControlPlane, label: &str) {
        let seen = control_plane.audit().reconciliations();
        let label = json!({"metadata": {"labels": {"poked": label}}});
        self.api::<OrderCluster>(ORDERS).patch("shop", &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
        until("it is looked at", async || (control_plane.audit().reconciliations() > seen).then_some(())).await;
    }

    /// Looked at again, and not one write.
    pub(crate) async fn is_left_alone(&self, control_plane: &ControlPlane) {
        self.poke(control_plane, "1").await;
        let writes = control_plane.audit().writes().len();
        self.poke(control_plane, "2").await;
        self.poke(control_plane, "3").await;
        assert_eq!(control_plane.audit().writes().len(), writes, "{:?}", control_plane.audit().writes());
    }

    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    pub(crate) async fn set(&self, name: &str) -> Option<StatefulSet> {
        self.api::<StatefulSet>(ORDERS).get_opt(name).await.unwrap()
    }

    pub(crate) async fn pods(&self, name: &str) -> Vec<Pod> {
        let selected = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
        self.api::<Pod>(ORDERS).list(&selected).await.unwrap().items
    }

    /// Says of every pod of a cluster what its kubelet would: it runs and is ready, or its image does not come.
    pub(crate) async fn kubelet(&self, name: &str) {
        for pod in self.pods(name).await.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let image = pod.spec.as_ref().and_then(|spec| spec.containers[0].image.clone()).unwrap();
            let comes = !image.ends_with(":broken");
            let phase = if comes { "Running" } else { "Pending" };
            if pod
                .status
                .as_ref()
                .is_some_and(|status| status.phase.as_deref() == Some(phase) && status.conditions.is_some())
            {
                continue;
            }
            let ready = if comes { "True" } else { "False" };
            let now = Timestamp::now().to_string();
            let conditions = json!([{"type": "Ready", "status": ready, "lastTransitionTime": now}]);
            let mut status = json!({"status": {"phase": phase, "conditions": conditions}});
            if !comes {
                let state = json!({"waiting": {"reason": "ImagePullBackOff"}});
                let container = &pod.spec.as_ref().unwrap().containers[0].name;
                status["status"]["containerStatuses"] = json!([{
                    "name": container, "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state,
                }]);
            }
            // It may be replaced at this moment.
            let _ = self
                .api::<Pod>(ORDERS)
                .patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(&status))
                .await;
        }
    }

    /// Waits for a summary in the status, and plays the kubelet meanwhile.
    pub(crate) async fn becomes(&self, name: &str, summary: &str) -> OrderCluster {
        let clusters = self.api::<OrderCluster>(ORDERS);
        until(&format!("{name} is {summary}"), async || {
            self.kubelet(name).await;
            let cluster = clusters.get(name).await.unwrap();
            let status = cluster.status.clone()?;
            let current = status.observed_generation == cluster.metadata.generation;
            (current && status.summary.as_deref() == Some(summary)).then_some(cluster)
        })
        .await
    }

    /// Everything that a cluster consists of, with its resource version.
    pub(crate) async fn versions(&self, name: &str) -> BTreeSet<String> {
        let mut versions = BTreeSet::new();
        let monitors = ordermill_operator::build::monitor_kind();
        for resource in ordermill_operator::build::kinds().into_iter().chain([monitors]) {
            let api: Api<kube::api::DynamicObject> = Api::namespaced_with(self.client.clone(), ORDERS, &resource);
            let selected = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
            let objects = match api.list(&selected).await {
                Err(kube::Error::Api(status)) if status.code == 404 && resource.kind == "PodMonitor" => continue,
                objects => objects.unwrap(),
            };
            for object in objects {
                let (kind, name, version) = (&resource.kind, object.name_any(), object.resource_version().unwrap());
                versions.insert(format!("{kind}/{name}@{version}"));
            }
        }
        versions
    }
}

/// Five members of `shop`, played by the test, in the types that the server answers with.
#[derive(Default)]
pub(crate) struct Members {
    /// How busy each says that it is, in thousandths.
    pub(crate) busy: AtomicU32,
    /// Those that fail a tenth of their requests.
    pub(crate) failing: Mutex<BTreeSet<String>>,
    /// Those that were told to hand their shards over.
    pub(crate) draining: Mutex<BTreeSet<String>>,
    /// Whether they do so.
    pub(crate) stubborn: AtomicBool,
    /// The store's format, above 1.
    pub(crate) format: AtomicU32,
    /// The newest that their builds know, above 1.
    pub(crate) newest: AtomicU32,
    /// How often they were asked to level shards.
    pub(crate) levelled: AtomicU32,
    /// What shards move for by themselves.
    pub(crate) rebalancing: Mutex<api::Rebalancing>,
    /// How often they were told that.
    pub(crate) rebalancing_changes: AtomicU32,
}

impl Members {
    /// What they answer.
    pub(crate) fn answers(self: &Arc<Self>) -> Answer {
        let members = Arc::clone(self);
        Arc::new(move |name, _, path, body| {
            let pod = name.split('.').next().unwrap();
            let parts: Vec<&str> = path.split('/').skip(1).collect();
            let said = match parts.as_slice() {
                ["v1", "cluster"] => json!(api::Cluster {
                    map_version: 7,
                    map_age_ms: 10,
                    format: 1 + members.format.load(Relaxed),
                    format_max: 1 + members.newest.load(Relaxed),
                    member_formats: Vec::new(),
                    answered_by: format!("{:016x}", 0),
                    coordinator: None,
                    members: 5,
                    shards: 64,
                    shards_moving: 0,
                    rebalancing: *members.rebalancing.lock().unwrap(),
                }),
                ["v1", "cluster", "members"] => {
                    json!(api::MemberList { map_version: 7, members: (0..5).map(|one| members.member(one)).collect() })
                }
                ["v1", "cluster", "members", member, what] => {
                    let mut draining = members.draining.lock().unwrap();
                    match *what {
                        "drain" => drop(draining.insert((*member).to_owned())),
                        "uncordon" => drop(draining.remove(*member)),
                        _ => return (404, String::new()),
                    }
                    json!(api::ClusterChange { map_version: 8 })
                }
                ["v1", "cluster", "format"] => {
                    members.format.store(members.newest.load(Relaxed), Relaxed);
                    json!({"map_version": 8, "format": 1 + members.newest.load(Relaxed), "raised": true})
                }
                ["v1", "cluster", "rebalancing"] => {
                    let asked: api::ChangeRebalancing = serde_json::from_slice(body).unwrap();
                    let mut now = members.rebalancing.lock().unwrap();
                    now.policy = asked.policy.unwrap_or(now.policy);
                    now.moves_at_once = asked.moves_at_once.unwrap_or(now.moves_at_once);
                    members.rebalancing_changes.fetch_add(1, Relaxed);
                    json!(api::ClusterChange { map_version: 8 })
                }
                ["v1", "cluster", "rebalance"] => {
                    members.levelled.fetch_add(1, Relaxed);
                    json!(api::ClusterChange { map_version: 8 })
                }
                ["metrics"] => return (200, members.measurements(pod)),
                _ => return (404, String::new()),
            };
            (200, said.to_string())
        })
    }

    fn member(&self, number: u64) -> api::ClusterMember {
        let name = format!("shop-{number}");
        let state = match (self.draining.lock().unwrap().contains(&name), self.stubborn.load(Relaxed)) {
            (false, _) => api::MemberState::Serving,
            (true, true) => api::MemberState::Draining,
            (true, false) => api::MemberState::Drained,
        };
        let load = api::MemberLoad {
            busy_permille: self.busy.load(Relaxed),
            queue_delay_us: 500,
            commands_per_second: 100,
            unflushed_bytes: 0,
            moves: 0,
        };
        api::ClusterMember {
            member: format!("{number:016x}"),
            name,
            address: String::new(),
            state,
            coordinator: number == 0,
            shards: 13,
            heard_ms_ago: Some(100),
            load: Some(load),
            format_min: 1,
            format_max: 1,
        }
    }

    fn measurements(&self, pod: &str) -> String {
        let failed = if self.failing.lock().unwrap().contains(pod) { 100 } else { 0 };
        let series = [("201", 900), ("503", failed)].map(|(status, count)| {
            let route = "route=\"/v1/orders\",method=\"POST\"";
            format!("ordermill_http_requests_total{{{route},status=\"{status}\"}} {count}\n")
        });
        series.concat()
    }
}
