//! The operator and its clusters on a real Kubernetes, nodes included: orders flow through a Service all the time, while
//! pods are replaced, killed and moved, and a node dies. What clients were told is one history that is checked in the end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod planned;
mod unplanned;
mod world;

use std::time::Duration;

use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::process::{Http, audit, until};
use reqwest::Method;
use serde_json::json;

use crate::world::{OPERATOR, World};

/// How long a new cluster may take until it serves.
const AVAILABLE: Duration = Duration::from_mins(3);
/// How long a change of three members may take.
const CHANGED: Duration = Duration::from_mins(3);
/// Members of the cluster that all is done to.
const MEMBERS: usize = 3;

/// What a user writes who tries it out.
const FIVE_LINES: &str = "apiVersion: ordermill.io/v1alpha1\nkind: OrderCluster\nmetadata:\n  name: five\nspec: {}\n";
const SHOP: &str = "
apiVersion: ordermill.io/v1alpha1
kind: OrderCluster
metadata: {name: shop}
spec:
  replicas: 3
  initialShards: 6
  storage: {tikv: {external: {pdEndpoints: [\"pd:2379\"]}}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_flow_while_pods_are_replaced_and_nodes_are_drained_and_die() {
    let world = tokio::task::block_in_place(World::new);
    world.helm(&["install", "ordermill-crds", "ordermill-crds", "--namespace", OPERATOR]);
    world.helm(&["install", "ordermill", "ordermill", "--namespace", OPERATOR]);
    world.apply(FIVE_LINES);
    world.apply(include_str!("store.yaml"));
    available(&world, "five").await;
    through_a_forwarded_port_and_the_service(&world).await;
    world.apply(SHOP);
    available(&world, "shop").await;
    world.settled("shop", MEMBERS, CHANGED).await;

    let service = service(&world, "shop");
    let load = Recorded::start(Http::new(&service), 4, ordermill_tests::seed()).await;
    load.more(200).await;
    planned::rolling_change(&world, &load).await;
    planned::fewer_and_more(&world, &load).await;
    planned::deleted_pod(&world, &load).await;
    planned::drained_node(&world, &load).await;
    unplanned::killed_pod(&world, &load).await;
    unplanned::killed_node(&world, &load).await;
    load.more(200).await;
    println!("requests without an answer, or put off, in all: {}", load.failed());
    assert_kept(&load.finish().await);
    audit(&service).await;
    tokio::task::block_in_place(|| world.end());
}

/// Waits until a cluster says of itself that it serves.
async fn available(world: &World, name: &str) {
    world
        .until(&format!("{name} is Available"), AVAILABLE, || {
            let path = "{.status.conditions[?(@.type=='Available')].status}";
            let said = world.get(&format!("ordercluster/{name}"), path)?;
            if said == "True" { Ok(()) } else { Err(format!("Available is {said:?}")) }
        })
        .await;
}

/// Where a Service is, as seen from this machine.
fn service(world: &World, name: &str) -> String {
    format!("http://{}:8080", world.get(&format!("service/{name}"), "{.spec.clusterIP}").unwrap())
}

async fn through_a_forwarded_port_and_the_service(world: &World) {
    let (address, _forwarded) = tokio::task::block_in_place(|| world.forward("service/five"));
    let (forwarded, service) = (Http::new(&address), Http::new(&service(world, "five")));
    // A node hears of a pod that serves a moment after the resource says so.
    until("the Service leads to the member", async || {
        let answer = service.send(service.request(Method::GET, "/readyz")).await;
        answer.map(drop).map_err(|error| error.to_string())
    })
    .await;
    forwarded.put("/v1/items/tea", &json!({"on_hand": 10})).await.expect(201);
    let order = json!({"customer": "c", "lines": [{"sku": "tea", "quantity": 1, "unit_price": {"amount": 1, "currency": "GBP"}}]});
    for http in [&forwarded, &service] {
        http.post("/v1/orders", &order, &[]).await.expect(201);
    }
    let item: serde_json::Value = forwarded.get("/v1/items/tea").await.expect(200).json();
    assert_eq!(item["held"], 2);
}
