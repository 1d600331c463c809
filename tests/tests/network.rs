//! Three members, each on a machine of its own, a PD and a store on a fourth, and links between them that are
//! cut: whoever cannot hear whom, every shard is served again, and nothing that was acknowledged is lost or
//! there twice.
//!
//! The machines are network namespaces: these tests need root.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join_all, select_all};
use ordermill_tests::cluster::Cluster;
use ordermill_tests::load::Load;
use ordermill_tests::network::Network;
use ordermill_tests::process::{Http, Server, Settings, audit, until};
use ordermill_tests::seed;
use serde_json::json;
use tokio::time::{Instant, timeout};

const MEMBERS: u8 = 3;
/// The machine of PD and the store.
const STORE: u8 = 3;
const SHARDS: u32 = 12;
/// Customers at work at the same time.
const CUSTOMERS: usize = 6;
/// How long a shard may be away after a member was cut off from everything: detected in 3.4 s at most
/// (docs/decisions/0008-members-and-ownership.md), taken over and read back; and what a machine that is busy
/// with all of this adds.
const AWAY_MAX: Duration = Duration::from_secs(20);

/// Longer than a member looks for a shard's owner before it refuses.
const REFUSED_AFTER: Duration = Duration::from_secs(7);

struct Machines {
    servers: Vec<Server>,
    /// PD and the store end with it.
    _cluster: Cluster,
    /// The last to go: what runs on it has ended by then.
    network: Network,
}

impl Machines {
    async fn start() -> Self {
        let network = Network::new(MEMBERS + 1);
        let cluster = Cluster::start_on(&network, STORE).await;
        let mut servers = Vec::new();
        for number in 0..MEMBERS {
            let listen = SocketAddr::new(network.address(number), 0);
            let name = format!("member-{number}");
            let mut settings = Settings::member_at(listen, &cluster.pd_endpoints(), &name, SHARDS);
            settings.namespace = Some(network.name(number));
            servers.push(Server::start(settings).await);
        }
        Self { servers, _cluster: cluster, network }
    }

    /// A client of these members, one after the other.
    fn http(&self, members: &[u8]) -> Http {
        Http::among(&members.iter().map(|member| self.servers[usize::from(*member)].url()).collect::<Vec<_>>())
    }
}

/// Places an order of a customer that is none of the load's.
async fn place(http: &Http, customer: usize) -> Result<(), String> {
    let lines = json!([{"sku": "plenty", "quantity": 1, "unit_price": {"amount": 255, "currency": "GBP"}}]);
    let body = json!({"customer": format!("waiting-{customer}"), "lines": lines});
    match http.try_post("/v1/orders", &body, &[]).await {
        Ok(answer) if answer.status == 201 => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Places orders of many customers through `http`, all at once, until all were accepted.
async fn everybody_is_served(http: Http) {
    let customers = (0..50).map(|customer| {
        let http = http.clone();
        async move { until("an accepted order", || place(&http, customer)).await }
    });
    join_all(customers).await;
}

/// Cuts, sees that within the limit one of those that are asked serves everybody, goes on for a while, mends,
/// and sees that each member serves everybody.
async fn survive(machines: &Machines, load: &Load, what: &str, asked: &[u8], cut: impl Fn(), mend: impl Fn()) {
    cut();
    let begun = Instant::now();
    select_all(asked.iter().map(|member| Box::pin(everybody_is_served(machines.http(&[*member]))))).await;
    let away = begun.elapsed();
    println!("{what}: everybody is served after {away:.1?}");
    assert!(away <= AWAY_MAX, "{what}: it took {away:?} until everybody was served");
    // Nobody who is asked all the same takes an order that is lost.
    for member in (0..MEMBERS).filter(|member| !asked.contains(member)) {
        let taken = timeout(REFUSED_AFTER, place(&machines.http(&[member]), 0)).await;
        assert!(!matches!(taken, Ok(Ok(()))), "{what}: member {member} has taken an order");
    }
    load.more(10).await;
    mend();
    join_all((0..MEMBERS).map(|member| everybody_is_served(machines.http(&[member])))).await;
    load.more(20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_links_lose_and_double_nothing() {
    let seed = seed();
    println!("ORDERMILL_SEED={seed}");
    let machines = Machines::start().await;
    let (network, all) = (&machines.network, machines.http(&[0, 1, 2]));
    all.put("/v1/items/plenty", &json!({"on_hand": 1_000_000})).await.expect(201);
    let load = Load::start(all.clone(), CUSTOMERS, seed).await;
    load.more(20).await;
    for member in 0..MEMBERS {
        let others: Vec<u8> = (0..MEMBERS).filter(|other| *other != member).collect();
        // Cut off from everything but the test, which still asks it.
        let from_all = || (0..=STORE).filter(|other| *other != member);
        let cut = || from_all().for_each(|other| network.cut(member, other));
        let mend = || from_all().for_each(|other| network.mend(member, other));
        survive(&machines, &load, &format!("member {member} is alone"), &others, cut, mend).await;
    }
    // What it sends reaches nobody; it hears everything.
    let from_all = || [0, 2, STORE].into_iter();
    let cut = || from_all().for_each(|other| network.cut_one_way(1, other));
    let mend = || from_all().for_each(|other| network.mend_one_way(1, other));
    survive(&machines, &load, "member 1 is heard by nobody", &[0, 2], cut, mend).await;
    // All of them see PD and the store, and could write.
    let pairs = || [(0, 1), (0, 2), (1, 2)].into_iter();
    let cut = || pairs().for_each(|(one, other)| network.cut(one, other));
    let mend = || pairs().for_each(|(one, other)| network.mend(one, other));
    survive(&machines, &load, "no member hears another", &[0, 1, 2], cut, mend).await;
    let (cut, mend) = (|| network.cut_one_way(0, 1), || network.mend_one_way(0, 1));
    survive(&machines, &load, "member 1 does not hear member 0", &[0, 1, 2], cut, mend).await;
    let what = "the cable of member 2 is pulled";
    survive(&machines, &load, what, &[0, 1], || network.unplug(2), || network.plug(2)).await;
    let books = load.finish().await;
    let (mut orders, mut items) = (all.orders().await, all.items().await);
    orders.retain(|order| !order.customer.as_deref().is_some_and(|customer| customer.starts_with("waiting-")));
    items.retain(|item| item.sku != "plenty");
    books.check_exactly(&orders, &items);
    audit(&machines.servers[0].url()).await;
    drop(machines);
}
