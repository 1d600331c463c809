//! The number of members: by hand, by Kubernetes' own autoscaler, and by the operator's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use ordermill_tests::process::Http;
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::operator;
use crate::planned::Before;
use crate::world::{OPERATOR, OWN, SHOP, World};
use crate::{CHANGED, MEMBERS};

const HPA: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: ordermill.io/v1alpha1, kind: OrderCluster, name: shop}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 1m}}}]
";
/// Requests under way at once while there is much to do.
const CROWD: usize = 8;
/// Until more members serve once there is more to do: two looks of 15 s, and the pod's start.
const OUT: Duration = Duration::from_mins(2);
/// Until there are fewer once there is less to do: as long as `scaleDownSeconds`, some looks, and the drain.
const IN: Duration = Duration::from_mins(3);

/// A member fewer by hand, while the operator is killed; one more by Kubernetes' autoscaler.
pub(crate) async fn by_hand_and_by_kubernetes(world: &World, load: &Recorded) {
    let before = Before::now(load);
    world.kubectl(&["scale", "ordercluster/shop", "--namespace", SHOP.namespace, "--replicas=2"]);
    operator::kill(world).await;
    world.settled(SHOP, MEMBERS - 1, CHANGED).await;
    before.nothing_failed(world, load, "`kubectl scale` to fewer, the operator killed meanwhile", CHANGED).await;

    let before = Before::now(load);
    world.apply(SHOP.namespace, HPA);
    world.settled(SHOP, MEMBERS, CHANGED).await;
    before.nothing_failed(world, load, "one more by Kubernetes' autoscaler", CHANGED).await;
    let condition = "{.status.conditions[?(@.type=='ScalingActive')].status}";
    assert_eq!(world.get(SHOP.namespace, "hpa/shop", condition).unwrap(), "True");
    world.kubectl(&["delete", "hpa/shop", "--namespace", SHOP.namespace]);
}

/// More members while there is much to do, none while the operator does not know, fewer afterwards.
pub(crate) async fn by_their_load(world: &World, load: &Recorded, service: &str) {
    let crowd = Crowd::start(service);
    let replicas = || world.get(OWN.namespace, "statefulset/own", "{.spec.replicas}");
    let cut = tokio::task::block_in_place(|| {
        let address = |pod: &str, namespace: &str| world.get(namespace, pod, "{.status.podIP}").unwrap();
        let operator = world.get(OPERATOR, "pods", "{.items[0].metadata.name}").unwrap();
        let operator = address(&format!("pod/{operator}"), OPERATOR);
        world.cluster.cut(&operator, &address("pod/own-1", OWN.namespace)).unwrap()
    });
    let autoscaling = json!({
        "minReplicas": 2, "maxReplicas": 3, "targetBusyPermille": 80, "targetQueueDelayMs": 5_000, "scaleDownSeconds": 20,
    });
    world.patch(OWN, &json!({"spec": {"autoscaling": autoscaling}}));
    let before = Before::now(load);
    world
        .until("nothing is scaled while a member cannot be asked", OUT, || {
            let reason = world.of(OWN, "{.status.scaling.reason}")?;
            if reason == "Frozen" { Ok(()) } else { Err(reason) }
        })
        .await;
    assert_eq!(replicas().unwrap(), "2");
    tokio::task::block_in_place(|| cut.mend().unwrap());

    world.settled(OWN, 3, OUT).await;
    before.nothing_failed(world, load, "one more by the load, once all members could be asked", OUT).await;
    let failed = crowd.end().await;
    if failed > 0 {
        world.measured.fault(format!("{failed} reads of the crowd failed"));
    }
    let before = Before::now(load);
    world.settled(OWN, 2, IN).await;
    before.nothing_failed(world, load, "one fewer once the load was gone", IN).await;
    let drained = ["get", "events", "--namespace", OWN.namespace, "--field-selector=reason=Draining", "--output=name"];
    assert!(!world.kubectl(&drained).is_empty(), "a member has gone that was not drained first");
}

/// Many who only read, much at once: what there is in the end is none of theirs.
struct Crowd {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicU64>,
    readers: JoinSet<()>,
}

impl Crowd {
    fn start(service: &str) -> Self {
        let mut crowd = Self { stop: Arc::default(), failed: Arc::default(), readers: JoinSet::new() };
        for _ in 0..CROWD {
            let (http, stop, failed) = (Http::new(service), crowd.stop.clone(), crowd.failed.clone());
            crowd.readers.spawn(async move {
                while !stop.load(Relaxed) {
                    let answer = http.send(http.request(Method::GET, "/v1/orders?page_size=200")).await;
                    if !answer.is_ok_and(|answer| answer.status == 200) {
                        failed.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        crowd
    }

    /// How many reads failed.
    async fn end(mut self) -> u64 {
        self.stop.store(true, Relaxed);
        while self.readers.join_next().await.is_some() {}
        self.failed.load(Relaxed)
    }
}
