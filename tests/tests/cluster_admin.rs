//! What administrators do to three members on one PD and store, over any of them, while orders are placed:
//! shards are moved and split, a member is drained and taken back, another one joins. No request fails.

use std::collections::BTreeSet;
use std::time::Duration;

use ordermill_api::{
    Cluster as Whole, ClusterChange, ClusterMember, ClusterShard, EventPage, FormatChange, MemberList, MemberState,
    Problem, ProblemKind, RebalancingPolicy, ShardPage, ShardState,
};
use ordermill_journal::FORMAT;
use ordermill_tests::cluster::Cluster;
use ordermill_tests::load::Load;
use ordermill_tests::members::Members;
use ordermill_tests::process::feed::{check_complete, events};
use ordermill_tests::process::{Http, Orderctl, audit, in_time, problem, until};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const MEMBERS: usize = 3;
const SHARDS: usize = 12;
const CUSTOMERS: usize = 6;

async fn start() -> Members {
    Members::start(Cluster::named_or_start().await, MEMBERS, SHARDS as u32).await
}

async fn members(http: &Http) -> Vec<ClusterMember> {
    http.get("/v1/cluster/members").await.expect(200).json::<MemberList>().members
}

async fn shards(http: &Http) -> Vec<ClusterShard> {
    let page: ShardPage = http.get("/v1/cluster/shards").await.expect(200).json();
    assert_eq!((page.shards.len(), page.next_page_token), (SHARDS, None));
    page.shards
}

/// Waits until a shard was split and its children are served; says which they are.
async fn was_split(http: &Http, shard: u32) -> Vec<u32> {
    until("a shard that was split", || async {
        let page: ShardPage = http.get("/v1/cluster/shards").await.expect(200).json();
        let served = |one: &&ClusterShard| one.split_from == Some(shard) && one.state == ShardState::Serving;
        let children: Vec<u32> = page.shards.iter().filter(served).map(|one| one.shard).collect();
        if children.len() == 2 { Ok(children) } else { Err(format!("{:#?}", page.shards)) }
    })
    .await
}

async fn change(http: &Http, path: &str, body: &Value) -> ClusterChange {
    http.post(path, body, &[]).await.expect(200).json()
}

/// Waits until so many members serve all shards, as evenly as can be, and says who.
async fn even(http: &Http, count: usize) -> Vec<ClusterMember> {
    until("shards that are spread evenly and served", || async {
        let members = members(http).await;
        let (least, most) = (SHARDS / count, SHARDS.div_ceil(count));
        let serving = members.iter().filter(|member| member.state == MemberState::Serving);
        let fair = serving.filter(|member| (least..=most).contains(&(member.shards as usize))).count();
        let served = shards(http).await.iter().all(|shard| shard.state == ShardState::Serving);
        if fair == count && served { Ok(members) } else { Err(format!("{members:#?}")) }
    })
    .await
}

/// Customers who place orders one after the other; a refusal fails the test.
struct Customers {
    stop: watch::Sender<bool>,
    placed: watch::Receiver<usize>,
    /// Each says how long its slowest request took.
    all: Vec<JoinHandle<Duration>>,
}

impl Customers {
    async fn start(http: &Http) -> Self {
        http.put("/v1/items/plenty", &json!({"on_hand": 1_000_000})).await.expect(201);
        let (stop, stopped) = watch::channel(false);
        let (count, placed) = watch::channel(0);
        let all = (0..CUSTOMERS).map(|customer| {
            let (http, stopped, count) = (http.clone(), stopped.clone(), count.clone());
            tokio::spawn(async move {
                let (mut number, mut slowest) = (0, Duration::ZERO);
                while !*stopped.borrow() {
                    let customer = format!("c-{customer}-{number}");
                    let price = json!({"amount": 255, "currency": "GBP"});
                    let line = json!({"sku": "plenty", "quantity": 1, "unit_price": price});
                    let began = Instant::now();
                    http.post("/v1/orders", &json!({"customer": customer, "lines": [line]}), &[]).await.expect(201);
                    slowest = slowest.max(began.elapsed());
                    number += 1;
                    count.send_modify(|count| *count += 1);
                }
                slowest
            })
        });
        Self { stop, placed, all: all.collect() }
    }

