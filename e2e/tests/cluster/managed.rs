//! PD and TiKV that the operator runs: made from nothing, and restarted in a roll under load.

use std::collections::BTreeSet;
use std::time::Duration;

use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::process::{Http, audit};
use tokio::time::Instant;

use crate::planned::Before;
use crate::scaling;
use crate::world::{OWN, World};
use crate::{AVAILABLE, available, service};

/// Three PD, and one store: the one that stands for TiKV knows no others.
pub(crate) const MANAGED: &str = "
apiVersion: ordermill.io/v1alpha1
kind: OrderCluster
metadata: {name: own}
spec:
  replicas: 2
  initialShards: 4
  deletionPolicy: Delete
  storage:
    tikv:
      managed:
        allowUnsafeReplicas: true
        pd: {image: 'e2e.ordermill.invalid/pd:1', volume: {size: 1Gi}}
        tikv:
          image: 'e2e.ordermill.invalid/store:1'
          replicas: 1
          volume: {size: 2Gi}
          config: |
            [raftstore]
            pd-heartbeat-tick-interval = \"1s\"
            [engine]
            vlog-file-size = 67108864
";
/// A change of nothing that matters, which replaces the pods one by one.
const ROLLS: [(&str, &str); 2] = [
    ("pd", "[log]\nlevel = \"warn\"\n"),
    ("tikv", "[raftstore]\npd-heartbeat-tick-interval = \"2s\"\n[engine]\nvlog-file-size = 67108864\n"),
];
/// How long the pods of one of the two may take to be replaced.
const ROLLED: Duration = Duration::from_mins(5);
/// Until every shard takes orders again after that: a store that has moved is found anew once names are asked for again.
const AWAY_MAX: Duration = Duration::from_mins(1);
/// Members of it.
const MEMBERS: usize = 2;

/// From the resource that was applied to its end.
pub(crate) async fn databases_roll(world: &'static World) {
    available(world, OWN).await;
    world.settled(OWN, MEMBERS, AVAILABLE).await;
    let service = service(world, OWN);
    let load = Recorded::start(Http::new(&service), 2, ordermill_tests::seed()).await;
    load.more(100).await;
    for (database, config) in ROLLS {
        let all = Before::now(&load);
        let before = pods(world, database).unwrap();
        let patch = serde_json::json!({"spec": {"storage": {"tikv": {"managed": {database: {"config": config}}}}}});
        world.patch(OWN, &patch);
        world
            .until(&format!("the pods of {database} are replaced"), ROLLED, || {
                let now = pods(world, database)?;
                let old = now.iter().filter(|(uid, _)| before.iter().any(|(known, _)| known == uid)).count();
                let ready = now.iter().filter(|(_, ready)| *ready).count();
                if old == 0 && ready == before.len() {
                    Ok(())
                } else {
                    Err(format!("{old} are left, {ready} are ready"))
                }
            })
            .await;
        let rolled = Instant::now();
        load.away(rolled).await;
        let what = format!("{database} restarted in a roll");
        world.measured.within(&what, rolled - all.at, ROLLED, Some(all.failed(&load)));
        let what = format!("until every shard takes orders again, once {database} was ready");
        world.measured.within(&what, rolled.elapsed(), AWAY_MAX, None);
        world.settled(OWN, MEMBERS, AVAILABLE).await;
    }
    scaling::not_while_a_member_is_silent(world).await;
    assert_kept(&load.finish().await);
    audit(&service).await;
}

/// The identities of a database's pods, and whether each is ready.
fn pods(world: &World, database: &str) -> Result<BTreeSet<(String, bool)>, String> {
    let selector = format!("app.kubernetes.io/name=ordermill-{database},app.kubernetes.io/instance=own");
    let path = "jsonpath={range .items[*]}{.metadata.uid} {.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}";
    let list = ["get", "pods", "--namespace", OWN.namespace, "--selector", &selector, "--output", path];
    let said = world.try_kubectl(&list)?;
    Ok(said
        .lines()
        .filter_map(|line| line.split_once(' ').map(|(uid, ready)| (uid.to_owned(), ready == "True")))
        .collect())
}
