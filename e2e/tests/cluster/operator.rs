//! The operator itself: killed in the middle of something; with rights in some namespaces alone; beside a resource that
//! it cannot read.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{OPERATOR, ORDERS, OTHERS, SHOP, World};

/// Until another one acts: the Lease of the one that was killed runs out in 15 s.
const ANOTHER: Duration = Duration::from_mins(1);
const CRD: &str = "crd/orderclusters.ordermill.io";
/// What no operator can read.
const MALFORMED: &str = "
apiVersion: ordermill.io/v1alpha1
kind: OrderCluster
metadata: {name: malformed}
spec: {suspend: perhaps}
";

/// Kills it without a word, and waits until another one acts.
pub(crate) async fn kill(world: &World) {
    let holder = || world.get(OPERATOR, "leases", "{.items[0].spec.holderIdentity}");
    let killed = holder().unwrap();
    let begun = Instant::now();
    world.kubectl(&["delete", "pod", &killed, "--namespace", OPERATOR, "--grace-period=0", "--force"]);
    world
        .until("another operator acts", ANOTHER, || match holder()? {
            same if same == killed || same.is_empty() => Err(format!("{same:?} has the Lease")),
            _ => Ok(()),
        })
        .await;
    world.measured.within("the operator killed, until another one acts", begun.elapsed(), ANOTHER, None);
}

/// Puts a resource in its way that nothing could be made of.
pub(crate) async fn obstruct(world: &World) {
    let whole: Value = serde_json::from_str(&world.kubectl(&["get", CRD, "--output=json"])).unwrap();
    let mut lax = whole.clone();
    lax["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let replace = |mut definition: Value| {
        definition["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), definition.to_string()).unwrap();
        world.kubectl(&["replace", "--filename", file.path().to_str().unwrap()]);
    };
    replace(lax);
    // The API server takes a moment to believe the new definition.
    world.until("a malformed resource is taken", ANOTHER, || world.try_apply(OTHERS, MALFORMED)).await;
    replace(whole);
}

/// It acts by Roles in the two namespaces, and said of the malformed resource what it is.
pub(crate) async fn has_no_more_rights_than_it_needs(world: &World) {
    let found =
        world.kubectl(&["get", "clusterroles,clusterrolebindings", "--selector=app.kubernetes.io/instance=ordermill"]);
    assert_eq!(found, "", "it has rights everywhere");
    let may = |verb: &str, what: &str, place: &[&str]| {
        let who = format!("--as=system:serviceaccount:{OPERATOR}:ordermill-operator");
        world.try_kubectl(&[&["auth", "can-i", verb, what, &who], place].concat()).is_ok()
    };
    for namespace in [ORDERS, OTHERS] {
        assert!(may("create", "statefulsets.apps", &["--namespace", namespace]));
        assert!(!may("get", "secrets", &["--namespace", namespace]));
    }
    assert!(!may("list", "orderclusters.ordermill.io", &["--all-namespaces"]));
    assert!(!may("list", "pods", &["--namespace", "kube-system"]));
    let events = ["get", "events", "--namespace", OTHERS, "--field-selector=reason=Unreadable", "--output=name"];
    world
        .until("it says what it cannot read", ANOTHER, || {
            let said = world.try_kubectl(&events)?;
            if said.is_empty() { Err("no event".to_owned()) } else { Ok(()) }
        })
        .await;
    world.kubectl(&["delete", "ordercluster/malformed", "--namespace", OTHERS]);
}

/// It gets rights everywhere: nobody is restarted for that.
pub(crate) async fn gets_rights_everywhere(world: &World) {
    let pods =
        || world.kubectl(&["get", "pods", "--namespace", SHOP.namespace, "--output=jsonpath={.items[*].metadata.uid}"]);
    let before = pods();
    world.helm(&["upgrade", "ordermill", "ordermill", "--namespace", OPERATOR, "--reset-values", "--wait"]);
    world.settled(SHOP, crate::MEMBERS, crate::CHANGED).await;
    assert_eq!(pods(), before);
}
