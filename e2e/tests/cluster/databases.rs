//! PD and TiKV that the operator runs: they come, they start anew, they go.

use std::time::Duration;

use ordermill_tests::load::recorded::Recorded;
use ordermill_tests::process::{Http, audit_with};
use ordermill_tests::tls::Authority;
use tokio::time::Instant;

use crate::namespace::{Namespace, serves};
use crate::{AVAILABLE, CHANGED, recovered};

/// Until every shard takes orders again after the only store and the only PD have started anew.
const STORE_AWAY_MAX: Duration = Duration::from_secs(30);

/// One of each, as what speaks TiKV's protocol here keeps no copies.
const OWN: &str = "
apiVersion: ordermill.io/v1alpha1
kind: OrderCluster
metadata: {name: own}
spec:
  initialShards: 4
  autoscaling: {minReplicas: 1, maxReplicas: 2, targetBusyPermille: 150, targetQueueDelayMs: 1000, scaleDownSeconds: 20}
  deletionPolicy: Delete
  api: {keysSecretName: own-keys, tlsSecretName: own-tls}
  rebalancing: {movesAtOnce: 2}
  storage:
    tikv:
      managed:
        allowUnsafeReplicas: true
        zones: [zone-1, zone-2]
        pd: {replicas: 1, image: \"e2e.ordermill.invalid/pd:1\", volume: {size: 1Gi}}
        tikv: {replicas: 1, image: \"e2e.ordermill.invalid/store:1\", volume: {size: 1Gi}, evictLeadersSeconds: 5}
";

/// Who may ask, and whom the operator too asks as.
const KEY: &str = "key-of-the-default-tenant";

/// A cluster whose PD and TiKV the operator runs, and which speaks TLS to those who have a key.
#[derive(Debug)]
pub(crate) struct Own {
    authority: Authority,
    /// A client, through the Service.
    pub(crate) http: Http,
}

impl Own {
    /// Has it made, and waits until it serves.
    pub(crate) async fn start(others: Namespace<'_>) -> Self {
        let (authority, host) = (Authority::new(), format!("own.{}.svc", others.name));
        let names = [host.clone(), format!("*.own-peers.{}.svc", others.name), "127.0.0.1".to_owned()];
        let (certificate, key) = authority.certificate(&names);
        let text = |text: &str| serde_json::json!(text).to_string();
        others.apply(&format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: own-keys}}\nstringData: {{default: {KEY}}}\n---\n\
             apiVersion: v1\nkind: Secret\nmetadata: {{name: own-tls}}\n\
             stringData: {{tls.crt: {}, tls.key: {}, ca.crt: {}}}\n",
            text(&certificate),
            text(&key),
            text(authority.pem()),
        ));
        others.apply(OWN);
        others.available("own", AVAILABLE).await;
        others
            .world
            .until("PD knows in which zone the store is", CHANGED, || {
                let zones = others.get("ordercluster/own", "{.status.store.stores[*].zone}")?;
                if ["zone-1", "zone-2"].contains(&zones.as_str()) { Ok(()) } else { Err(zones) }
            })
            .await;
        let at = format!("{}:8080", others.get("service/own", "{.spec.clusterIP}").unwrap()).parse().unwrap();
        let http = Http::secured(&format!("https://{host}:8080"), Some(at), authority.pem(), KEY);
        serves(&http).await;
        others.settled("own", 1, CHANGED).await;
        Self { authority, http }
    }

    /// Walks all of it, as people do from where they sit.
    pub(crate) async fn audit(&self, others: Namespace<'_>) {
        let (address, _forwarded) = tokio::task::block_in_place(|| others.forward("service/own"));
        let ca = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca.path(), self.authority.pem()).unwrap();
        let flags = ["--api-key", KEY, "--ca", ca.path().to_str().unwrap()];
        audit_with(&address.replace("http://", "https://"), &flags).await;
    }
}

/// PD and the store are made anew; with a copy each there is a while without.
pub(crate) async fn all_start_anew(others: Namespace<'_>, load: &Recorded) {
    let uids = || ["own-pd-0", "own-tikv-0"].map(|pod| others.get(&format!("pod/{pod}"), "{.metadata.uid}"));
    let before = uids();
    let resources = r#"{"resources":{"requests":{"cpu":"10m"}}}"#;
    others.patch(
        "own",
        &format!(r#"{{"spec":{{"storage":{{"tikv":{{"managed":{{"pd":{resources},"tikv":{resources}}}}}}}}}}}"#),
    );
    others
        .world
        .until("PD and the store have started anew", CHANGED, || {
            let now = uids();
            let all = now.iter().zip(&before).all(|(now, before)| now.is_ok() && now != before);
            if all { Ok(()) } else { Err(format!("{before:?} were there, {now:?} are")) }
        })
        .await;
    let since = Instant::now();
    others.settled("own", 1, CHANGED).await;
    recovered(load, "PD and the store started anew", since, STORE_AWAY_MAX).await;
}

/// With one policy the volumes go, with the other they stay.
pub(crate) async fn deleted(others: Namespace<'_>, orders: Namespace<'_>) {
    let volumes = |namespace: Namespace<'_>| {
        let path = "jsonpath={.items[*].metadata.name}";
        namespace.try_kubectl(&["get", "persistentvolumeclaims", "--output", path])
    };
    assert_eq!(volumes(others).unwrap(), "data-own-pd-0 data-own-tikv-0");
    others.kubectl(&["delete", "ordercluster/own", "--timeout=60s"]);
    others
        .world
        .until("nothing of own is left", CHANGED, || {
            let left = others.try_kubectl(&["get", "pods,statefulsets,services", "--output=name"])?;
            let path = "jsonpath={.items[*].spec.claimRef.namespace}";
            let there = others.world.try_kubectl(&["get", "persistentvolumes", "--output", path])?;
            let there = there.replace(orders.name, "");
            let left = format!("{}{}{left}", volumes(others)?, there.trim());
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    orders.kubectl(&["delete", "ordercluster/five", "--timeout=60s"]);
    orders
        .world
        .until("five is gone", CHANGED, || {
            let left = orders.try_kubectl(&["get", "pod/five-0", "--ignore-not-found", "--output=name"])?;
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    assert_eq!(volumes(orders).unwrap(), "data-five-0");
}
