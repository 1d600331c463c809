//! PD and TiKV that the operator runs: formed, found again, and never founded anew.
//!
//! The test is the kubelet: it starts a real PD and a real store with the arguments of their pods.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt as _;
use ordermill_e2e::{Operator, Process, free_port, until, variable};
use serde_json::json;

use crate::world::{ORDERS, World};
use crate::{apply, cluster};

/// PD hears of a store that has moved on sooner than by default.
const STORE_CONFIG: &str = "[raftstore]\npd-heartbeat-tick-interval = \"1s\"\n[engine]\nvlog-file-size = 16777216\n";

/// Arguments of a pod's only container, its variables filled in, and every place led to where the test has it.
pub(crate) async fn arguments(world: &World, pod: &str, places: &[(String, String)]) -> Vec<String> {
    let pod: Pod = world.api(ORDERS).get(pod).await.unwrap();
    let container = pod.spec.clone().unwrap().containers.remove(0);
    let mut variables = BTreeMap::from([("POD_NAME".to_owned(), pod.name_any())]);
    for variable in container.env.unwrap() {
        let Some(key) = variable.value_from.and_then(|from| from.config_map_key_ref) else { continue };
        let map: ConfigMap = world.api(ORDERS).get(&key.name).await.unwrap();
        variables.insert(variable.name, map.data.unwrap()[&key.key].clone());
    }
    let filled = |argument: String| {
        let argument =
            variables.iter().fold(argument, |text, (name, value)| text.replace(&format!("$({name})"), value));
        places.iter().fold(argument, |text, (name, place)| text.replace(name, place))
    };
    container.args.unwrap().into_iter().map(filled).collect()
}

