//! Members on one PD and store, from outside: what is read without the owner of a shard, who lets old
//! versions go, and who may not join.

use std::sync::Arc;
use std::time::Duration;

use ordermill_api::{Item, ProblemKind};
use ordermill_journal::FORMAT;
use ordermill_members::Map;
use ordermill_station::clock;
use ordermill_store::Store as _;
use ordermill_tests::cluster::Cluster;
use ordermill_tests::process::{Http, Server, Settings, problem, until};
use ordermill_transactional::{Config, Transactional};
use parking_lot::Mutex;
use serde_json::json;

const SHARDS: u32 = 4;
/// Items: enough for each member to own the shard of some.
const ITEMS: usize = 12;

async fn member(cluster: &Cluster, name: &str) -> Server {
    Server::start(Settings::member(&cluster.pd_endpoints(), name, SHARDS).with(&["--drive-gc"])).await
}

/// An item as of the last flush, and its age in seconds; none while it is not there.
async fn stale(http: &Http, number: usize) -> Option<(Item, u64)> {
    let answer = http.get(&format!("/v1/items/sku-{number}?consistency=stale")).await;
    match answer.status {
        200 => Some((answer.json(), answer.header("age").parse().expect("seconds"))),
        404 => None,
        other => panic!("{other}: {}", answer.body),
    }
}

/// Sets all items.
async fn set(http: &Http, on_hand: u64) {
    for number in 0..ITEMS {
        until("a set item", async || {
            let answer = http.put(&format!("/v1/items/sku-{number}"), &json!({"on_hand": on_hand})).await;
            if answer.status < 300 { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }
}

/// Reads all items until all are as they were set and lack nothing. Says the ages of each until then.
async fn watch(http: &Http, on_hand: u64) -> Vec<Vec<u64>> {
    let seen = Mutex::new(([0; ITEMS], vec![Vec::new(); ITEMS]));
    until("the last flush", async || {
        let mut open = Vec::new();
        for number in 0..ITEMS {
            let Some((item, age)) = stale(http, number).await else {
                open.push(format!("no sku-{number}"));
                continue;
            };
            let (versions, ages) = &mut *seen.lock();
            assert!(item.version >= versions[number], "{item:?} after version {}", versions[number]);
            versions[number] = item.version;
            if item.on_hand != on_hand {
                assert!(ages[number].last().is_none_or(|last| age >= *last), "{age} after {:?}", ages[number]);
                ages[number].push(age);
                ages[number].dedup();
            }
            if item.on_hand != on_hand || age > 0 {
                open.push(format!("{item:?}, {age} s old"));
            }
        }
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
    })
    .await;
    seen.into_inner().1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_read_needs_no_owner_and_tells_its_age() {
    let cluster = Cluster::start().await;
    let (one, other) = (member(&cluster, "one").await, member(&cluster, "other").await);
    let http = other.http();
    set(&one.http(), 1).await;
    watch(&http, 1).await;
    let unknown = http.get("/v1/items/sku-1?consistency=some").await;
    assert_eq!(problem(&unknown), ProblemKind::InvalidRequest);
    assert_eq!(http.get("/v1/items/sku-1").await.header("age"), "", "what is no stale read has no age");
    set(&one.http(), 2).await;
    one.pause();
    let ages = watch(&http, 2).await;
    println!("ages until the flush: {ages:?}");
    let rose = |ages: &Vec<u64>| ages.first().zip(ages.last()).is_some_and(|(first, last)| first < last);
    assert!(ages.iter().any(rose), "{ages:?}");
    one.resume();
    other.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_coordinator_alone_lets_old_versions_go() {
    let cluster = Cluster::start().await;
    let mut first = member(&cluster, "first").await;
    let second = member(&cluster, "second").await;
    let times = async |server: &Server| server.http().measured("ordermill_store_garbage_collections_total").await;
    let collected = async |server: &Server| match times(server).await {
        Some(1.0..) => cluster.safe_point_ms().await.and_then(|at| at.ok_or_else(|| "no safe point".to_owned())),
        other => Err(format!("{other:?}")),
    };
    let before = until("old versions to go", async || collected(&first).await).await;
    let now = clock::System::shared().now_ms();
    let lag = Duration::from_millis(now - before);
    assert!(lag >= Duration::from_mins(59) && lag < Duration::from_mins(65), "{lag:?}");
    assert_eq!(times(&second).await, Some(0.0));
    // Whoever coordinates next goes on with it.
    first.kill().await;
    let later = async || match cluster.safe_point_ms().await? {
        Some(at) if at > before => Ok(()),
        other => Err(format!("{other:?}, and it was {before}")),
    };
    until("the safe point to move on", later).await;
    until("the second member's turn", async || collected(&second).await).await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_does_not_know_the_stores_format_ends_and_says_why() {
    let cluster = Cluster::start().await;
    let store = Transactional::new(Config::new(1, 7), Arc::new(cluster.client().await), clock::System::shared());
    let newer = Map::first(SHARDS, FORMAT + 1).encode();
    assert!(store.compare_and_set("map", None, newer).await.expect("the store answers"));
    let ended = Server::try_start(Settings::member(&cluster.pd_endpoints(), "old", SHARDS)).await;
    let ended = ended.expect_err("it may not join");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let why = format!(
        "this process cannot join the cluster: the store is in format {}; this build reads and writes formats \
         {FORMAT} to {FORMAT}",
        FORMAT + 1
    );
    assert!(ended.stderr.contains(&why), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_store_has_moved_on_to_a_newer_format_ends_and_says_why() {
    let cluster = Cluster::start().await;
    let (mut first, old) = (member(&cluster, "first").await, member(&cluster, "old").await);
    let service = Arc::new(cluster.client().await);
    let store = Transactional::new(Config::new(1, 7), service, clock::System::shared());
    // As a newer build would, once everybody seemed to be new.
    until("the newer format", async || {
        let bytes = store.load("map").await.map_err(|error| error.to_string())?.expect("there is a map");
        let mut map = Map::decode(&bytes).expect("it can be read");
        (map.format, map.version) = (FORMAT + 1, map.version + 1);
        let done = store.compare_and_set("map", Some(bytes), map.encode()).await.map_err(|error| error.to_string())?;
        if done { Ok(()) } else { Err("another map was written meanwhile".to_owned()) }
    })
    .await;
    // Whoever coordinates next begins with the map that is there.
    first.kill().await;
    let ended = old.ended().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let why = format!("this process can be a member no longer: the store is in format {}", FORMAT + 1);
    assert!(ended.stderr.contains(&why), "{ended:?}");
}
