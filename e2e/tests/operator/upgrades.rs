//! Upgrades: one member first, watched; then the others; back by itself when it gets worse or does not start.
//!
//! The test is the kubelet, and answers as members do, in the types that the server answers with.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use ordermill_api as api;
use ordermill_e2e::{Operator, until};
use ordermill_operator::OrderCluster;
use serde_json::{Value, json};

use crate::world::{Members, ORDERS, World};
use crate::{apply, cluster};

fn image(image: &str) -> Value {
    json!({
        "replicas": 3, "image": image, "storage": {"tikv": {"external": {"pdEndpoints": ["pd:2379"]}}},
        "upgrade": {"watchSeconds": 2, "deadlineSeconds": 60},
    })
}

/// Each pod's image and identity, by its name.
async fn pods(world: &World) -> Vec<(String, String)> {
    let mut pods = world.pods("shop").await;
    pods.sort_by_key(ResourceExt::name_any);
    let image = |pod: &k8s_openapi::api::core::v1::Pod| pod.spec.clone().unwrap().containers[0].image.clone().unwrap();
    pods.iter().map(|pod| (image(pod), pod.uid().unwrap())).collect()
}

fn images(pods: &[(String, String)]) -> Vec<&str> {
    pods.iter().map(|(image, _)| image.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_begins_with_one_member_goes_on_after_a_restart_and_goes_back_by_itself() {
    let (mut control_plane, world, proxy) = World::start().await;
    let client = world.client.clone();
    let members: Arc<Members> = Arc::default();
    proxy.otherwise(members.answers());

    let first = Operator::start_through(&control_plane, "first", &proxy);
    apply(&client, ORDERS, &cluster("shop", image("ordermill:1"))).await.unwrap();
    world.becomes("shop", "Running").await;
    let before = pods(&world).await;

    // The last pod alone; and the operator is stopped just then.
    apply(&client, ORDERS, &cluster("shop", image("ordermill:2"))).await.unwrap();
    world.becomes("shop", "UpgradeCanary").await;
    // All builds that there are know a newer format, and it is not written while a step back may have to read all.
    members.newest.store(1, Relaxed);
    until("the last pod is new", async || {
        (images(&pods(&world).await) == ["ordermill:1", "ordermill:1", "ordermill:2"]).then_some(())
    })
    .await;
    assert_eq!(pods(&world).await[..2], before[..2]);
    assert!(first.stop());
    assert_eq!(members.format.load(Relaxed), 0);

    // Another one goes on from what is there, and raises the format when all is done.
    let second = Operator::start_through(&control_plane, "second", &proxy);
    world.becomes("shop", "Running").await;
    let two = pods(&world).await;
    assert_eq!(images(&two), ["ordermill:2"; 3]);
    let raised = async || {
        world.kubelet("shop").await;
        let shards = world.api::<OrderCluster>(ORDERS).get("shop").await.unwrap().status?.shards?;
        (shards.format == 2 && members.format.load(Relaxed) == 1).then_some(shards)
    };
    assert_eq!(until("the format is raised", raised).await.ready, "64/64");

    // An image that does not come: taken back, and the others were never touched.
    apply(&client, ORDERS, &cluster("shop", image("ordermill:broken"))).await.unwrap();
    let back = world.becomes("shop", "RolledBack").await.status.unwrap().upgrade.unwrap();
    assert!(back.message.contains("shop-2 cannot start: ImagePullBackOff"), "{back:?}");
    let after = pods(&world).await;
    assert_eq!((images(&after), &after[..2]), (vec!["ordermill:2"; 3], &two[..2]));

    // It stays so, and nothing is written; nor is the format raised that only those know that were taken back.
    members.newest.store(2, Relaxed);
    let clusters = world.api::<OrderCluster>(ORDERS);
    let poke = async |label: &str| world.poke(&control_plane, label).await;
    // What was under way may still be written; then nothing is.
    until("nothing more is written", async || {
        let writes = control_plane.audit().writes().len();
        poke("1").await;
        poke("2").await;
        (control_plane.audit().writes().len() == writes).then_some(())
    })
    .await;
    let writes = control_plane.audit().writes().len();
    poke("3").await;
    poke("4").await;
    assert_eq!(control_plane.audit().writes().len(), writes, "{:?}", control_plane.audit().writes());

    assert_eq!(members.format.load(Relaxed), 1);
    members.newest.store(1, Relaxed);

    // One that fails requests which others answer.
    members.failing.lock().unwrap().insert("shop-2".to_owned());
    apply(&client, ORDERS, &cluster("shop", image("ordermill:3"))).await.unwrap();
    until("it is seen to fail", async || {
        world.kubelet("shop").await;
        let upgrade = clusters.get("shop").await.unwrap().status?.upgrade?;
        (upgrade.step == "RolledBack" && upgrade.message.contains("fails")).then_some(())
    })
    .await;
    assert_eq!(images(&pods(&world).await), ["ordermill:2"; 3]);
    members.failing.lock().unwrap().clear();

    // What ran before is asked for again: nobody is replaced.
    let two = pods(&world).await;
    apply(&client, ORDERS, &cluster("shop", image("ordermill:2"))).await.unwrap();
    let running = world.becomes("shop", "Running").await;
    assert_eq!((pods(&world).await, running.status.unwrap().upgrade), (two, None));

    // Shards are levelled when somebody asks, and once.
    for asked in ["today", "today", "tomorrow"] {
        let annotation = json!({"metadata": {"annotations": {"ordermill.io/rebalance": asked}}});
        clusters.patch("shop", &PatchParams::default(), &Patch::Merge(&annotation)).await.unwrap();
        until("they are levelled", async || {
            let status = clusters.get("shop").await.unwrap().status?;
            (status.rebalanced.as_deref() == Some(asked)).then_some(())
        })
        .await;
    }
    assert_eq!(members.levelled.load(Relaxed), 2);

    // What they move for by themselves is what the spec says, if it says something.
    assert_eq!(members.rebalancing_changes.load(Relaxed), 0);
    let mut paused = image("ordermill:2");
    paused["rebalancing"] = json!({"policy": "Paused", "movesAtOnce": 3});
    apply(&client, ORDERS, &cluster("shop", paused)).await.unwrap();
    until("it is paused", async || (members.rebalancing_changes.load(Relaxed) > 0).then_some(())).await;
    let wanted = api::Rebalancing { policy: api::RebalancingPolicy::Paused, moves_at_once: 3 };
    assert_eq!(*members.rebalancing.lock().unwrap(), wanted);
    until("the status says so", async || {
        let shards = clusters.get("shop").await.unwrap().status?.shards?;
        (shards.rebalancing.as_deref() == Some("paused, 3 at once")).then_some(())
    })
    .await;
    assert_eq!(members.rebalancing_changes.load(Relaxed), 1);
    assert!(control_plane.audit().forbidden().is_empty(), "{:?}", control_plane.audit().forbidden());
    assert!(second.stop());
    control_plane.check();
}
