//! Three members, each on a machine of its own, a PD and a store on a fourth, and links between them that are
//! cut: whoever cannot hear whom, every shard is served again, and nothing that was acknowledged is lost or
//! there twice.
//!
//! The machines are network namespaces: these tests need root.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ordermill_tests::cluster::Cluster;
use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::load::{Before, Outages};
use ordermill_tests::network::Network;
use ordermill_tests::process::{Http, Server, Settings, audit};
use ordermill_tests::seed;

const MEMBERS: u8 = 3;
/// The machine of PD and the store.
const STORE: u8 = 3;
const SHARDS: u32 = 12;
/// Customers at work at the same time.
const CUSTOMERS: usize = 6;
/// How long a shard may be away after a member was cut off from everything: detected in 3.4 s at most
/// (docs/decisions/0008-members-and-ownership.md), taken over and read back; and how long a client waits that has
/// asked somebody who has nobody to ask.
const UNPLANNED: Duration = Duration::from_secs(8);

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

    fn urls(&self, members: &[u8]) -> Vec<String> {
        members.iter().map(|member| self.servers[usize::from(*member)].url()).collect()
    }
}

/// Cuts, sees that within the limit those that are asked serve every shard, goes on for a while, mends, and sees that
/// each member serves every shard. All members are asked all the time by some: whatever one that is cut off takes
/// has to be there in the end.
async fn survive(
    machines: &Machines,
    load: &Recorded,
    outages: &mut Outages,
    (what, asked): (&str, &[u8]),
    (cut, mend): (impl Fn(), impl Fn()),
) {
    load.ask(&machines.urls(asked));
    let before = Before::now();
    cut();
    outages.note(what, load, before, (0..SHARDS).collect(), UNPLANNED).await;
    load.more(20).await;
    mend();
    for member in 0..MEMBERS {
        load.ask(&machines.urls(&[member]));
        outages.note(&format!("mended, member {member}"), load, Before::now(), BTreeSet::new(), UNPLANNED).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_links_lose_and_double_nothing() {
    let seed = seed();
    println!("ORDERMILL_SEED={seed}");
    let machines = Machines::start().await;
    let network = &machines.network;
    let load = Recorded::start(Http::among(&machines.urls(&[0, 1, 2])), CUSTOMERS, seed).await;
    let outages = &mut Outages::default();
    load.more(50).await;
    for member in 0..MEMBERS {
        let others: Vec<u8> = (0..MEMBERS).filter(|other| *other != member).collect();
        // Cut off from everything but the test, which still asks it.
        let from_all = || (0..=STORE).filter(|other| *other != member);
        let cut = || from_all().for_each(|other| network.cut(member, other));
        let mend = || from_all().for_each(|other| network.mend(member, other));
        survive(&machines, &load, outages, (&format!("member {member} is alone"), &others), (cut, mend)).await;
    }
    // What it sends reaches nobody; it hears everything.
    let from_all = || [0, 2, STORE].into_iter();
    let cut = || from_all().for_each(|other| network.cut_one_way(1, other));
    let mend = || from_all().for_each(|other| network.mend_one_way(1, other));
    survive(&machines, &load, outages, ("member 1 is heard by nobody", &[0, 2]), (cut, mend)).await;
    // All of them see PD and the store, and could write.
    let pairs = || [(0, 1), (0, 2), (1, 2)].into_iter();
    let cut = || pairs().for_each(|(one, other)| network.cut(one, other));
    let mend = || pairs().for_each(|(one, other)| network.mend(one, other));
    survive(&machines, &load, outages, ("no member hears another", &[0, 1, 2]), (cut, mend)).await;
    let (cut, mend) = (|| network.cut_one_way(0, 1), || network.mend_one_way(0, 1));
    survive(&machines, &load, outages, ("member 1 does not hear member 0", &[0, 1, 2]), (cut, mend)).await;
    let what = "the cable of member 2 is pulled";
    survive(&machines, &load, outages, (what, &[0, 1]), (|| network.unplug(2), || network.plug(2))).await;
    let history = load.finish().await;
    println!("{}", outages.table());
    assert_kept(&history);
    audit(&machines.servers[0].url()).await;
    drop(machines);
}
