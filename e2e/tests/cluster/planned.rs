//! What is announced costs no request: no member is missed that is told to go.

use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use serde_json::json;
use tokio::time::Instant;

use crate::operator;
use crate::world::{ORDERS, SHOP, World};
use crate::{CHANGED, MEMBERS};

/// Requests that must be answered after a change before it is over.
const AFTER: u64 = 100;

/// How it was before something was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    failed: u64,
    pub(crate) at: Instant,
}

impl Before {
    pub(crate) fn now(load: &Recorded) -> Self {
        Self { failed: load.failed(), at: Instant::now() }
    }

    /// Requests that had no answer, or were put off, since then.
    pub(crate) fn failed(self, load: &Recorded) -> u64 {
        load.failed() - self.failed
    }

    /// Notes what was done since then, and how long it took; that a request has failed of it is a fault. Every shard takes
    /// orders then.
    pub(crate) async fn nothing_failed(self, world: &World, load: &Recorded, what: &str, most: Duration) {
        self.nothing_failed_in(world, load, what, self.at.elapsed(), most).await;
    }

    /// The same of something that took less time.
    pub(crate) async fn nothing_failed_in(
        self,
        world: &World,
        load: &Recorded,
        what: &str,
        took: Duration,
        most: Duration,
    ) {
        load.more(AFTER).await;
        tokio::time::timeout(Duration::from_mins(1), load.away(Instant::now())).await.unwrap();
        let failed = self.failed(load);
        world.measured.within(what, took, most, Some(failed));
        if failed > 0 {
            let whys = load.whys();
            world.measured.fault(format!("{what}: {failed} requests had no answer, or were put off: {whys:#?}"));
        }
    }
}

/// All pods are replaced, one by one, and the operator is killed when the first of them is new.
pub(crate) async fn rolling_change(world: &World, load: &Recorded) {
    let before = Before::now(load);
    let annotations = json!({"changed": "once"});
    world.patch(SHOP, &json!({"spec": {"podTemplate": {"metadata": {"annotations": annotations}}}}));
    world
        .until("one pod is new", CHANGED, || {
            let step = world.of(SHOP, "{.status.upgrade.step}")?;
            if step == "Canary" { Ok(()) } else { Err(step) }
        })
        .await;
    operator::kill(world).await;
    world.settled(SHOP, MEMBERS, CHANGED).await;
    before.nothing_failed(world, load, "a rolling change, the operator killed meanwhile", CHANGED).await;
}

/// A pod is told to go, and replaced.
pub(crate) async fn deleted_pod(world: &World, load: &Recorded) {
    let before = Before::now(load);
    world.kubectl(&["delete", "pod/shop-0", "--namespace", ORDERS]);
    world.settled(SHOP, MEMBERS, CHANGED).await;
    before.nothing_failed(world, load, "`kubectl delete pod`", CHANGED).await;
}

/// A node is emptied: never is more than one member away.
pub(crate) async fn drained_node(world: &World, load: &Recorded) {
    let before = Before::now(load);
    let placed = world.ready(SHOP).unwrap();
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
                fewest = fewest.min(world.ready(SHOP).unwrap().len());
            }
            (drain.join().unwrap(), fewest)
        })
    });
    drained.unwrap();
    assert!(fewest >= MEMBERS - 1, "only {fewest} members were ready at a time, the budget allows one to be away");
    world.settled(SHOP, MEMBERS, CHANGED).await;
    assert!(world.ready(SHOP).unwrap().iter().all(|(_, node)| node == "node-1"));
    world.kubectl(&["uncordon", "node-2"]);
    before.nothing_failed(world, load, "`kubectl drain`", CHANGED).await;
}
