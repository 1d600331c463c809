//! Another build: on all members without a failed request, or, when it is no good, back by itself.

use ordermill_cluster::PAUSE;
use ordermill_tests::load::recorded::Recorded;

use crate::namespace::{Namespace, Pod};
use crate::world::NEXT_VERSION;
use crate::{CHANGED, MEMBERS, undisturbed};

/// All members run another version.
pub(crate) async fn another_build(orders: Namespace<'_>, load: &Recorded) {
    undisturbed(load, "another build on all members", async {
        version(orders, NEXT_VERSION);
        orders.settled("shop", MEMBERS, CHANGED).await;
    })
    .await;
    let pods = orders.ready("shop").unwrap();
    assert!(pods.iter().all(|pod| pod.image.ends_with(NEXT_VERSION)) && pods.len() == MEMBERS, "{pods:?}");
}

/// No node can get the image.
pub(crate) async fn an_image_that_is_nowhere(orders: Namespace<'_>, load: &Recorded) {
    taken_back(orders, load, "an image that is nowhere", || version(orders, "0.1.2")).await;
    version(orders, NEXT_VERSION);
    orders.settled("shop", MEMBERS, CHANGED).await;
}

/// The image runs, and takes no requests.
pub(crate) async fn an_image_that_does_not_serve(orders: Namespace<'_>, load: &Recorded) {
    let silent = || orders.patch("shop", &format!(r#"{{"spec":{{"version":null,"image":"{PAUSE}"}}}}"#));
    taken_back(orders, load, "an image that does not serve", silent).await;
    orders.patch("shop", &format!(r#"{{"spec":{{"image":null,"version":"{NEXT_VERSION}"}}}}"#));
    orders.settled("shop", MEMBERS, CHANGED).await;
}

fn version(orders: Namespace<'_>, version: &str) {
    orders.patch("shop", &format!(r#"{{"spec":{{"version":"{version}"}}}}"#));
}

/// What is asked for stops at the first member, and goes back: the others are never touched.
async fn taken_back(orders: Namespace<'_>, load: &Recorded, what: &str, ask: impl Fn()) {
    let others = || -> Vec<Pod> {
        let pods = orders.ready("shop").unwrap();
        pods.into_iter().filter(|pod| pod.name != "shop-2").collect()
    };
    let before = others();
    undisturbed(load, &format!("{what}, taken back"), async {
        ask();
        orders.upgrade_is("shop", "RolledBack", CHANGED).await;
        orders.says("shop", "{.status.ready}", &format!("{MEMBERS}/{MEMBERS}"), CHANGED).await;
    })
    .await;
    assert_eq!(others(), before);
    let pods = orders.ready("shop").unwrap();
    assert!(pods.iter().all(|pod| pod.image == before[0].image), "{pods:?}");
}
