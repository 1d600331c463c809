//! Three members on one PD and store, and everything that goes wrong with processes, one thing after the other, under
//! one load: members are killed, stand still and are drained, PD and the store are killed and started again. What every
//! client asked and was told is one history, checked as that of a simulation is. How long each shard was away is
//! measured for each fault.

use std::collections::BTreeSet;
use std::time::Duration;

use ordermill_api::{ClusterShard, MemberList, MemberState, ShardPage, ShardState};
use ordermill_tests::cluster::Cluster;
use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::load::{Before, Outages};
use ordermill_tests::members::{Members, name};
use ordermill_tests::process::{Http, audit, until};
use ordermill_tests::seed;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

const MEMBERS: usize = 3;
const SHARDS: u32 = 12;
/// Customers at work at the same time.
const CUSTOMERS: usize = 6;
/// How long a shard may be away after its owner was killed, and from when PD and the store answer again.
const UNPLANNED: Duration = Duration::from_secs(3);
/// The same after its owner stands still: clients whose request it has wait for it in vain first, for 5 s.
const STANDS_STILL: Duration = Duration::from_secs(8);
/// How long an owner stands still.
const PAUSE: Duration = Duration::from_secs(10);

/// Sees that calls of the store that were made again are counted; shows how the outcomes of writes were resolved whose
/// calls did not say.
async fn tried_again(all: &Members) {
    let mut again = 0.0;
    for server in &all.servers {
        let http = server.http();
        for line in http.get("/metrics").await.body.lines().filter(|line| line.contains("_uncertain_total{")) {
            println!("{line}");
        }
        again += http.measured("ordermill_service_retries_total").await.unwrap_or_default();
    }
    assert!(again > 0.0, "the store was away, and no call was made again");
}

/// Waits until all shards are served, as many by each member, and so none will move; says which are whose.
async fn settled(all: &Members) -> Vec<BTreeSet<u32>> {
    let http = all.http();
    until("shards that are served, as many by each member", async || {
        let shards = shards(&http).await?;
        let of = |number: usize| {
            let mine = |shard: &&ClusterShard| shard.owner_name.as_deref() == Some(&name(number));
            shards.iter().filter(mine).map(|shard| shard.shard).collect::<BTreeSet<u32>>()
        };
        let all: Vec<_> = (0..MEMBERS).map(of).collect();
        let served = shards.iter().all(|shard| shard.state == ShardState::Serving);
        let even = all.iter().all(|mine| mine.len() == SHARDS as usize / MEMBERS);
        if served && even { Ok(all) } else { Err(format!("{shards:?}")) }
    })
    .await
}

async fn shards(http: &Http) -> Result<Vec<ClusterShard>, String> {
    let answer = http.send(http.request(reqwest::Method::GET, "/v1/cluster/shards")).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status == 200 { Ok(answer.json::<ShardPage>().shards) } else { Err(answer.body) }
}

/// Waits until more requests have failed: the fault is felt.
async fn felt(load: &Recorded) {
    let before = load.failed();
    until("requests that fail", async || if load.failed() > before + 20 { Ok(()) } else { Err(String::new()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_history_over_all_faults_keeps_every_promise() {
    let seed = seed();
    println!("ORDERMILL_SEED={seed}");
    let mut all = Members::start(Cluster::named_or_start().await, MEMBERS, SHARDS).await;
    let whole: BTreeSet<u32> = (0..SHARDS).collect();
    let mut outages = Outages::default();
    settled(&all).await;
    let load = Recorded::start(all.http(), CUSTOMERS, seed).await;
    load.more(100).await;

    if all.cluster.is_own() {
        all.cluster.kill_store().await;
        felt(&load).await;
        all.cluster.start_store().await;
        outages.note("the store was away, from its answer", &load, Before::now(), whole.clone(), UNPLANNED).await;
        load.more(50).await;
        tried_again(&all).await;
    }

    for number in 0..MEMBERS {
        let mine = settled(&all).await.swap_remove(number);
        load.ask(&all.urls_but(Some(number)));
        let before = Before::now();
        all.servers[number].kill().await;
        outages.note(&format!("kill -9 of member {number}"), &load, before, mine, UNPLANNED).await;
        load.more(30).await;
        all.servers[number].restart().await;
        load.ask(&all.urls_but(None));
    }

    // The others have gone on for long when it does, and it still knows the requests that it had.
    let mine = settled(&all).await.swap_remove(1);
    load.ask(&all.urls_but(Some(1)));
    let (before, resumed_at) = (Before::now(), Instant::now() + PAUSE);
    all.servers[1].pause();
    outages.note("SIGSTOP of member 1", &load, before, mine, STANDS_STILL).await;
    sleep_until(resumed_at).await;
    all.servers[1].resume();
    load.ask(&[all.servers[1].url()]);
    outages.note("SIGCONT, asked alone", &load, Before::now(), BTreeSet::new(), UNPLANNED).await;
    load.more(50).await;

    load.ask(&all.urls_but(None));
    settled(&all).await;
    planned(&all, &load).await;

    if all.cluster.is_own() {
        pd_is_away(&mut all, &load, &mut outages, &whole).await;
    } else {
        println!("PD and the stores are others': that they are killed is not tried on them");
    }

    settled(&all).await;
    let history = load.finish().await;
    println!("{}", outages.table());
    assert_kept(&history);
    audit(&all.servers[0].url()).await;
    all.stop().await;
}

/// Drains a member and takes it back: no request fails meanwhile, nor waits in vain.
async fn planned(all: &Members, load: &Recorded) {
    let http = all.http();
    let path = |action: &str| format!("/v1/cluster/members/{}/{action}", name(2));
    let before = load.failed();
    load.more(50).await;
    http.post(&path("drain"), &json!({}), &[]).await.expect(200);
    until("an empty member", async || {
        let members = http.get("/v1/cluster/members").await.expect(200).json::<MemberList>().members;
        let one = members.into_iter().find(|one| one.name == name(2)).ok_or_else(|| "it is no member".to_owned())?;
        if one.state == MemberState::Drained && one.shards == 0 { Ok(()) } else { Err(format!("{one:?}")) }
    })
    .await;
    load.more(50).await;
    http.post(&path("uncordon"), &json!({}), &[]).await.expect(200);
    settled(all).await;
    load.more(50).await;
    assert_eq!(load.failed(), before, "requests failed while shards were handed over");
}

/// Kills PD, and later PD and a member: whoever starts then knows no region, and nobody who could tell it of one.
async fn pd_is_away(all: &mut Members, load: &Recorded, outages: &mut Outages, whole: &BTreeSet<u32>) {
    all.cluster.kill_pd().await;
    felt(load).await;
    all.cluster.start_pd().await;
    outages.note("PD was away, from its answer", load, Before::now(), whole.clone(), UNPLANNED).await;
    load.more(50).await;

    all.cluster.kill_pd().await;
    let Members { cluster, servers, .. } = all;
    servers[0].kill().await;
    servers[0].restart_and_when_it_says("PD does not answer", cluster.start_pd()).await;
    load.ask(&[all.servers[0].url()]);
    outages.note("started without PD and regions", load, Before::now(), BTreeSet::new(), UNPLANNED).await;
    load.ask(&all.urls_but(None));
    load.more(50).await;
}