    /// Waits for so many more orders.
    async fn more(&self, count: usize) {
        assert!(!self.all.iter().any(JoinHandle::is_finished), "a request has failed: see above");
        let mut placed = self.placed.clone();
        let target = *placed.borrow() + count;
        let reached = placed.wait_for(|placed| *placed >= target);
        in_time("more orders", reached).await.expect("the customers are at work");
    }

    /// Lets them finish; says how many orders there are.
    async fn finish(self) -> usize {
        self.stop.send_replace(true);
        let mut slowest = Duration::ZERO;
        for customer in self.all {
            let longest = in_time("a customer's last order", customer).await.expect("no request has failed");
            slowest = slowest.max(longest);
        }
        println!("the slowest request took {slowest:.1?}");
        *self.placed.borrow()
    }
}

/// Whoever asks members whether they are ready, again and again.
struct Ready {
    stop: watch::Sender<bool>,
    asking: Vec<JoinHandle<Vec<String>>>,
}

impl Ready {
    fn watch(all: &Members) -> Self {
        let (stop, stopped) = watch::channel(false);
        let ask = |http: Http, stopped: watch::Receiver<bool>| async move {
            let mut refusals = Vec::new();
            while !*stopped.borrow() {
                let answer = http.get("/readyz").await;
                if answer.status != 200 {
                    refusals.push(answer.body);
                }
                sleep(Duration::from_millis(10)).await;
            }
            refusals
        };
        let asking = all.servers.iter().map(|server| tokio::spawn(ask(server.http(), stopped.clone()))).collect();
        Self { stop, asking }
    }

