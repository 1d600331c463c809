//! Members come with their load, and hand their shards over before they go.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use ordermill_e2e::{Operator, until};
use ordermill_operator::OrderCluster;
use serde_json::json;

use crate::world::{Members, ORDERS, World};
use crate::{apply, cluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_with_their_load_and_hand_their_shards_over_before_they_go() {
    let (mut control_plane, world, proxy) = World::start().await;
    let client = world.client.clone();
    let members: Arc<Members> = Arc::default();
    members.busy.store(600, Relaxed);
    proxy.otherwise(members.answers());
    let operator = Operator::start_through(&control_plane, "only", &proxy);
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 4, "scaleDownSeconds": 5, "scaleDownStep": 2});
    let external = json!({"external": {"pdEndpoints": ["pd:2379"]}});
    // Its members answer only to who has a key, the operator too.
    proxy.demand("0123456789abcdef");
    let keys = Secret {
        metadata: ObjectMeta { name: Some("shop-keys".to_owned()), ..ObjectMeta::default() },
        string_data: Some([("default".to_owned(), "\n0123456789abcdef\n".to_owned())].into()),
        ..Secret::default()
    };
    world.api::<Secret>(ORDERS).create(&PostParams::default(), &keys).await.unwrap();
    let api = json!({"keysSecretName": "shop-keys"});
    let spec = json!({"autoscaling": autoscaling, "storage": {"tikv": external}, "api": api});
    apply(&client, ORDERS, &cluster("shop", spec)).await.unwrap();
    world.becomes("shop", "Running").await;
    assert_eq!(world.pods("shop").await.len(), 2);

    // Looked at sooner than it would be by itself.
    let clusters = world.api::<OrderCluster>(ORDERS);
    let mut looks = 0;
    let mut scaling = async || {
        looks += 1;
        if looks % 10 == 0 {
            let label = json!({"metadata": {"labels": {"look": looks.to_string()}}});
            clusters.patch("shop", &PatchParams::default(), &Patch::Merge(&label)).await.unwrap();
        }
        world.kubelet("shop").await;
        let pods = world.pods("shop").await.len();
        Some((pods, clusters.get("shop").await.unwrap().status?.scaling?))
    };
    members.busy.store(1_000, Relaxed);
    until("there are as many as may be", async || scaling().await.filter(|(pods, _)| *pods == 4)).await;

    // Two are to go, and go once they have handed over.
    members.stubborn.store(true, Relaxed);
    members.busy.store(100, Relaxed);
    let draining = ["shop-2".to_owned(), "shop-3".to_owned()];
    let (pods, told) =
        until("two are drained", async || scaling().await.filter(|(_, told)| told.draining == draining)).await;
    assert_eq!((pods, told.replicas), (4, 2));
    assert_eq!(members.draining.lock().unwrap().iter().cloned().collect::<Vec<_>>(), draining);

    // Not when they are needed after all.
    members.busy.store(1_000, Relaxed);
    until("they stay", async || {
        scaling().await?;
        members.draining.lock().unwrap().is_empty().then_some(())
    })
    .await;
    members.stubborn.store(false, Relaxed);
    members.busy.store(100, Relaxed);
    until("two have gone", async || scaling().await.filter(|(pods, told)| *pods == 2 && told.draining.is_empty()))
        .await;

    // Their figures are cut off, however much they have to do: the number stays until they tell again.
    proxy.demand("a key that nobody has");
    members.busy.store(1_000, Relaxed);
    let (pods, told) =
        until("it is frozen", async || scaling().await.filter(|(_, told)| told.reason == "Frozen")).await;
    assert_eq!((pods, told.replicas), (2, 2));
    proxy.demand("0123456789abcdef");
    until("there are more again", async || scaling().await.filter(|(pods, _)| *pods == 4)).await;
    assert!(control_plane.audit().forbidden().is_empty(), "{:?}", control_plane.audit().forbidden());
    assert!(operator.stop());
    control_plane.check();
}
