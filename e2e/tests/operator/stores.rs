//! Stores of TiKV leave, stay, are refused and start anew, as a real PD sees it. The stores are played: they beat, carry
//! out what PD schedules, and hold no data.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt as _;
use kube::api::ListParams;
use ordermill_e2e::{LONG, Life, Operator, Process, Proxy, free_port, until, variable};
use ordermill_operator::OrderCluster;
use ordermill_operator::ask::Asker;
use ordermill_operator::crd::StoreStatus;
use ordermill_operator::pd::Pd;
use ordermill_operator::tenure::Tenure;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::databases::{arguments, config};
use crate::world::{ORDERS, World};
use crate::{apply, cluster};

/// PD of `shop`, and stores that are played.
pub(crate) struct Stores {
    pd: String,
    commands: String,
    client: reqwest::Client,
    // In the order in which they stop.
    _running: Process,
    _pd: Process,
    _directory: TempDir,
}

impl Stores {
    /// Starts a PD with the arguments of its pod, and nobody else.
    pub(crate) async fn start(world: &World, proxy: &Proxy) -> Self {
        until("PD has a pod", async || world.api::<Pod>(ORDERS).get_opt("shop-pd-0").await.unwrap()).await;
        let directory = tempfile::tempdir().unwrap();
        let [client_port, peer_port, command_port] = std::array::from_fn(|_| free_port());
        let places: Vec<(String, String)> = [
            ("0.0.0.0:2379", format!("127.0.0.1:{client_port}")),
            ("0.0.0.0:2380", format!("127.0.0.1:{peer_port}")),
            ("shop-pd-0.shop-pd-peers.orders.svc:2379", format!("127.0.0.1:{client_port}")),
            ("shop-pd-0.shop-pd-peers.orders.svc:2380", format!("127.0.0.1:{peer_port}")),
            ("/var/lib/pd", directory.path().join("pd").display().to_string()),
            ("/etc/pd", directory.path().join("config").display().to_string()),
        ]
        .map(|(name, place)| (name.to_owned(), place))
        .into();
        config(world, "pd", directory.path()).await;
        let arguments = arguments(world, "shop-pd-0", &places).await;
        let mut pd = Process::start("pd", &variable("ORDERMILL_PD_SERVER"), directory.path(), arguments, &[]);
        let address: SocketAddr = format!("127.0.0.1:{client_port}").parse().unwrap();
        let client = ordermill_tests::process::client_builder().build().unwrap();
        until("PD leads", async || {
            pd.check();
            let answer = client.get(format!("http://{address}/pd/api/v1/leader")).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        let played = [format!("--pd={address}"), format!("--listen=127.0.0.1:{command_port}")];
        let stores = Process::start("stores", &variable("ORDERMILL_STORES"), directory.path(), played, &[]);
        proxy.lead("shop-pd.orders.svc:2379", address);
        let pd_url = format!("http://{address}/pd/api/v1");
        let commands = format!("http://127.0.0.1:{command_port}");
        Self { pd: pd_url, commands, client, _running: stores, _pd: pd, _directory: directory }
    }

    /// Tells the stores something.
    pub(crate) async fn tell(&self, command: &str) {
        until(command, async || {
            let answer = self.client.post(format!("{}/{command}", self.commands)).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// The store of a pod begins.
    pub(crate) async fn begin(&self, number: u32) {
        self.tell(&format!("start?address=shop-tikv-{number}.shop-tikv-peers.orders.svc:20160")).await;
    }

    /// What PD says.
    pub(crate) async fn pd(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/{path}", self.pd)).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    /// The stores of a pod, the first one first.
    async fn of_pod(&self, number: u32) -> Vec<Value> {
        let said = self.pd("stores?state=0&state=1&state=2").await;
        let stores = said["stores"].as_array().into_iter().flatten().map(|store| store["store"].clone());
        let of_pod = |store: &Value| store["address"].to_string().contains(&format!("shop-tikv-{number}."));
        let mut stores: Vec<Value> = stores.filter(of_pod).collect();
        stores.sort_by_key(|store| store["id"].as_u64());
        stores
    }

    /// Their states.
    pub(crate) async fn states(&self, number: u32) -> Vec<String> {
        let stores = self.of_pod(number).await;
        stores.iter().map(|store| store["state_name"].as_str().unwrap().to_owned()).collect()
    }

    /// What PD was told of where they are, as NAME=VALUE.
    pub(crate) async fn labels(&self, number: u32) -> BTreeSet<String> {
        let stores = self.of_pod(number).await;
        let labels = stores.iter().flat_map(|store| store["labels"].as_array().into_iter().flatten());
        labels.map(|label| format!("{}={}", label["key"].as_str().unwrap(), label["value"].as_str().unwrap())).collect()
    }

    /// The stores that PD lets lead nothing.
    pub(crate) async fn evicted(&self) -> BTreeSet<String> {
        let said = self.pd("scheduler-config/evict-leader-scheduler/list").await;
        said["store-id-ranges"].as_object().into_iter().flat_map(|stores| stores.keys().cloned()).collect()
    }
}

/// A cluster of two members on one PD and so many stores.
pub(crate) fn spec(stores: i32, config: &str) -> Value {
    let volume = json!({"size": "1Gi"});
    json!({
        "replicas": 2, "initialShards": 2, "upgrade": {"watchSeconds": 0},
        "storage": {"tikv": {"managed": {
            "allowUnsafeReplicas": true,
            "pd": {"replicas": 1, "volume": volume, "config": "[schedule]\npatrol-region-interval = \"10ms\"\n"},
            "tikv": {"replicas": stores, "volume": volume, "config": config},
        }}},
    })
}

/// Everything of it with four stores, until it runs.
pub(crate) async fn begin_with(world: &World, proxy: &Proxy, spec: Value) -> Stores {
    apply(&world.client, ORDERS, &cluster("shop", spec)).await.unwrap();
    let stores = Stores::start(world, proxy).await;
    until("TiKV has pods", async || world.api::<Pod>(ORDERS).get_opt("shop-tikv-3").await.unwrap()).await;
    for number in 0..4 {
        stores.begin(number).await;
    }
    // As many moves as there may be: what is tested is not PD's patience.
    let rate = stores.client.post(format!("{}/stores/limit", stores.pd)).json(&json!({"rate": 5_000}));
    assert!(rate.send().await.unwrap().status().is_success());
    world.becomes("shop", "Running").await;
    until("regions are divided", async || told(world).await.division.filter(|division| division.done)).await;
    stores
}

pub(crate) async fn told(world: &World) -> StoreStatus {
    world.kubelet("shop").await;
    let cluster = world.api::<OrderCluster>(ORDERS).get("shop").await.unwrap();
    cluster.status.and_then(|status| status.store).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_leaves_through_pd_stays_when_it_is_wanted_again_and_is_refused_without_headroom() {
    let (mut control_plane, world, proxy) = World::start_with_members().await;
    let operator = Operator::start_through(&control_plane, "only", &proxy);
    let stores = begin_with(&world, &proxy, spec(4, "")).await;
    let ask = async |stores: i32| drop(apply(&world.client, ORDERS, &cluster("shop", spec(stores, ""))).await.unwrap());
    let pods = async || world.set("shop-tikv").await.unwrap().spec.unwrap().replicas.unwrap();
    let claims = world.api::<PersistentVolumeClaim>(ORDERS);

    // Regions end at the bounds of shards, and stay so.
    let regions = stores.client.get(format!("{}/regions", stores.commands)).send().await.unwrap().text().await.unwrap();
    let regions: Vec<Value> = serde_json::from_str(&regions).unwrap();
    let starts: Vec<&str> = regions.iter().map(|region| region["start"].as_str().unwrap()).collect();
    // Journals of shards 0 and 1, rows from slots 0 and 32,768, and what comes behind.
    let bounds = [
        "6a00000001000000ff0000000000000000f8",
        "6a00000001000000ff0100000000000000f8",
        "7200000001000000fe",
        "7200000001800000fe",
        "7400000001000000fc",
    ];
    assert!(bounds.iter().all(|bound| starts.contains(bound)), "{starts:?}");
    let rule = stores.pd("config/region-label/rule/ordermill").await;
    assert_eq!(rule["labels"][0], json!({"key": "merge_option", "value": "deny"}), "{rule}");

    // One is to leave, and is wanted again before it has.
    stores.tell("hold?held=true").await;
    ask(3).await;
    until("PD is asked", async || (stores.states(3).await == ["Offline"]).then_some(())).await;
    world.becomes("shop", "StoreLeaves").await;
    assert_eq!(told(&world).await.leaving.map(|leaving| leaving.pod), Some("shop-tikv-3".to_owned()));
    assert_eq!(pods().await, 4);
    ask(4).await;
    until("it stays", async || (stores.states(3).await == ["Up"]).then_some(())).await;
    world.becomes("shop", "Running").await;
    assert_eq!(told(&world).await.leaving, None);

    // Its pod goes when PD says that it is gone for good, with its volume, and with no other.
    ask(3).await;
    until("PD is asked again", async || (stores.states(3).await == ["Offline"]).then_some(())).await;
    assert_eq!(pods().await, 4);
    stores.tell("hold?held=false").await;
    until("its pod is gone", async || {
        world.kubelet("shop").await;
        world.api::<Pod>(ORDERS).get_opt("shop-tikv-3").await.unwrap().is_none().then_some(())
    })
    .await;
    assert_eq!((pods().await, stores.states(3).await), (3, vec!["Tombstone".to_owned()]));
    world.becomes("shop", "Running").await;
    let gone = async || claims.get_opt("data-shop-tikv-3").await.unwrap().is_none().then_some(());
    until("its volume is gone", gone).await;
    assert!(claims.get("data-shop-tikv-2").await.unwrap().metadata.deletion_timestamp.is_none());

    // Three copies need three stores.
    ask(2).await;
    let refused = world.becomes("shop", "NoHeadroom").await.status.unwrap();
    let condition = refused.conditions.iter().find(|condition| condition.type_ == "StoresSettled").unwrap();
    assert!(condition.message.contains("without shop-tikv-2 2 stores would be up"), "{condition:?}");
    assert_eq!((pods().await, stores.states(2).await), (3, vec!["Up".to_owned()]));
    let warned = async || {
        let events = world.api::<Event>(ORDERS).list(&ListParams::default()).await.unwrap();
        let mut events = events.into_iter().filter(|event| event.reason.as_deref() == Some("NoHeadroom"));
        events.find(|event| event.type_.as_deref() == Some("Warning")).map(drop)
    };
    until("an event says so", warned).await;
    world.is_left_alone(&control_plane).await;

    // More come back as others.
    ask(4).await;
    until("its pod is back", async || world.api::<Pod>(ORDERS).get_opt("shop-tikv-3").await.unwrap()).await;
    stores.begin(3).await;
    world.becomes("shop", "Running").await;
    assert_eq!(stores.states(3).await, ["Tombstone", "Up"]);
    assert!(control_plane.audit().forbidden().is_empty(), "{:?}", control_plane.audit().forbidden());
    assert!(operator.stop());
    control_plane.check();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_gives_its_leaders_away_before_it_starts_anew_and_none_is_left_without() {
    let (mut control_plane, world, proxy) = World::start_with_members().await;
    let first = Operator::start_through(&control_plane, "first", &proxy);
    let stores = begin_with(&world, &proxy, spec(4, "")).await;
    let ask = async |config: &str| drop(apply(&world.client, ORDERS, &cluster("shop", spec(4, config))).await.unwrap());
    let uids = async || -> Vec<String> {
        let pods = world.pods("shop").await;
        let mut pods: Vec<_> = pods.iter().filter(|pod| pod.name_any().starts_with("shop-tikv-")).collect();
        pods.sort_by_key(|pod| pod.name_any());
        pods.into_iter().map(|pod| pod.uid().unwrap()).collect()
    };
    let before = uids().await;

    // The last is asked to lead nothing, and the operator is ended just then; then nobody wants it any more.
    stores.tell("hold?held=true").await;
    ask("[log]\nlevel = \"warn\"\n").await;
    until("one is asked, or had nothing to give", async || {
        let restart = told(&world).await.restart;
        (restart.is_some() && !stores.evicted().await.is_empty()).then_some(())
    })
    .await;
    let held = uids().await;
    assert!(first.stop());
    ask("").await;
    assert_eq!(stores.evicted().await.len(), 1);
    let second = Operator::start_through(&control_plane, "second", &proxy);
    until("it may lead again", async || {
        (stores.evicted().await.is_empty() && told(&world).await.restart.is_none()).then_some(())
    })
    .await;
    stores.tell("hold?held=false").await;
    world.becomes("shop", "Running").await;
    assert_eq!(held[0], before[0], "the first is never the first to go");
    let before = uids().await;

    // One after the other, each without leaders; in the end all may lead.
    ask("[log]\nlevel = \"error\"\n").await;
    let mut asked = BTreeSet::new();
    until("all are made anew", async || {
        asked.extend(told(&world).await.restart.map(|restart| restart.pod));
        let now = uids().await;
        (now.len() == 4 && now.iter().all(|uid| !before.contains(uid))).then_some(())
    })
    .await;
    world.becomes("shop", "Running").await;
    assert!(!asked.is_empty());
    assert_eq!((stores.evicted().await.len(), told(&world).await.restart), (0, None));
    assert!(control_plane.audit().forbidden().is_empty(), "{:?}", control_plane.audit().forbidden());
    assert!(second.stop());

    // Nothing is asked for that is so already: a life that made a change would end here.
    proxy.lives(&Life::default());
    let asker = Asker::new(Some(&proxy.url()), Tenure::endless()).unwrap();
    let pd = Pd::at(&asker, "shop-pd.orders.svc:2379");
    let leads = pd.look().await.unwrap().stores[0].id;
    timeout(LONG, pd.let_lead(leads)).await.expect("no change is made").unwrap();
    control_plane.check();
}
