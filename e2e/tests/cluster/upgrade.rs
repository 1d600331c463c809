//! Another build, under load.

use std::collections::BTreeSet;

use ordermill_tests::load::recorded::Recorded;
use serde_json::json;

use crate::images;
use crate::planned::Before;
use crate::world::{SHOP, World};
use crate::{CHANGED, MEMBERS};

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