    /// What those said that were not.
    async fn refusals(self) -> Vec<String> {
        self.stop.send_replace(true);
        let mut all = Vec::new();
        for asking in self.asking {
            all.extend(in_time("the last answer", asking).await.expect("every member answers"));
        }
        all
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_are_moved_and_members_drained_and_taken_back_and_no_request_fails() {
    let all = start().await;
    let http = all.http();
    let three = even(&http, MEMBERS).await;
    let customers = Customers::start(&http).await;
    customers.more(50).await;

    // Every member says the same of the cluster.
    let mut said = BTreeSet::new();
    for server in &all.servers {
        let whole: Whole = server.http().get("/v1/cluster").await.expect(200).json();
        said.insert((whole.coordinator.expect("somebody coordinates").member, whole.members, whole.shards));
    }
    assert_eq!(said.len(), 1, "{said:?}");
    let coordinators: Vec<_> = three.iter().filter(|member| member.coordinator).map(|one| &one.member).collect();
    assert_eq!(coordinators, [&said.first().expect("one answer").0]);
    assert!(three.iter().all(|member| member.heard_ms_ago.is_some() && member.load.is_some()), "{three:#?}");

    // Who takes a shard over, or hands one over, is not called unready: a balancer would leave it out.
    let ready = Ready::watch(&all);

    // A shard of each member goes to the next one, which any member is told; by name, and by incarnation.
    for (at, from) in three.iter().enumerate() {
        let to = &three[(at + 1) % MEMBERS];
        let owned = |shard: &ClusterShard| shard.owner.as_ref() == Some(&from.member);
        let shard = shards(&http).await.into_iter().find(owned).expect("every member has shards").shard;
        let named = if at == 0 { &to.member } else { &to.name };
        let moved = change(&http, &format!("/v1/cluster/shards/{shard}/move"), &json!({"to": named})).await;
        until("the shard to be served by its new owner", || async {
            let page: ShardPage = http.get("/v1/cluster/shards").await.expect(200).json();
            let there = page.shards.into_iter().find(|one| one.shard == shard).expect("shards stay");
            let served = there.state == ShardState::Serving && there.owner.as_ref() == Some(&to.member);
            let told = there.journal.as_ref().is_some_and(|journal| journal.last >= journal.epoch && journal.epoch > 0);
            if served && told && page.map_version >= moved.map_version { Ok(()) } else { Err(format!("{there:?}")) }
        })
        .await;
        customers.more(20).await;
    }

    assert_eq!(ready.refusals().await, Vec::<String>::new());

    // A drained member is empty, stays so, and is taken back.
    let drained = three.iter().find(|member| member.coordinator).expect("somebody coordinates");
    let path = |action: &str| format!("/v1/cluster/members/{}/{action}", drained.name);
    change(&http, &path("drain"), &json!({})).await;
    until("an empty member", || async {
        let members = members(&http).await;
        let one = members.into_iter().find(|one| one.member == drained.member).expect("it is a member still");
        if one.state == MemberState::Drained && one.shards == 0 { Ok(()) } else { Err(format!("{one:?}")) }
    })
    .await;
    customers.more(50).await;
    let shard = shards(&http).await.remove(0).shard;
    let refused = http.post(&format!("/v1/cluster/shards/{shard}/move"), &json!({"to": drained.name}), &[]).await;
    assert_eq!(problem(&refused), ProblemKind::ClusterConflict);
    change(&http, &path("uncordon"), &json!({})).await;
    even(&http, MEMBERS).await;
    change(&http, &path("cordon"), &json!({})).await;
    let cordoned = members(&http).await.into_iter().find(|one| one.member == drained.member).map(|one| one.state);
    assert_eq!(cordoned, Some(MemberState::Cordoned));
    change(&http, "/v1/cluster/rebalance", &json!({})).await;

    // What there is not is said to be so.
    for (path, body) in [
        ("/v1/cluster/members/nobody/drain".to_owned(), json!({})),
        ("/v1/cluster/members/00000000000000aa/cordon".to_owned(), json!({})),
        (format!("/v1/cluster/shards/{shard}/move"), json!({"to": "nobody"})),
    ] {
        assert_eq!(problem(&http.post(&path, &body, &[]).await), ProblemKind::NotFound, "{path}");
    }
    let refused = http.post("/v1/cluster/shards/999/move", &json!({"to": three[0].name}), &[]).await;
    assert_eq!(problem(&refused), ProblemKind::NotFound);

    customers.more(20).await;
    let placed = customers.finish().await;
    assert_eq!(http.orders().await.len(), placed);
    audit(&all.servers[0].url()).await;
    all.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_joins_is_given_shards_and_the_command_line_shows_it() {
    let mut all = start().await;
    let http = all.http();
    even(&http, MEMBERS).await;
    let customers = Customers::start(&http).await;
    customers.more(50).await;
    // Paused, it is given none, whoever plans; that stays, and is shown.
    let paused = Orderctl::run(&all.servers[0].url(), &["cluster", "rebalancing", "--policy", "paused"]).await.well();
    let version = paused.json()[0]["map_version"].as_u64().expect("a version");
    all.join().await;
    // The map that has it first would give it shards, too.
    let joined = until("the one that joins", async || {
        let all = members(&http).await;
        all.iter().find(|one| one.name == "member-3").cloned().ok_or_else(|| format!("{all:?}"))
    })
    .await;
    let cluster: Whole = http.get("/v1/cluster").await.expect(200).json();
    assert!(cluster.map_version > version && cluster.shards_moving == 0, "{cluster:?}");
    assert_eq!((joined.shards, cluster.rebalancing.policy), (0, RebalancingPolicy::Paused));
    let refused = http.post("/v1/cluster/rebalance", &json!({}), &[]).await;
    assert_eq!(problem(&refused), ProblemKind::ClusterConflict);
    change(&http, "/v1/cluster/rebalancing", &json!({"policy": "load", "moves_at_once": 2})).await;
    let four = even(&http, MEMBERS + 1).await;
    let cluster: Whole = http.get("/v1/cluster").await.expect(200).json();
    assert_eq!((cluster.rebalancing.policy, cluster.rebalancing.moves_at_once), (RebalancingPolicy::Load, 2));
    customers.more(50).await;

    let url = all.servers[3].url();
    let ctl = async |arguments: &[&str]| Orderctl::run(&url, &[&["cluster"], arguments].concat()).await.well();
    let listed: BTreeSet<_> = ctl(&["members"]).await.json().iter().map(|one| one["name"].to_string()).collect();
    assert_eq!(listed, four.iter().map(|one| json!(one.name).to_string()).collect());
    let table = ctl(&["members", "--output", "table"]).await.stdout;
    assert_eq!(table.lines().count(), 1 + four.len(), "{table}");
    let paged = ctl(&["shards", "--all", "--page-size", "5"]).await.json();
    assert_eq!(paged.iter().map(|one| one["shard"].as_u64()).collect::<BTreeSet<_>>().len(), SHARDS);
    let status = ctl(&["status"]).await.json().remove(0);
    assert_eq!((&status["members"], &status["shards"]), (&json!(4), &json!(SHARDS)));

    let (first, newest) =
        (paged[0]["shard"].to_string(), &four.iter().find(|one| one.name == "member-3").expect("it joined").member);
    ctl(&["move", &first, "--to", "member-3"]).await;
    until("the shard at the newest member", || async {
        let shard = shards(&http).await.into_iter().find(|one| one.shard.to_string() == first).expect("shards stay");
        if shard.owner.as_ref() == Some(newest) { Ok(()) } else { Err(format!("{shard:?}")) }
    })
    .await;
    for action in ["drain", "uncordon", "cordon", "uncordon"] {
        assert!(ctl(&[action, "member-1"]).await.json()[0]["map_version"].as_u64() > Some(0));
    }
    ctl(&["rebalance"]).await;

    // Every build knows one format, the store's: that is shown, granted again, and no other one is.
    let cluster: Whole = http.get("/v1/cluster").await.expect(200).json();
    assert_eq!((cluster.format, cluster.format_max), (FORMAT, FORMAT));
    let shown: BTreeSet<_> = cluster.member_formats.iter().map(|one| (&one.member, one.format_max)).collect();
    assert_eq!(shown, four.iter().map(|one| (&one.member, FORMAT)).collect());
    let known = ctl(&["format"]).await.json().remove(0);
    assert_eq!((&known["format"], known["member_formats"].as_array().map(Vec::len)), (&json!(FORMAT), Some(4)));
    let again: FormatChange = http.post("/v1/cluster/format", &json!({"format": FORMAT}), &[]).await.expect(200).json();
    assert_eq!((again.format, again.raised), (FORMAT, false));
    assert_eq!(ctl(&["format", "--raise", &FORMAT.to_string()]).await.json()[0]["raised"], json!(false));
    let refused = http.post("/v1/cluster/format", &json!({"format": FORMAT + 1}), &[]).await;
    assert_eq!(problem(&refused), ProblemKind::ClusterConflict);
    let (why, first) = (refused.json::<Problem>().detail, &cluster.member_formats[0]);
    let named = format!("is not known to the build of {} ({}: formats {FORMAT} to", first.name, first.member);
    assert!(why.starts_with(&format!("format {} {named}", FORMAT + 1)) && why.ends_with(", and of 1 more"), "{why}");
    let refused = Orderctl::run(&url, &["cluster", "format", "--raise", &(FORMAT + 1).to_string()]).await;
    assert!(refused.code == Some(1) && refused.stderr.contains(&named), "{}", refused.stderr);

    let nobody = Orderctl::run(&url, &["cluster", "drain", "nobody"]).await;
    assert_eq!((nobody.code, &*nobody.stdout), (Some(1), ""));
    assert!(nobody.stderr.contains("there is no member \"nobody\""), "{}", nobody.stderr);

    customers.more(50).await;
    let placed = customers.finish().await;
    assert_eq!(http.orders().await.len(), placed);
    audit(&url).await;
    all.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_are_split_and_no_request_fails_and_the_feed_goes_on() {
    let all = start().await;
    let http = all.http();
    even(&http, MEMBERS).await;
    let customers = Customers::start(&http).await;
    customers.more(50).await;
    let EventPage { events: seen, next: cursor } = http.get("/v1/events?limit=30").await.expect(200).json();
    assert_eq!(seen.len(), 30);

    // Asked of any member, in the middle and elsewhere; asked again it is the same.
    let first = shards(&http).await;
    let (one, other) = (&first[3], &first[8]);
    let path = |shard: u32| format!("/v1/cluster/shards/{shard}/split");
    let began = Instant::now();
    change(&http, &path(one.shard), &json!({})).await;
    let halves = was_split(&http, one.shard).await;
    println!("split after {:.1?}", began.elapsed());
    customers.more(20).await;
    let (url, at) = (all.servers[1].url(), other.first_slot + 9);
    let named = [other.shard.to_string(), at.to_string()];
    let split = Orderctl::run(&url, &["cluster", "split", &named[0], "--at", &named[1]]).await.well();
    assert!(split.json()[0]["map_version"].as_u64() > Some(0));
    let parts = was_split(&http, other.shard).await;
    change(&http, &path(halves[1]), &json!({})).await;
    was_split(&http, halves[1]).await;
    customers.more(50).await;
    let page: ShardPage = http.get("/v1/cluster/shards").await.expect(200).json();
    assert_eq!(page.shards.len(), SHARDS + 3);
    let slots = |shard: u32| {
        let found = page.shards.iter().find(|one| one.shard == shard).expect("it is there");
        (found.first_slot, found.last_slot)
    };
    assert_eq!(
        parts.iter().map(|part| slots(*part)).collect::<Vec<_>>(),
        [(other.first_slot, at - 1), (at, other.last_slot)]
    );
    let version = page.map_version;
    let again = change(&http, &path(one.shard), &json!({})).await;
    assert!(again.map_version >= version);
    for (shard, body, kind) in [
        (one.shard, json!({"at": one.first_slot + 1}), ProblemKind::ClusterConflict),
        (parts[0], json!({"at": at}), ProblemKind::ClusterConflict),
        (999, json!({}), ProblemKind::NotFound),
    ] {
        assert_eq!(problem(&http.post(&path(shard), &body, &[]).await), kind, "{shard} {body}");
    }

    customers.more(20).await;
    let placed = customers.finish().await;
    let orders = http.orders().await;
    assert_eq!(orders.len(), placed);
    // Whoever followed the feed from before the splits, and whoever reads it anew, has seen all, once.
    let rest = events(&http, Some(&cursor), 50).await;
    check_complete(&[&seen[..], &rest].concat(), &orders);
    check_complete(&events(&http, None, 1_000).await, &orders);
    audit(&url).await;
    all.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_whose_owner_is_killed_in_the_middle_is_carried_out_by_others() {
    let seed = ordermill_tests::seed();
    println!("ORDERMILL_SEED={seed}");
    let mut all = start().await;
    let http = all.http();
    let members = even(&http, MEMBERS).await;
    let load = Load::start(http.clone(), CUSTOMERS, seed).await;
    for (number, after_ms) in [0, 15, 60].into_iter().enumerate() {
        load.more(100).await;
        let page: ShardPage = http.get("/v1/cluster/shards").await.expect(200).json();
        let name = format!("member-{number}");
        let owned = |one: &&ClusterShard| one.owner_name.as_ref() == Some(&name) && one.split_from.is_none();
        let shard = page.shards.iter().find(owned).expect("every member has shards").shard;
        let others = Http::among(&all.urls_but(Some(number)));
        change(&others, &format!("/v1/cluster/shards/{shard}/split"), &json!({})).await;
        sleep(Duration::from_millis(after_ms)).await;
        all.servers[number].kill().await;
        let began = Instant::now();
        was_split(&others, shard).await;
        println!("{name} killed {after_ms} ms after it was asked: split after {:.1?}", began.elapsed());
        load.more(50).await;
        all.servers[number].restart().await;
    }
    assert_eq!(members.len(), MEMBERS);
    load.more(50).await;
    let books = load.finish().await;
    books.check_exactly(&http.orders().await, &http.items().await);
    audit(&all.servers[0].url()).await;
    all.stop().await;
}
