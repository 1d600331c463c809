//! Other builds, under load: one that is good, and two that are not.

use std::collections::BTreeSet;
use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use serde_json::json;

use crate::images;
use crate::planned::Before;
use crate::world::{SHOP, World};
use crate::{CHANGED, MEMBERS};

/// Until a build that does not serve is taken back: its pod's deadline, and what it was is started anew.
const BACK: Duration = Duration::from_mins(2);

/// Another build: on one member first, then on all.
pub(crate) async fn another_build(world: &World, load: &Recorded) {
    let before = Before::now(load);
    world.patch(SHOP, &json!({"spec": {"version": images::NEXT}}));
    let mut steps = BTreeSet::new();
    world
        .until("another build runs everywhere", CHANGED, || {
            let said = world.of(SHOP, "{.status.summary} {.status.ready} {.status.image} {.status.upgrade.step}")?;
            steps.extend(said.split(' ').next_back().map(str::to_owned));
            let wanted = format!("Running {MEMBERS}/{MEMBERS} ghcr.io/ordermill/ordermill:{} ", images::NEXT);
            if said == wanted { Ok(()) } else { Err(said) }
        })
        .await;
    assert!(["Canary", "Rolling"].iter().all(|step| steps.contains(*step)), "{steps:?}");
    before.nothing_failed(world, load, "upgraded to another build", CHANGED).await;
}

/// An image that is nowhere, and one that starts and does not serve: the first member has it, and goes back by itself.
pub(crate) async fn bad_builds(world: &World, load: &Recorded) {
    for (version, why) in [("nowhere", "cannot start"), (images::BAD, "does not serve")] {
        let before = Before::now(load);
        let untouched = pods(world).unwrap();
        // A build that serves may need longer than that on a machine that is busy.
        world.patch(SHOP, &json!({"spec": {"version": version, "upgrade": {"deadlineSeconds": 15}}}));
        world
            .until(&format!("the build {version} is taken back"), BACK, || {
                let said = world.of(SHOP, "{.status.summary} {.status.ready} {.status.upgrade.message}")?;
                let wanted = format!("RolledBack {MEMBERS}/{MEMBERS} shop-{} {why}", MEMBERS - 1);
                if said.starts_with(&wanted) { Ok(()) } else { Err(said) }
            })
            .await;
        let took = before.at.elapsed();
        assert_eq!(
            pods(world).unwrap()[..MEMBERS - 1],
            untouched[..MEMBERS - 1],
            "others than the first were replaced"
        );
        before.nothing_failed_in(world, load, &format!("a build that {why}, taken back"), took, BACK).await;
        // What runs is asked for again: nobody is replaced.
        let all = pods(world).unwrap();
        world.patch(SHOP, &json!({"spec": {"version": images::NEXT, "upgrade": {"deadlineSeconds": 60}}}));
        world.settled(SHOP, MEMBERS, CHANGED).await;
        assert_eq!(pods(world).unwrap(), all);
    }
}

/// The identities of the members' pods, in their order.
fn pods(world: &World) -> Result<Vec<String>, String> {
    let selector = "app.kubernetes.io/name=ordermill,app.kubernetes.io/instance=shop";
    let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid}{'\\n'}{end}";
    let said =
        world.try_kubectl(&["get", "pods", "--namespace", SHOP.namespace, "--selector", selector, "--output", path])?;
    let mut pods: Vec<String> = said.lines().map(str::to_owned).collect();
    pods.sort();
    Ok(pods)
}
