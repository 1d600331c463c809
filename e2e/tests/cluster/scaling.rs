//! The number of members: by hand, by Kubernetes' own autoscaler, and by the operator's, which keeps still while it knows too little.

use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use serde_json::json;

use crate::operator;
use crate::planned::Before;
use crate::world::{OPERATOR, OWN, SHOP, World};
use crate::{CHANGED, MEMBERS};

const HPA: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec:
  scaleTargetRef: {apiVersion: ordermill.io/v1alpha1, kind: OrderCluster, name: shop}
  minReplicas: 2
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: AverageValue, averageValue: 1m}}}]
";
/// Until the operator has looked at its members some times, once in 15 s.
const LOOKS: Duration = Duration::from_mins(2);

/// A member fewer by hand, while the operator is killed; one more by Kubernetes' autoscaler.
pub(crate) async fn by_hand_and_by_kubernetes(world: &World, load: &Recorded) {
    let before = Before::now(load);
    world.kubectl(&["scale", "ordercluster/shop", "--namespace", SHOP.namespace, "--replicas=2"]);
    operator::kill(world).await;
    world.settled(SHOP, MEMBERS - 1, CHANGED).await;
    before.nothing_failed(world, load, "`kubectl scale` to fewer, the operator killed meanwhile", CHANGED).await;

    let before = Before::now(load);
    world.apply(SHOP.namespace, HPA);
    world.settled(SHOP, MEMBERS, CHANGED).await;
    before.nothing_failed(world, load, "one more by Kubernetes' autoscaler", CHANGED).await;
    let condition = "{.status.conditions[?(@.type=='ScalingActive')].status}";
    assert_eq!(world.get(SHOP.namespace, "hpa/shop", condition).unwrap(), "True");
    world.kubectl(&["delete", "hpa/shop", "--namespace", SHOP.namespace]);
}

/// Nothing is scaled while the operator does not know how loaded a member is.
pub(crate) async fn not_while_a_member_is_silent(world: &World) {
    let cut = tokio::task::block_in_place(|| {
        let address = |pod: &str, namespace: &str| world.get(namespace, pod, "{.status.podIP}").unwrap();
        let operator = world.get(OPERATOR, "pods", "{.items[0].metadata.name}").unwrap();
        let operator = address(&format!("pod/{operator}"), OPERATOR);
        world.cluster.cut(&operator, &address("pod/own-1", OWN.namespace)).unwrap()
    });
    let autoscaling = json!({"minReplicas": 2, "maxReplicas": 3, "targetBusyPermille": 600});
    world.patch(OWN, &json!({"spec": {"autoscaling": autoscaling}}));
    let reason = || world.of(OWN, "{.status.scaling.reason}");
    let frozen = || reason().and_then(|reason| if reason == "Frozen" { Ok(()) } else { Err(reason) });
    world.until("nothing is scaled while a member cannot be asked", LOOKS, frozen).await;
    assert_eq!(world.get(OWN.namespace, "statefulset/own", "{.spec.replicas}").unwrap(), "2");
    tokio::task::block_in_place(|| cut.mend().unwrap());
    let thawed = || reason().and_then(|reason| if reason == "Frozen" { Err(reason) } else { Ok(()) });
    world.until("it goes on once all members can be asked", LOOKS, thawed).await;
}
