//! More members and fewer: by hand, by an autoscaler of Kubernetes, by their load.

use std::sync::atomic::{AtomicBool, Ordering};

use ordermill_tests::load::recorded::Recorded;
use ordermill_tests::process::Http;

use crate::namespace::Namespace;
use crate::{CHANGED, MEMBERS, undisturbed};

/// By the processors' use, as everybody uses some: always one more.
const AUTOSCALER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: ordermill.io/v1alpha1, kind: OrderCluster, name: shop}
  minReplicas: 1
  maxReplicas: 4
  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 1m}}}]
";

/// Requests under way at once, of those that are to keep a member busy.
const BURST: usize = 16;

/// An HPA asks for a member more.
pub(crate) async fn by_an_autoscaler_of_kubernetes(orders: Namespace<'_>, load: &Recorded) {
    undisturbed(load, "one member more by an autoscaler of Kubernetes", async {
        orders.apply(AUTOSCALER);
        orders.settled("shop", MEMBERS + 1, CHANGED).await;
        orders.kubectl(&["delete", "horizontalpodautoscaler/shop"]);
    })
    .await;
}

/// A member fewer each time, and one more; the operator is killed while a member hands its shards over, or has just.
pub(crate) async fn by_kubectl(orders: Namespace<'_>, load: &Recorded) {
    for members in [MEMBERS, MEMBERS - 1, MEMBERS] {
        undisturbed(load, &format!("{members} members by `kubectl scale`"), async {
            orders.scale("shop", members);
            if members == MEMBERS - 1 {
                drains(orders).await;
                orders.world.kill_operator();
            }
            orders.settled("shop", members, CHANGED).await;
        })
        .await;
    }
}

/// Waits until the last member hands its shards over, or has done so already.
async fn drains(orders: Namespace<'_>) {
    orders
        .world
        .until("shop-2 hands its shards over", CHANGED, || {
            let draining = orders.get("ordercluster/shop", "{.status.scaling.draining}")?;
            let replicas = orders.get("statefulset/shop", "{.spec.replicas}")?;
            if draining.contains("shop-2") || replicas == "2" { Ok(()) } else { Err(format!("{draining} {replicas}")) }
        })
        .await;
}

/// A burst of reads, and its end.
pub(crate) async fn by_load(others: Namespace<'_>, service: &Http, load: &Recorded) {
    let over = AtomicBool::new(false);
    let reads = async || {
        while !over.load(Ordering::Relaxed) {
            // Who is asked too much may say so.
            let _ = service.send(service.request(reqwest::Method::GET, "/v1/items/sku-00")).await;
        }
    };
    let burst = futures::future::join_all((0..BURST).map(|_| reads()));
    undisturbed(load, "one member more by its load", async {
        let more = async {
            others.settled("own", 2, CHANGED).await;
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(burst, more);
    })
    .await;
    undisturbed(load, "one member fewer when there is less of it", others.settled("own", 1, CHANGED)).await;
}
