//! The operator and its clusters on a real Kubernetes, nodes included: orders flow through a Service all the time, while
//! members are upgraded, scaled, killed and moved, stores start anew, and a node dies. What clients were told is one
//! history for each cluster that is checked in the end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod databases;
mod namespace;
mod planned;
mod scaling;
mod unplanned;
mod upgrades;
mod world;

use std::time::Duration;

use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::process::{Http, audit};
use serde_json::json;
use tokio::time::Instant;

use crate::databases::Own;
use crate::namespace::{Namespace, serves};
use crate::world::{OPERATOR, ORDERS, OTHERS, World};

/// How long a new cluster may take until it serves.
const AVAILABLE: Duration = Duration::from_mins(3);
/// How long a change of three members may take.
const CHANGED: Duration = Duration::from_mins(3);
/// Members of the cluster that most is done to.
const MEMBERS: usize = 3;
/// Answers that must come after a change before it is over.
const AFTER: u64 = 100;

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
  upgrade: {watchSeconds: 5, deadlineSeconds: 30}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_flow_through_upgrades_scaling_and_the_loss_of_pods_nodes_and_stores() {
    let world = tokio::task::block_in_place(World::new);
    world.helm(&["install", "ordermill-crds", "ordermill-crds", "--namespace", OPERATOR]);
    // With Roles in these two namespaces, and nothing beyond.
    let watched = format!("watchNamespaces={{{ORDERS},{OTHERS}}}");
    world.helm(&["install", "ordermill", "ordermill", "--namespace", OPERATOR, "--set", &watched]);
    let (orders, others) = (world.namespace(ORDERS), world.namespace(OTHERS));
    orders.apply(FIVE_LINES);
    orders.apply(include_str!("store.yaml"));
    orders.available("five", AVAILABLE).await;
    serves(&Http::new(&orders.service("five"))).await;
    through_a_forwarded_port_and_the_service(orders).await;
    orders.apply(SHOP);
    orders.available("shop", AVAILABLE).await;
    serves(&Http::new(&orders.service("shop"))).await;
    orders.settled("shop", MEMBERS, CHANGED).await;

    let load = Recorded::start(Http::new(&orders.service("shop")), 4, ordermill_tests::seed()).await;
    load.more(200).await;
    upgrades::another_build(orders, &load).await;
    upgrades::an_image_that_is_nowhere(orders, &load).await;
    upgrades::an_image_that_does_not_serve(orders, &load).await;
    planned::other_settings(orders, &load).await;
    scaling::by_an_autoscaler_of_kubernetes(orders, &load).await;
    scaling::by_kubectl(orders, &load).await;
    planned::deleted_pod(orders, &load).await;
    planned::drained_node(orders, &load).await;
    unplanned::killed_pod(orders, &load).await;
    unplanned::killed_node(orders, &load).await;
    finished("shop", load).await;
    audit(&orders.service("shop")).await;

    let own = Own::start(others).await;
    let load = Recorded::start(own.http.clone(), 1, ordermill_tests::seed()).await;
    load.more(100).await;
    scaling::by_load(others, &own.http, &load).await;
    databases::all_start_anew(others, &load).await;
    finished("own", load).await;
    own.audit(others).await;
    databases::deleted(others, orders).await;
    tokio::task::block_in_place(|| world.end());
}

async fn through_a_forwarded_port_and_the_service(orders: Namespace<'_>) {
    let (address, _forwarded) = tokio::task::block_in_place(|| orders.forward("service/five"));
    let (forwarded, service) = (Http::new(&address), Http::new(&orders.service("five")));
    forwarded.put("/v1/items/tea", &json!({"on_hand": 10})).await.expect(201);
    let order = json!({"customer": "c", "lines": [{"sku": "tea", "quantity": 1, "unit_price": {"amount": 1, "currency": "GBP"}}]});
    for http in [&forwarded, &service] {
        http.post("/v1/orders", &order, &[]).await.expect(201);
    }
    let item: serde_json::Value = forwarded.get("/v1/items/tea").await.expect(200).json();
    assert_eq!(item["held"], 2);
}

/// A change that costs no request: none goes without an answer, and none is put off.
async fn undisturbed(load: &Recorded, what: &str, change: impl Future<Output = ()>) {
    let (before, begun) = (load.failed(), Instant::now());
    change.await;
    println!("{what}: done after {:.1} s", begun.elapsed().as_secs_f64());
    load.more(AFTER).await;
    load.away(Instant::now()).await;
    let failed = load.failed() - before;
    assert_eq!(failed, 0, "{what}: requests had no answer, or were put off:\n  {}", load.failures().join("\n  "));
}

/// What nobody could hide from clients is over in time: every shard takes orders again that are sent after `since`.
async fn recovered(load: &Recorded, what: &str, since: Instant, within: Duration) {
    let away = load.away(since).await;
    let longest = away.values().max().copied().unwrap_or_default();
    println!("{what}: every shard took orders again after {:.1} s: {away:.1?}", longest.as_secs_f64());
    assert!(longest <= within, "{what}: away for {longest:?}, {within:?} are the most");
}

/// The end of a load: what clients were told is consistent, with each other and with what is there.
async fn finished(name: &str, load: Recorded) {
    load.more(AFTER).await;
    println!("{name}: requests without an answer, or put off, in all: {}", load.failed());
    assert_kept(&load.finish().await);
}
