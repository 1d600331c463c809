//! The operator and its clusters on a real Kubernetes, nodes included: orders flow through a Service all the time, while
//! pods are replaced, killed and moved, and a node dies. What clients were told is one history that is checked in the end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod images;
mod managed;
mod measured;
mod operator;
mod planned;
mod scaling;
mod unplanned;
mod upgrade;
mod world;

use std::time::Duration;

use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::process::{Http, audit};
use serde_json::json;
use tokio::time::Instant;

use crate::world::{FIVE, Named, OPERATOR, ORDERS, OTHERS, SHOP, World};

/// How long a new cluster may take until it serves.
const AVAILABLE: Duration = Duration::from_mins(3);
/// How long a change of three members may take, on a machine that has other things to do.
const CHANGED: Duration = Duration::from_mins(5);
/// Members of the cluster that all is done to.
const MEMBERS: usize = 3;

/// What a user writes who tries it out.
const FIVE_LINES: &str = "apiVersion: ordermill.io/v1alpha1\nkind: OrderCluster\nmetadata:\n  name: five\nspec: {}\n";
const ON_TIKV: &str = "
apiVersion: ordermill.io/v1alpha1
kind: OrderCluster
metadata: {name: shop}
spec:
  replicas: 3
  initialShards: 6
  upgrade: {watchSeconds: 5, deadlineSeconds: 60}
  storage: {tikv: {external: {pdEndpoints: [\"pd:2379\"]}}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn orders_flow_while_pods_are_replaced_and_nodes_are_drained_and_die() {
    let world: &'static World = tokio::task::block_in_place(|| Box::leak(Box::new(World::new())));
    world.helm(&["install", "ordermill-crds", "ordermill-crds", "--namespace", OPERATOR]);
    operator::obstruct(world).await;
    let namespaces = format!("watchNamespaces={{{ORDERS},{OTHERS}}}");
    world.helm(&["install", "ordermill", "ordermill", "--namespace", OPERATOR, "--set", &namespaces]);
    world.apply(ORDERS, FIVE_LINES);
    world.apply(OTHERS, managed::MANAGED);
    world.apply(ORDERS, include_str!("store.yaml"));
    available(world, FIVE).await;
    through_a_forwarded_port_and_the_service(world).await;
    operator::has_no_more_rights_than_it_needs(world).await;
    world.kubectl(&["delete", "ordercluster/five", "--namespace", ORDERS]);
    let own = tokio::spawn(managed::databases_roll(world));
    world.apply(ORDERS, ON_TIKV);
    available(world, SHOP).await;
    world.settled(SHOP, MEMBERS, CHANGED).await;

    let service = service(world, SHOP);
    let load = Recorded::start(Http::new(&service), 4, ordermill_tests::seed()).await;
    load.more(200).await;
    upgrade::another_build(world, &load).await;
    planned::rolling_change(world, &load).await;
    scaling::by_hand_and_by_kubernetes(world, &load).await;
    planned::deleted_pod(world, &load).await;
    // The store for tests does not outlive a node.
    own.await.unwrap();
    world.kubectl(&["delete", "ordercluster/own", "--namespace", OTHERS]);
    operator::gets_rights_everywhere(world).await;
    planned::drained_node(world, &load).await;
    unplanned::killed_pod(world, &load).await;
    unplanned::killed_node(world, &load).await;
    load.more(200).await;
    println!("requests without an answer, or put off, in all: {}", load.failed());
    assert_kept(&load.finish().await);
    audit(&service).await;
    tokio::task::block_in_place(|| world.end());
    world.measured.end();
}

/// Waits until a cluster says of itself that it serves.
async fn available(world: &World, which: Named) {
    let begun = Instant::now();
    world
        .until(&format!("{} is Available", which.name), AVAILABLE, || {
            let said = world.of(which, "{.status.conditions[?(@.type=='Available')].status}")?;
            if said == "True" { Ok(()) } else { Err(format!("Available is {said:?}")) }
        })
        .await;
    world.measured.within(&format!("{} is Available", which.name), begun.elapsed(), AVAILABLE, None);
}

/// Where a Service is, as seen from this machine.
fn service(world: &World, of: Named) -> String {
    let address = world.get(of.namespace, &format!("service/{}", of.name), "{.spec.clusterIP}");
    format!("http://{}:8080", address.unwrap())
}

async fn through_a_forwarded_port_and_the_service(world: &World) {
    let (address, _forwarded) = tokio::task::block_in_place(|| world.forward(FIVE));
    let (forwarded, service) = (Http::new(&address), Http::new(&service(world, FIVE)));
    forwarded.put("/v1/items/tea", &json!({"on_hand": 10})).await.expect(201);
    let order = json!({"customer": "c", "lines": [{"sku": "tea", "quantity": 1, "unit_price": {"amount": 1, "currency": "GBP"}}]});
    for http in [&forwarded, &service] {
        http.post("/v1/orders", &order, &[]).await.expect(201);
    }
    let item: serde_json::Value = forwarded.get("/v1/items/tea").await.expect(200).json();
    assert_eq!(item["held"], 2);
}
