//! The life of clusters under the operator, with the rights of its chart: made, left alone, changed, suspended, deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use ordermill_e2e::{ControlPlane, Operator, Proxy, Use, namespace, until};
use ordermill_operator::{OrderCluster, rights};
use serde_json::{Value, json};

use crate::world::{Members, ORDERS, World};
use crate::{apply, cluster, install, install_as, install_pod_monitors};

const OTHERS: &str = "others";

fn tikv(replicas: i32, settings: Value) -> Value {
    json!({
        "replicas": replicas, "settings": settings, "api": {"keysSecretName": "shop-keys"},
        "storage": {"tikv": {"external": {"pdEndpoints": ["pd:2379"]}}}, "upgrade": {"watchSeconds": 1},
        // Amounts that the API server writes in another way.
        "podTemplate": {"spec": {"containers": [{"name": "ordermill", "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}}}]}},
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_are_made_left_alone_changed_suspended_and_deleted() {
    let mut control_plane = ControlPlane::start().await;
    let client = control_plane.admin().await;
    for name in ["operators", ORDERS, OTHERS] {
        namespace(&client, name).await;
    }
    install(&client).await;
    install_pod_monitors(&client).await;
    Operator::grant(&client, &[]).await;
    let world = World { client: client.clone() };

    let proxy = Proxy::start().await;
    proxy.otherwise(Arc::new(Members::default()).answers());
    let mut first = Operator::start_through(&control_plane, "first", &proxy);
    until("the operator leads", async || first.leads().then_some(())).await;

    // Made: the pods pass the restricted level, as the namespace asks it.
    apply(&client, ORDERS, &cluster("five", json!({}))).await.unwrap();
    apply(&client, ORDERS, &cluster("shop", tikv(3, json!({})))).await.unwrap();
    let five = world.becomes("five", "Running").await;
    let shop = world.becomes("shop", "Running").await;
    assert_eq!(five.status.unwrap().ready.unwrap(), "1/1");
    assert_eq!(shop.status.unwrap().endpoint.unwrap(), "http://shop.orders.svc:8080");
    assert_eq!(world.pods("shop").await.len(), 3);
    let names = |versions: &BTreeSet<String>| {
        versions.iter().map(|version| version.split('@').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let of_shop = [
        "ConfigMap/shop-settings",
        "NetworkPolicy/shop",
        "PodDisruptionBudget/shop",
        "PodMonitor/shop",
        "Service/shop-peers",
        "Service/shop",
        "ServiceAccount/shop",
        "StatefulSet/shop",
    ];
    assert_eq!(names(&world.versions("shop").await), of_shop);
    assert!(!names(&world.versions("five").await).contains(&"PodDisruptionBudget/five".to_owned()));

    // Left alone: reconciled again, and not one write.
    let mut labelled = 0;
    let mut poke = async |what: &str| {
        labelled += 1;
        let label = json!({"metadata": {"labels": {"poked": labelled.to_string()}}});
        let seen = control_plane.audit().reconciliations();
        for name in ["five", "shop"] {
            world
                .api::<OrderCluster>(ORDERS)
                .patch(name, &PatchParams::default(), &Patch::Merge(&label))
                .await
                .unwrap();
        }
        until(what, async || (control_plane.audit().reconciliations() >= seen + 2).then_some(())).await;
    };
    poke("both are looked at once more").await;
    let (versions, writes) =
        ([world.versions("five").await, world.versions("shop").await], control_plane.audit().writes().len());
    poke("both are reconciled again").await;
    poke("and again").await;
    assert_eq!(control_plane.audit().writes().len(), writes, "{:?}", control_plane.audit().writes());
    assert_eq!([world.versions("five").await, world.versions("shop").await], versions);

    // What somebody else changes is put right.
    let meddled = json!({"spec": {"ports": [{"name": "http", "port": 8080, "targetPort": 1}]}});
    world.api::<Service>(ORDERS).patch("shop", &PatchParams::default(), &Patch::Strategic(&meddled)).await.unwrap();
    until("the port is put right", async || {
        let service = world.api::<Service>(ORDERS).get("shop").await.unwrap();
        let target = service.spec?.ports?.into_iter().next()?.target_port?;
        (json!(target) == json!("http")).then_some(())
    })
    .await;

    // Changed: other settings roll the pods, and only then two of them go; one member needs no budget.
    let before = world.set("shop").await.unwrap().status.unwrap().update_revision;
    apply(&client, ORDERS, &cluster("shop", tikv(1, json!({"cacheMib": 256})))).await.unwrap();
    let shop = world.becomes("shop", "Running").await;
    assert_eq!(shop.status.unwrap().ready.unwrap(), "1/1");
    assert_ne!(world.set("shop").await.unwrap().status.unwrap().update_revision, before);
    let settings = world.api::<ConfigMap>(ORDERS).get("shop-settings").await.unwrap().data.unwrap();
    assert!(settings["ordermill.toml"].contains("cache-mib = 256"), "{settings:?}");
    assert!(world.api::<PodDisruptionBudget>(ORDERS).get_opt("shop").await.unwrap().is_none());

    // Scaled as an autoscaler does it.
    let scaled = json!({"spec": {"replicas": 2}});
    let clusters = world.api::<OrderCluster>(ORDERS);
    clusters.patch_scale("shop", &PatchParams::default(), &Patch::Merge(&scaled)).await.unwrap();
    let shop = world.becomes("shop", "Running").await;
    assert_eq!(shop.status.unwrap().replicas, 2);

    // Suspended: nothing is touched, and it says so.
    let suspended = json!({"spec": {"suspend": true, "replicas": 3}});
    clusters.patch("shop", &PatchParams::default(), &Patch::Merge(&suspended)).await.unwrap();
    world.becomes("shop", "Suspended").await;
    assert_eq!(world.set("shop").await.unwrap().spec.unwrap().replicas, Some(2));
    let resumed = json!({"spec": {"suspend": false}});
    clusters.patch("shop", &PatchParams::default(), &Patch::Merge(&resumed)).await.unwrap();
    assert_eq!(world.becomes("shop", "Running").await.status.unwrap().ready.unwrap(), "3/3");

    // Somebody else's object is not taken over; and one that cannot be carried out keeps nobody waiting.
    let theirs: Service =
        serde_json::from_value(json!({"metadata": {"name": "taken"}, "spec": {"ports": [{"port": 1}]}})).unwrap();
    world.api::<Service>(ORDERS).create(&PostParams::default(), &theirs).await.unwrap();
    apply(&client, ORDERS, &cluster("taken", json!({}))).await.unwrap();
    let broken = json!({"podTemplate": {"spec": {"containers": "none"}}});
    apply(&client, ORDERS, &cluster("broken", broken)).await.unwrap();
    world.becomes("taken", "NameTaken").await;
    world.becomes("broken", "InvalidPodTemplate").await;
    let service = world.api::<Service>(ORDERS).get("taken").await.unwrap();
    assert!(service.owner_references().is_empty() && service.annotations().is_empty(), "{service:?}");

    // A second operator waits, and takes over when the first gives the Lease back.
    let mut second = Operator::start_through(&control_plane, "second", &proxy);
    until("the second asks for the Lease", async || second.waits().then_some(())).await;
    assert!(!second.leads());
    assert!(first.stop());
    until("the second leads", async || second.leads().then_some(())).await;

    // Deleted: volumes stay unless they are asked to go; nothing else does.
    let claims = world.api::<PersistentVolumeClaim>(ORDERS);
    apply(&client, ORDERS, &cluster("gone", json!({"deletionPolicy": "Delete"}))).await.unwrap();
    world.becomes("gone", "Running").await;
    for name in ["five", "shop", "gone"] {
        clusters.delete(name, &DeleteParams::default()).await.unwrap();
    }
    for name in ["five", "shop", "gone"] {
        until("all is gone", async || {
            (world.versions(name).await.is_empty() && world.pods(name).await.is_empty()).then_some(())
        })
        .await;
    }
    until("the volume is gone", async || claims.get_metadata_opt("data-gone-0").await.unwrap().is_none().then_some(()))
        .await;
    assert!(claims.get("data-five-0").await.unwrap().metadata.deletion_timestamp.is_none());

    // It used every right that the chart gives it, and asked for no other.
    let audit = control_plane.audit();
    assert!(audit.forbidden().is_empty(), "{:?}", audit.forbidden());
    let used: BTreeSet<Use> = audit.used().into_iter().filter(|used| !used.resource.is_empty()).collect();
    let given: BTreeSet<Use> = rights::watched().into_iter().chain(rights::lease()).flat_map(uses).collect();
    // A patch that makes an object needs the right to create it, and is a patch in the log.
    let patched = |given: &Use| used.contains(&Use { verb: "patch".to_owned(), ..given.clone() });
    assert_eq!(used.difference(&given).collect::<Vec<_>>(), Vec::<&Use>::new());
    // Pods that are taken back are deleted in the test of upgrades.
    // As are volumes of stores that leave.
    let elsewhere = |given: &Use| given.resource != "poddisruptionbudgets" && given.verb == "delete";
    let idle = |given: &&Use| !(elsewhere(given) || given.verb == "create" && patched(given));
    assert_eq!(given.difference(&used).filter(idle).collect::<Vec<_>>(), Vec::<&Use>::new());
    assert!(second.stop());
    control_plane.check();
}

fn uses(rule: k8s_openapi::api::rbac::v1::PolicyRule) -> Vec<Use> {
    let group = rule.api_groups.unwrap_or_default().into_iter().next().unwrap_or_default();
    let resources = rule.resources.unwrap_or_default();
    let each = |resource: &String| {
        let (group, resource) = (group.clone(), resource.clone());
        let verbs = rule.verbs.clone().into_iter();
        verbs.map(move |verb| Use { group: group.clone(), resource: resource.clone(), verb }).collect::<Vec<_>>()
    };
    resources.iter().flat_map(each).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_in_one_namespace_are_enough_and_a_resource_that_cannot_be_read_stops_no_other() {
    let mut control_plane = ControlPlane::start().await;
    let client = control_plane.admin().await;
    for name in ["operators", ORDERS, OTHERS] {
        namespace(&client, name).await;
    }
    Operator::grant(&client, &[ORDERS]).await;
    // As a later version of the CRD may allow what this operator cannot read.
    let mut crd: Value = serde_saphyr::from_str(crate::CRD).unwrap();
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    schema["properties"]["spec"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    install_as(&client, &crd).await;
    let world = World { client: client.clone() };
    apply(&client, ORDERS, &cluster("unreadable", json!({"suspend": "perhaps"}))).await.unwrap();
    apply(&client, OTHERS, &cluster("elsewhere", json!({}))).await.unwrap();

    let operator = Operator::start(&control_plane, "only", &[ORDERS]);
    apply(&client, ORDERS, &cluster("shop", json!({"replicas": 1}))).await.unwrap();
    until("the other is built", async || {
        control_plane.check();
        world.kubelet("shop").await;
        world.set("shop").await?.status?.ready_replicas.filter(|ready| *ready == 1)
    })
    .await;
    let events = world.api::<k8s_openapi::api::events::v1::Event>(ORDERS);
    until("it is told that it cannot be read", async || {
        let events = events.list(&ListParams::default()).await.unwrap();
        events.into_iter().find(|event| event.reason.as_deref() == Some("Unreadable"))
    })
    .await;
    assert!(world.api::<StatefulSet>(OTHERS).list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(control_plane.audit().forbidden().is_empty());
    assert!(operator.stop());
}
