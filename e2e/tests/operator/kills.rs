//! An operator that stood still while another took the Lease over.

use ordermill_e2e::{Operator, until};
use serde_json::json;

use crate::world::{ORDERS, World};
use crate::{apply, cluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_stood_still_changes_nothing_once_another_holds_the_lease() {
    let (mut control_plane, world, _) = World::start().await;
    let mut first = Operator::start(&control_plane, "first", &[]);
    until("the first leads", async || first.leads().then_some(())).await;
    apply(&world.client, ORDERS, &cluster("shop", json!({}))).await.unwrap();
    world.becomes("shop", "Running").await;
    first.pause();
    let mut second = Operator::start(&control_plane, "second", &[]);
    until("the second leads", async || second.leads().then_some(())).await;
    // Nobody else could do it first: the second stands still while the first goes on.
    second.pause();
    let before = control_plane.audit().writes_by("first");
    apply(&world.client, ORDERS, &cluster("shop", json!({"settings": {"cacheMib": 256}}))).await.unwrap();
    apply(&world.client, ORDERS, &cluster("other", json!({}))).await.unwrap();
    first.resume();
    until("the first ends", async || first.ended().then_some(())).await;
    assert_eq!(control_plane.audit().writes_by("first"), before);
    second.resume();
    world.becomes("other", "Running").await;
    assert!(second.stop());
    control_plane.check();
}
