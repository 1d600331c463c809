//! What is announced costs no request: no member is missed that is told to go.

use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;

use crate::world::{ORDERS, World};
use crate::{CHANGED, MEMBERS};

/// Requests that must be answered after a change before it is over.
const AFTER: u64 = 100;

/// All pods are replaced, one by one.
pub(crate) async fn rolling_change(world: &World, load: &Recorded) {
    let before = load.failed();
    let change = r#"{"spec":{"podTemplate":{"metadata":{"annotations":{"changed":"once"}}}}}"#;
    world.kubectl(&["patch", "ordercluster/shop", "--namespace", ORDERS, "--type=merge", "--patch", change]);
    world.settled("shop", MEMBERS, CHANGED).await;
    nothing_failed(load, before, "a rolling change").await;
}

/// A member fewer, and one more.
pub(crate) async fn fewer_and_more(world: &World, load: &Recorded) {
    for members in [MEMBERS - 1, MEMBERS] {
        let before = load.failed();
        let replicas = format!("--replicas={members}");
        world.kubectl(&["scale", "ordercluster/shop", "--namespace", ORDERS, &replicas]);
        world.settled("shop", members, CHANGED).await;
        nothing_failed(load, before, &format!("{replicas} by `kubectl scale`")).await;
    }
}

/// A pod is told to go, and replaced.
pub(crate) async fn deleted_pod(world: &World, load: &Recorded) {
    let before = load.failed();
    world.kubectl(&["delete", "pod/shop-0", "--namespace", ORDERS]);
    world.settled("shop", MEMBERS, CHANGED).await;
    nothing_failed(load, before, "`kubectl delete pod`").await;
}

/// A node is emptied: never is more than one member away.
pub(crate) async fn drained_node(world: &World, load: &Recorded) {
    let before = load.failed();
    let placed = world.ready("shop").unwrap();
    assert!(placed.iter().any(|(_, node)| node == "node-2"), "none would have to move: {placed:?}");
    let (drained, fewest) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let drain = scope.spawn(|| {
                let flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s"];
                // What is tried out with an embedded store has a volume on one node: it is not part of this.
                let selector = "--pod-selector=app.kubernetes.io/instance=shop";
                world.try_kubectl(&[&["drain", "node-2", selector], &flags[..]].concat())
            });
            let mut fewest = MEMBERS;
            while !drain.is_finished() {
                fewest = fewest.min(world.ready("shop").unwrap().len());
            }
            (drain.join().unwrap(), fewest)
        })
    });
    drained.unwrap();
    assert!(fewest >= MEMBERS - 1, "only {fewest} members were ready at a time, the budget allows one to be away");
    world.settled("shop", MEMBERS, CHANGED).await;
    assert!(world.ready("shop").unwrap().iter().all(|(_, node)| node == "node-1"));
    world.kubectl(&["uncordon", "node-2"]);
    nothing_failed(load, before, "`kubectl drain`").await;
}

async fn nothing_failed(load: &Recorded, before: u64, what: &str) {
    load.more(AFTER).await;
    tokio::time::timeout(Duration::from_mins(1), load.away(tokio::time::Instant::now())).await.unwrap();
    assert_eq!(load.failed() - before, 0, "requests that had no answer, or were put off, during {what}");
}
