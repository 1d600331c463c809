//! What is announced costs no request: no member is missed that is told to go.

use ordermill_tests::load::recorded::Recorded;

use crate::namespace::Namespace;
use crate::{CHANGED, MEMBERS, undisturbed};

/// All pods are replaced, one by one; the operator is killed on the way, twice.
pub(crate) async fn other_settings(orders: Namespace<'_>, load: &Recorded) {
    undisturbed(load, "other settings, with the operator killed at two steps", async {
        orders.patch("shop", r#"{"spec":{"settings":{"cacheMib":64}}}"#);
        for step in ["Canary", "Rolling"] {
            orders.upgrade_is("shop", step, CHANGED).await;
            orders.world.kill_operator();
        }
        orders.settled("shop", MEMBERS, CHANGED).await;
    })
    .await;
}

/// A pod is told to go, and replaced.
pub(crate) async fn deleted_pod(orders: Namespace<'_>, load: &Recorded) {
    undisturbed(load, "`kubectl delete pod`", async {
        orders.kubectl(&["delete", "pod/shop-0"]);
        orders.settled("shop", MEMBERS, CHANGED).await;
    })
    .await;
}

/// A node is emptied: never is more than one member away.
pub(crate) async fn drained_node(orders: Namespace<'_>, load: &Recorded) {
    let placed = orders.ready("shop").unwrap();
    assert!(placed.iter().any(|pod| pod.node == "node-2"), "none would have to move: {placed:?}");
    undisturbed(load, "`kubectl drain`", async {
        let (drained, fewest) = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let drain = scope.spawn(|| {
                    let flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--timeout=150s"];
                    // What is tried out with an embedded store has a volume on one node: it is not part of this.
                    let selector = "--pod-selector=app.kubernetes.io/instance=shop";
                    orders.world.try_kubectl(&[&["drain", "node-2", selector], &flags[..]].concat())
                });
                let mut fewest = MEMBERS;
                while !drain.is_finished() {
                    fewest = fewest.min(orders.ready("shop").unwrap().len());
                }
                (drain.join().unwrap(), fewest)
            })
        });
        drained.unwrap();
        assert!(fewest >= MEMBERS - 1, "only {fewest} members were ready at a time, the budget allows one to be away");
        orders.settled("shop", MEMBERS, CHANGED).await;
        assert!(orders.ready("shop").unwrap().iter().all(|pod| pod.node == "node-1"));
        orders.world.kubectl(&["uncordon", "node-2"]);
    })
    .await;
}
