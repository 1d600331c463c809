//! What the engine is compared with, in the same run on the same machine: Postgres, Restate, and the disk alone.
//!
//! Each is set up as its own documentation advises, and answers when an order is as durable as ours.

mod disk;
mod postgres;
mod restate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::figures::Figures;
use crate::load::{self, Load};
use crate::requests::{Wire, Workload};
use crate::shape::{self, Orders};

pub(crate) use disk::disk;

/// How long a peer may take to come up, and how often it is looked at.
const UP_WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where the programs of the peers are; one that is not named is not measured.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Programs {
    /// The directory of Postgres' programs.
    #[arg(long, env = "ORDERMILL_POSTGRES_BIN", value_name = "DIR")]
    postgres: Option<PathBuf>,
    /// Restate's server.
    #[arg(long, env = "ORDERMILL_RESTATE_SERVER", value_name = "PATH")]
    restate: Option<PathBuf>,
    /// What runs beside them: the program of bench/peers.
    #[arg(long, env = "ORDERMILL_BENCH_PEERS", value_name = "PATH")]
    services: Option<PathBuf>,
}

/// How a load on a peer is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) connections: u64,
    pub(crate) lasts: Duration,
    /// Units of the item that everybody wants.
    pub(crate) plenty: u64,
}

impl Round {
    fn load(&self, address: SocketAddr, wire: Wire, orders: Orders, first: u64) -> Load {
        let (connections, lasts, workload) = (self.connections, self.lasts, Workload::Orders(orders));
        Load { address, connections, lasts, workload, wire, rate: None, first }
    }
}

impl Programs {
    /// Measures all that are named, each alone on the machine.
    pub(crate) async fn run(&self, round: Round, figures: &mut Figures) -> Result<()> {
        if let (Some(programs), Some(services)) = (&self.postgres, &self.services) {
            self::with_postgres(programs, services, round, figures).await?;
        }
        if let (Some(server), Some(services)) = (&self.restate, &self.services) {
            self::with_restate(server, services, round, figures).await?;
        }
        Ok(())
    }

    /// What they say their versions are.
    pub(crate) fn versions(&self) -> Vec<String> {
        let postgres = self.postgres.as_ref().map(|programs| programs.join("postgres"));
        let programs = postgres.iter().chain(&self.restate);
        programs.filter_map(|program| version(program).ok()).collect()
    }
}

fn version(program: &Path) -> Result<String> {
    let output = Command::new(program).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().context("no version is told")?.to_owned())
}

async fn with_postgres(programs: &Path, services: &Path, round: Round, figures: &mut Figures) -> Result<()> {
    let postgres = postgres::Postgres::start(programs).await?;
    let server = postgres.server(services)?;
    load::stock(server.address, round.plenty).await?;
    let confirmed = over_http("postgres", server.address, Wire::Orders, round, figures).await?;
    let held = load::held(server.address, shape::HOT).await?;
    ensure!(held == confirmed, "Postgres holds {held} units for {confirmed} orders");
    drop(server);
    let direct = postgres.direct(round, Orders::Spread, 3 << 32).await?;
    figures.add("postgres_direct_per_s", direct.per_s);
    let direct = postgres.direct(round, Orders::Hot, 4 << 32).await?;
    figures.add("postgres_direct_hot_per_s", direct.per_s);
    Ok(())
}

async fn with_restate(program: &Path, services: &Path, round: Round, figures: &mut Figures) -> Result<()> {
    let restate = restate::Restate::start(program, services).await?;
    restate.set(shape::HOT, round.plenty).await?;
    let confirmed = over_http("restate", restate.ingress, Wire::Restate, round, figures).await?;
    let held = restate.held(shape::HOT).await?;
    ensure!(held == confirmed, "Restate holds {held} units for {confirmed} orders");
    Ok(())
}

/// Measures orders over HTTP, then those that all want the same item; how many of these were confirmed.
async fn over_http(peer: &str, address: SocketAddr, wire: Wire, round: Round, figures: &mut Figures) -> Result<u64> {
    let spread = round.load(address, wire, Orders::Spread, 1 << 32).run().await?;
    ensure!(spread.confirmed == spread.count, "every order can be met");
    figures.add(&format!("{peer}_per_s"), spread.per_s);
    figures.add(&format!("{peer}_p99_ms"), spread.ms(0.99));
    let hot = round.load(address, wire, Orders::Hot, 2 << 32).run().await?;
    figures.add(&format!("{peer}_hot_per_s"), hot.per_s);
    Ok(hot.confirmed)
}

/// Tries until a peer that was started answers.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
async fn until<T, F: Future<Output = Result<T>>>(what: &str, mut tried: impl FnMut() -> F) -> Result<T> {
    let begun = Instant::now();
    loop {
        match tried().await {
            Ok(answer) => return Ok(answer),
            Err(error) if begun.elapsed() > UP_WITHIN => return Err(error.context(format!("{what} did not come up"))),
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}
