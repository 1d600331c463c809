//! A cluster that is deleted goes at once, whoever is away: nothing waits for PD, and volumes go or stay as was asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use ordermill_e2e::{Operator, until};
use ordermill_operator::OrderCluster;
use serde_json::json;

use crate::stores::{Stores, begin_with, spec, told};
use crate::world::{Members, ORDERS, World};
use crate::{apply, cluster};

async fn claims(world: &World) -> BTreeSet<String> {
    let claims = world.api::<PersistentVolumeClaim>(ORDERS).list(&ListParams::default()).await.unwrap();
    claims
        .into_iter()
        .filter(|claim| claim.metadata.deletion_timestamp.is_none())
        .map(|claim| claim.name_any())
        .collect()
}

/// Nobody answers for PD any more, and the resource is deleted.
async fn delete(world: &World, proxy: &ordermill_e2e::Proxy, stores: Stores) {
    proxy.forget("shop-pd.orders.svc:2379");
    drop(stores);
    let clusters = world.api::<OrderCluster>(ORDERS);
    let deleted = clusters.get("shop").await.unwrap();
    assert!(deleted.finalizers().is_empty(), "{:?}", deleted.finalizers());
    clusters.delete("shop", &DeleteParams::default()).await.unwrap();
    until("all is gone", async || {
        let gone = clusters.get_opt("shop").await.unwrap().is_none();
        (gone && world.versions("shop").await.is_empty() && world.pods("shop").await.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_goes_while_pd_is_away_and_volumes_go_or_stay_as_was_asked() {
    let (mut control_plane, world, proxy) = World::start().await;
    proxy.otherwise(Arc::new(Members::default()).answers());
    let operator = Operator::start_through(&control_plane, "only", &proxy);
    let all: BTreeSet<String> =
        ["data-shop-pd-0", "data-shop-tikv-0", "data-shop-tikv-1", "data-shop-tikv-2", "data-shop-tikv-3"]
            .map(str::to_owned)
            .into();

    // They stay, until somebody deletes them.
    let stores = begin_with(&world, &proxy, spec(4, "")).await;
    delete(&world, &proxy, stores).await;
    assert_eq!(claims(&world).await, all);
    // Left alone afterwards, too: what was deleted is not made again.
    assert!(world.versions("shop").await.is_empty());

    // They go, those that are found again included; in the middle of a change at that.
    let mut deleted = spec(4, "");
    deleted["deletionPolicy"] = json!("Delete");
    let stores = begin_with(&world, &proxy, deleted.clone()).await;
    stores.tell("hold?held=true").await;
    deleted["storage"]["tikv"]["managed"]["tikv"]["replicas"] = json!(3);
    apply(&world.client, ORDERS, &cluster("shop", deleted)).await.unwrap();
    until("a store is to leave", async || told(&world).await.leaving).await;
    delete(&world, &proxy, stores).await;
    until("the volumes are gone", async || claims(&world).await.is_empty().then_some(())).await;

    assert!(control_plane.audit().forbidden().is_empty(), "{:?}", control_plane.audit().forbidden());
    assert!(operator.stop());
    control_plane.check();
}
