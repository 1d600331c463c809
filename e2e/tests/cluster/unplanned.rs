//! What nobody announced costs time, never an order: how long, is asserted.

use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use tokio::time::Instant;

use crate::planned::Before;
use crate::world::{ORDERS, SHOP, World};
use crate::{CHANGED, MEMBERS};

/// Until every shard takes orders again after a pod was killed.
const POD_AWAY_MAX: Duration = Duration::from_secs(15);
/// The same after a node was killed: until Kubernetes has noticed, connections to what was there are tried in vain.
const NODE_AWAY_MAX: Duration = Duration::from_secs(30);

/// A pod is killed without a word.
pub(crate) async fn killed_pod(world: &World, load: &Recorded) {
    world.kubectl(&["delete", "pod/shop-1", "--namespace", ORDERS, "--grace-period=0", "--force"]);
    recovered(world, load, "a pod killed, until every shard takes orders again", Before::now(load), POD_AWAY_MAX).await;
    world.settled(SHOP, MEMBERS, CHANGED).await;
}

/// A node dies with all that runs on it, and comes back.
pub(crate) async fn killed_node(world: &World, load: &Recorded) {
    let there = world.ready(SHOP).unwrap().iter().filter(|(_, node)| node == "node-2").count();
    assert!((1..MEMBERS).contains(&there), "{there} of {MEMBERS} members are on the node");
    tokio::task::block_in_place(|| world.cluster.kill_node(2).unwrap());
    let what = format!("a node with {there} members killed, until every shard takes orders again");
    recovered(world, load, &what, Before::now(load), NODE_AWAY_MAX).await;
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
    world.settled(SHOP, MEMBERS, CHANGED).await;
    world.measured.within("the node started again, until its members serve", back.elapsed(), CHANGED, None);
}

async fn recovered(world: &World, load: &Recorded, what: &str, before: Before, within: Duration) {
    let away = load.away(before.at).await;
    println!("{what}: {away:.1?}");
    let longest = away.values().max().copied().unwrap_or_default();
    world.measured.within(what, longest, within, Some(before.failed(load)));
}