/// Writes a ConfigMap's file where the pod would find it.
pub(crate) async fn config(world: &World, database: &str, directory: &Path) -> PathBuf {
    let map: ConfigMap = world.api(ORDERS).get(&format!("shop-{database}")).await.unwrap();
    std::fs::create_dir_all(directory.join("config")).unwrap();
    std::fs::write(directory.join(format!("config/{database}.toml")), &map.data.unwrap()[&format!("{database}.toml")])
        .unwrap();
    directory.join("config")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pd_is_formed_then_tikv_then_members_and_a_pd_without_its_volume_founds_nothing() {
    let (mut control_plane, world, proxy) = World::start().await;
    let client = world.client.clone();
    let operator = Operator::start_through(&control_plane, "only", &proxy);
    let one = json!({"replicas": 1, "volume": {"size": "1Gi"}});
    let mut managed = json!({"allowUnsafeReplicas": true, "pd": one, "tikv": one});
    managed["tikv"]["config"] = json!(STORE_CONFIG);
    let spec = json!({"replicas": 2, "storage": {"tikv": {"managed": managed}}});
    apply(&client, ORDERS, &cluster("shop", spec)).await.unwrap();

    // PD alone, for as long as it does not answer.
    let waits = world.becomes("shop", "WaitsForStore").await.status.unwrap();
    assert_eq!(waits.store.clone().map(|store| store.bootstrapped), Some(false), "{waits:?}");
    until("PD has a pod", async || world.api::<Pod>(ORDERS).get_opt("shop-pd-0").await.unwrap()).await;
    let revision = until("its set has a revision", async || world.set("shop-pd").await?.status?.update_revision).await;
    assert!(world.set("shop-tikv").await.is_none() && world.set("shop").await.is_none());

    let directory = tempfile::tempdir().unwrap();
    let [client_port, peer_port, store_port, status_port] = std::array::from_fn(|_| free_port());
    let at = |name: &str| directory.path().join(name).display().to_string();
    let places: Vec<(String, String)> = [
        ("0.0.0.0:2379", format!("127.0.0.1:{client_port}")),
        ("0.0.0.0:2380", format!("127.0.0.1:{peer_port}")),
        ("shop-pd-0.shop-pd-peers.orders.svc:2379", format!("127.0.0.1:{client_port}")),
        ("shop-pd-0.shop-pd-peers.orders.svc:2380", format!("127.0.0.1:{peer_port}")),
        // As in a cluster, another name than the member's own.
        ("shop-pd.orders.svc:2379", format!("localhost:{client_port}")),
        ("0.0.0.0:20160", format!("127.0.0.1:{store_port}")),
        ("shop-tikv-0.shop-tikv-peers.orders.svc:20160", format!("127.0.0.1:{store_port}")),
        ("0.0.0.0:20180", format!("127.0.0.1:{status_port}")),
        ("/var/lib/pd", at("pd")),
        ("/var/lib/tikv", at("tikv")),
        ("/etc/pd", at("config")),
        ("/etc/tikv", at("config")),
    ]
    .map(|(name, place)| (name.to_owned(), place))
    .into();
    let start = async |database: &str, program: &str| {
        config(&world, database, directory.path()).await;
        let arguments = arguments(&world, &format!("shop-{database}-0"), &places).await;
        Process::start(database, &variable(program), directory.path(), arguments, &[])
    };
    let mut pd = start("pd", "ORDERMILL_PD_SERVER").await;
    proxy.lead("shop-pd.orders.svc:2379", format!("127.0.0.1:{client_port}").parse().unwrap());

    // Then TiKV; PD's pod stays as it is, and will join when it starts again.
    until("TiKV has a pod", async || {
        pd.check();
        world.api::<Pod>(ORDERS).get_opt("shop-tikv-0").await.unwrap()
    })
    .await;
    let map: ConfigMap = world.api(ORDERS).get("shop-pd").await.unwrap();
    let data = map.data.unwrap();
    assert_eq!((data["initial-cluster"].as_str(), data["join"].as_str()), ("", "http://shop-pd.orders.svc:2379"));
    assert_eq!(world.set("shop-pd").await.unwrap().status.unwrap().update_revision, Some(revision));
    assert!(world.set("shop").await.is_none());

    // Then members.
    for name in ["kv", "raft"] {
        std::fs::create_dir_all(directory.path().join("tikv").join(name)).unwrap();
    }
    let mut store = start("tikv", "ORDERMILL_TIKV_SERVER").await;
    let running = world.becomes("shop", "Running").await.status.unwrap();
    let told = running.store.unwrap();
    assert!(told.bootstrapped);
    assert_eq!((told.pd.as_str(), told.ready.as_str(), told.pd_leader.as_deref()), ("1/1", "1/1", Some("shop-pd-0")));
    assert_eq!((told.stores.len(), told.stores[0].state.as_str()), (1, "Up"));
    store.check();

    world.is_left_alone(&control_plane).await;

    // PD that does not answer takes nothing away; started again, it finds itself.
    proxy.forget("shop-pd.orders.svc:2379");
    assert!(pd.stop());
    world.poke(&control_plane, "4").await;
    let lost = world.becomes("shop", "PdUnreachable").await.status.unwrap();
    assert!(lost.store.unwrap().bootstrapped);
    assert!(world.set("shop").await.is_some() && world.set("shop-tikv").await.is_some());
    pd = start("pd", "ORDERMILL_PD_SERVER").await;
    proxy.lead("shop-pd.orders.svc:2379", format!("127.0.0.1:{client_port}").parse().unwrap());
    world.becomes("shop", "Running").await;

    // Without its volume it looks for the others, and founds no second cluster.
    pd.stop();
    std::fs::remove_dir_all(directory.path().join("pd")).unwrap();
    pd = start("pd", "ORDERMILL_PD_SERVER").await;
    until("it gives up", async || pd.ended().then_some(())).await;
    assert!(!pd.ended_well(), "{}", pd.log());

    drop(store);
    assert!(control_plane.audit().forbidden().is_empty());
    assert!(operator.stop());
    control_plane.check();
}
