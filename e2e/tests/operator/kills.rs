//! An operator that is killed at every step of an upgrade and of a store that leaves, and one that stood still.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use kube::runtime::events::{Recorder, Reporter};
use ordermill_e2e::{Life, Operator, until};
use ordermill_operator::ask::Asker;
use ordermill_operator::controller;
use ordermill_operator::crd::OrderCluster;
use ordermill_operator::pulse::Pulse;
use ordermill_operator::reconcile::Context;
use ordermill_operator::scaling::Memory;
use ordermill_operator::tenure::Tenure;
use ordermill_operator::validate::Defaults;
use ordermill_station::clock;
use serde_json::json;

use crate::stores::{begin_with, spec, told};
use crate::world::{ORDERS, World};
use crate::{apply, cluster};

/// More lives than all the changes need: steps that undo or repeat each other would go on for ever.
const LIVES_MAX: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_each_change_that_it_makes_the_next_one_goes_on_until_all_is_done() {
    let (mut control_plane, world, proxy) = World::start_with_members().await;
    let operator = Operator::start_through(&control_plane, "first", &proxy);
    let mut asked = spec(4, "");
    asked["image"] = json!("ordermill:1");
    asked["upgrade"] = json!({"watchSeconds": 1});
    let stores = begin_with(&world, &proxy, asked.clone()).await;
    assert!(operator.stop());

    // Other members, other stores, and one store fewer, all at once.
    asked["image"] = json!("ordermill:2");
    let tikv = &mut asked["storage"]["tikv"]["managed"]["tikv"];
    (tikv["config"], tikv["replicas"]) = (json!("[log]\nlevel = \"warn\"\n"), json!(3));
    apply(&world.client, ORDERS, &cluster("shop", asked)).await.unwrap();
    let done = async || {
        let clusters = world.api::<OrderCluster>(ORDERS);
        until("all is done", async || {
            world.kubelet("shop").await;
            let shop = clusters.get("shop").await.unwrap();
            let status = shop.status?;
            let current = status.observed_generation == shop.metadata.generation;
            let one_left = stores.states(3).await == ["Tombstone"];
            (current && one_left && status.summary.as_deref() == Some("Running")).then_some(())
        })
        .await;
    };
    let client = control_plane.operator().await;
    let mut changes = Vec::new();
    let mut lives = 0;
    loop {
        lives += 1;
        let life = Life::after(changes.last());
        proxy.lives(&life);
        let acting = life.client(&client, ORDERS);
        let reporter = Reporter { controller: format!("life-{lives}"), instance: None };
        let context = Context {
            client: acting.clone(),
            recorder: Recorder::new(acting, reporter),
            clock: clock::System::shared(),
            memory: Memory::default(),
            asker: Asker::new(Some(&proxy.url()), Tenure::endless()).unwrap(),
            defaults: Defaults { repository: "ordermill".to_owned(), version: "1".to_owned(), monitors: None },
        };
        tokio::select! {
            () = controller::run(client.clone(), None, context, Pulse::new(clock::System::shared())) => panic!("the loop has ended"),
            change = life.ended() => changes.push(change),
            () = done() => break,
        }
        assert!(lives < LIVES_MAX, "it gets nowhere: {changes:#?}");
        // Whatever was left half done: enough members and stores are there.
        let pods = world.pods("shop").await;
        let of = |prefix: &str| pods.iter().filter(|pod| pod.name_any().starts_with(prefix)).count();
        assert!(of("shop-tikv-") >= 2 && of("shop-0") + of("shop-1") >= 1, "after {changes:?}");
    }
    let said = |part: &str| changes.iter().filter(|change| change.contains(part)).count();
    // What each kind of step asks for was asked for, and the operator was killed right then.
    for part in [
        "PATCH /apis/apps/v1/namespaces/orders/statefulsets/shop",
        "/status",
        "DELETE /api/v1/namespaces/orders/pods/shop-tikv-",
    ] {
        assert!(said(part) > 0, "{part}: {changes:?}");
    }
    assert!(said("DELETE /pd/api/v1/store/") > 0 && said("persistentvolumeclaims") > 0, "{changes:?}");
    assert!(changes.len() >= 15, "{changes:?}");
    assert!(stores.evicted().await.is_empty());
    let (left, pods) = (told(&world).await, world.pods("shop").await);
    assert_eq!((left.leaving, left.restart), (None, None));
    let images: BTreeSet<String> = pods
        .iter()
        .filter(|pod| ["shop-0", "shop-1"].contains(&pod.name_any().as_str()))
        .map(|pod| pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap())
        .collect();
    assert_eq!(images, BTreeSet::from(["ordermill:2".to_owned()]));
    control_plane.check();
}

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
