//! What nobody announced costs time, never an order: how long, is asserted.

use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use tokio::time::Instant;

use crate::namespace::Namespace;
use crate::{CHANGED, MEMBERS, recovered};

/// Until every shard takes orders again after a pod was killed.
const POD_AWAY_MAX: Duration = Duration::from_secs(15);
/// The same after a node was killed: until Kubernetes has noticed, connections to what was there are tried in vain.
const NODE_AWAY_MAX: Duration = Duration::from_secs(30);

/// A pod is killed without a word.
pub(crate) async fn killed_pod(orders: Namespace<'_>, load: &Recorded) {
    orders.kubectl(&["delete", "pod/shop-1", "--grace-period=0", "--force"]);
    let since = Instant::now();
    recovered(load, "a pod was killed", since, POD_AWAY_MAX).await;
    orders.settled("shop", MEMBERS, CHANGED).await;
}

/// A node dies with all that runs on it, and comes back.
pub(crate) async fn killed_node(orders: Namespace<'_>, load: &Recorded) {
    let world = orders.world;
    let there = orders.ready("shop").unwrap().iter().filter(|pod| pod.node == "node-2").count();
    assert!((1..MEMBERS).contains(&there), "{there} of {MEMBERS} members are on the node");
    tokio::task::block_in_place(|| world.cluster.kill_node(2).unwrap());
    let since = Instant::now();
    recovered(load, &format!("a node with {there} members was killed"), since, NODE_AWAY_MAX).await;
    world
        .until("the node is called dead", Duration::from_secs(30), || {
            let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
            let ready = world.try_kubectl(&["get", "node/node-2", "--output", path])?;
            if ready == "Unknown" { Ok(()) } else { Err(format!("Ready is {ready}")) }
        })
        .await;
    load.more(200).await;
    let back = Instant::now();
    tokio::task::block_in_place(|| world.cluster.start_node(&world.tools, 2).unwrap());
    orders.settled("shop", MEMBERS, CHANGED).await;
    println!("the node is back with its members after {:.1} s", back.elapsed().as_secs_f64());
}
