//! Three members that share a store on TiKV beside one engine with a store of its own, on the same cores: how many orders
//! each answers, and whose processor time an order takes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ordermill_api as api;
use ordermill_tests::cluster::Cluster;
use serde::Serialize;
use tokio::task::JoinSet;

use super::{ANSWERS, Answered, Arguments, CONNECTIONS};
use crate::client::Connection;
use crate::load::{self, Load, PLENTY};
use crate::report::number;
use crate::requests::{Wire, Workload};
use crate::server::{self, Server};
use crate::shape::Orders;

const MEMBERS: usize = 3;
/// Behind all orders of the loads before.
const FIRST: u64 = 1 << 40;
/// How long shards may be on their way to members that have joined, and how often one asks.
const LEVEL_WITHIN: Duration = Duration::from_mins(2);
const ASK_EVERY: Duration = Duration::from_millis(500);

/// One of the two, as fast as it goes.
#[derive(Debug, Serialize)]
struct Side {
    #[serde(flatten)]
    answered: Answered,
    /// Processor time per order, milliseconds, by whose it is; the client's last.
    cpu_ms: Vec<(&'static str, f64)>,
}

/// Both.
#[derive(Debug, Serialize)]
pub(super) struct Beside {
    members: Side,
    embedded: Side,
}

impl Beside {
    /// Measures the members, of which one runs already, and then the engine on a directory.
    pub(super) async fn run(arguments: &Arguments, cluster: &Cluster, one: Server) -> Result<Self> {
        let mut servers = vec![one];
        while servers.len() < MEMBERS {
            servers.push(Server::member(arguments.program.as_deref(), &cluster.pd_endpoints(), arguments.shards)?);
        }
        level(&servers).await?;
        let of_members = servers.iter().map(|server| ("members", server.pid()));
        let processes: Vec<_> = of_members.chain(cluster.processes()).collect();
        let members = side(arguments, &servers, &processes).await?;
        servers[0].audit()?;
        drop(servers);
        let dir = server::fresh()?;
        let engine = Server::engine(dir.path(), arguments.shards)?;
        load::stock(engine.address, PLENTY).await?;
        let embedded = side(arguments, std::slice::from_ref(&engine), &[("engine", engine.pid())]).await?;
        engine.audit()?;
        Ok(Self { members, embedded })
    }

    /// What the page says of it.
    pub(super) fn section(&self, shards: u32) -> String {
        let sides = [("three members on TiKV", &self.members), ("one engine, its own disk", &self.embedded)];
        let rows = sides.map(|(name, side)| {
            let cpu: Vec<_> = side.cpu_ms.iter().map(|(whose, ms)| format!("{whose} {}", number(*ms, 3))).collect();
            let cells: Vec<_> = side.answered.cells().chain([cpu.join(", ")]).collect();
            format!("| {name} | {} |\n", cells.join(" | "))
        });
        let heads: Vec<_> = ANSWERS.iter().map(|(head, ..)| *head).collect();
        format!(
            "\nThree members, each with a third of the {shards} shards, and one engine with {shards} shards on its own disk; \
             each in turn, as fast\nas it goes, {CONNECTIONS} connections in all. The members answer {} of what the engine \
             does.\n\n| orders of two lines | {} | processor time per order, ms |\n| --- |{} --- |\n{}",
            number(self.members.answered.orders_per_s / self.embedded.answered.orders_per_s, 3),
            heads.join(" | "),
            " --- |".repeat(heads.len()),
            rows.concat(),
        )
    }
}

/// Orders of two lines to all servers at once.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
async fn side(arguments: &Arguments, servers: &[Server], processes: &[(&'static str, u32)]) -> Result<Side> {
    let used = || -> Result<Vec<(&'static str, f64)>> {
        let mut used: Vec<(&'static str, f64)> = Vec::new();
        for (whose, pid) in processes.iter().copied().chain([("client", std::process::id())]) {
            let cpu_s = server::cpu_s(pid)?;
            match used.iter_mut().find(|(known, _)| *known == whose) {
                Some((_, sum)) => *sum += cpu_s,
                None => used.push((whose, cpu_s)),
            }
        }
        Ok(used)
    };
    let (before, begun) = (used()?, Instant::now());
    let mut running = JoinSet::new();
    for (number, server) in (0..).zip(servers) {
        let load = Load {
            address: server.address,
            connections: CONNECTIONS / servers.len() as u64,
            lasts: Duration::from_secs(arguments.seconds),
            workload: Workload::Orders(Orders::Spread),
            wire: Wire::Orders,
            rate: None,
            first: FIRST + (number << 32),
        };
        running.spawn(load.run());
    }
    let all = load::together(running, begun).await?;
    ensure!(all.confirmed == all.placed, "every order can be met");
    let cpu_ms = used()?.into_iter().zip(before);
    let cpu_ms = cpu_ms.map(|((whose, now), (_, then))| (whose, (now - then) * 1e3 / all.count as f64)).collect();
    Ok(Side { answered: Answered::of(&all), cpu_ms })
}

/// Waits until each server has its part of the shards and none is on its way.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
async fn level(servers: &[Server]) -> Result<()> {
    let begun = Instant::now();
    let mut connection = Connection::open(servers[0].address).await?;
    loop {
        let (_, cluster) = connection.call("GET", "/v1/cluster", "", "").await?;
        let moving = serde_json::from_slice::<api::Cluster>(cluster).context("/v1/cluster")?.shards_moving;
        let (_, members) = connection.call("GET", "/v1/cluster/members", "", "").await?;
        let members = serde_json::from_slice::<api::MemberList>(members).context("/v1/cluster/members")?.members;
        let shares = members.iter().map(|member| member.shards);
        let (least, most) = (shares.clone().min().unwrap_or_default(), shares.max().unwrap_or_default());
        if members.len() == servers.len() && moving == 0 && least > 0 && most - least <= 1 {
            return Ok(());
        }
        ensure!(begun.elapsed() < LEVEL_WITHIN, "shards are not level: {members:?}");
        tokio::time::sleep(ASK_EVERY).await;
    }
}
