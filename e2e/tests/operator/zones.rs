//! Where stores are is told to PD, which keeps the copies of a row in different zones.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, ObjectMeta, PostParams};
use ordermill_e2e::{Operator, until};
use serde_json::{Value, json};

use crate::stores::{begin_with, spec};
use crate::world::{ORDERS, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pd_knows_in_which_zone_a_store_is_and_it_is_said_when_nobody_tells() {
    let (mut control_plane, world, proxy) = World::start_with_members().await;
    let operator = Operator::start_through(&control_plane, "only", &proxy);
    let mut asked = spec(4, "");
    asked["storage"]["tikv"]["managed"]["zones"] = json!(["a", "b", "c"]);
    let stores = begin_with(&world, &proxy, asked).await;

    // Three nodes in a zone each, and one that says none.
    let nodes: Api<Node> = Api::all(world.client.clone());
    for (number, zone) in [Some("a"), Some("b"), Some("c"), None].into_iter().enumerate() {
        let labels = zone.map(|zone| json!({"topology.kubernetes.io/zone": zone})).unwrap_or_default();
        let node = json!({"metadata": {"name": format!("node-{number}"), "labels": labels}});
        nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
    }
    let pods = world.api::<Pod>(ORDERS);
    labels_are_given(&pods, "node-2").await;
    // The scheduler's part.
    for number in 0..4 {
        let pod = format!("shop-tikv-{number}");
        let node = json!({"kind": "Node", "name": format!("node-{number}")});
        let bound = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": node});
        pods.create_subresource::<_, Value>("binding", &pod, &PostParams::default(), &bound).await.unwrap();
    }
    world.poke(&control_plane, "bound").await;

    for (number, zone) in ["a", "b", "c"].into_iter().enumerate() {
        let labels = [format!("host=node-{number}"), format!("zone={zone}")].into();
        let told = async || (stores.labels(number as u32).await == labels).then_some(());
        until("PD knows where a store is", told).await;
    }
    assert_eq!(stores.pd("config/replicate").await["location-labels"], "zone,host");
    let status = world.becomes("shop", "ZonesUnknown").await.status.unwrap();
    let mut shown: Vec<_> = status.store.unwrap().stores.into_iter().map(|row| (row.pod, row.zone)).collect();
    shown.sort();
    let zones = [Some("a"), Some("b"), Some("c"), None].map(|zone| zone.map(str::to_owned));
    let pods: Vec<_> = (0..).map(|number| format!("shop-tikv-{number}")).zip(zones).collect();
    assert_eq!(shown, pods);
    let condition = status.conditions.iter().find(|condition| condition.type_ == "StoresSettled").unwrap();
    assert!(condition.message.starts_with("shop-tikv-3 do not say in which zone they are"), "{condition:?}");
    assert_eq!(stores.labels(3).await, BTreeSet::new());
    world.is_left_alone(&control_plane).await;
    assert!(control_plane.audit().forbidden().is_empty(), "{:?}", control_plane.audit().forbidden());
    assert!(operator.stop());
    control_plane.check();
}

/// Waits until the API server would give a pod the labels of this node. It takes them from what it has heard of nodes: a pod
/// that is bound to one of which it has not heard yet has none for ever.
async fn labels_are_given(pods: &Api<Pod>, node: &str) {
    let mut pod = pods.get("shop-tikv-0").await.unwrap();
    pod.metadata = ObjectMeta { name: Some("probe".to_owned()), ..ObjectMeta::default() };
    pod.spec.as_mut().unwrap().node_name = Some(node.to_owned());
    let try_out = PostParams { dry_run: true, ..PostParams::default() };
    until("labels of a node are given to its pods", async || {
        let pod = pods.create(&try_out, &pod).await.unwrap();
        pod.metadata.labels.is_some_and(|labels| labels.contains_key("topology.kubernetes.io/zone")).then_some(())
    })
    .await;
}
