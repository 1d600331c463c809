//! What is measured, in which order: rounds go through all workloads, so that a busy moment of the
//! machine hits no one alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::load::{self, Load};
use crate::report::{Figures, Results};
use crate::server::Server;
use crate::{import, shape};

/// How long it may take.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of each load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; figures are their medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Orders of each import.
    #[arg(long, default_value_t = 300_000)]
    import_orders: u64,
    /// Open orders whose memory is measured.
    #[arg(long, default_value_t = 1_000_000)]
    open_orders: u64,
    /// Shards of the engine, one run through all workloads each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64])]
    shards: Vec<u32>,
    /// Where results are written.
    #[arg(long, default_value = "bench/RESULTS.md")]
    out: PathBuf,
}

const CONNECTIONS: u64 = 64;
/// More than in the closed loop: a slow answer must not keep the next request from being sent.
const OPEN_CONNECTIONS: u64 = 256;
/// Units of the item that everybody wants and most cannot get.
const SCARCE: u64 = 5_000;
/// Enough for everybody.
const PLENTY: u64 = 1 << 40;

/// A directory for data on the disk that the programs are on, not in memory.
fn fresh() -> Result<TempDir> {
    let program = std::env::current_exe()?;
    Ok(tempfile::tempdir_in(program.parent().context("a program lies in a directory")?)?)
}

/// Measures everything and writes the results.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let mut results = Results::new(arguments.rounds, arguments.seconds);
    for &shards in &arguments.shards {
        let mut figures = Figures::new(shards);
        for round in 1..=arguments.rounds {
            println!("{shards} shards, round {round} of {}", arguments.rounds);
            self::round(arguments, shards, &mut figures).await?;
        }
        scarce(arguments, shards, &mut figures).await?;
        memory(arguments, shards, &mut figures).await?;
        figures.print();
        results.add(figures);
    }
    results.write(&arguments.out)
}

async fn round(arguments: &Arguments, shards: u32, figures: &mut Figures) -> Result<()> {
    let lasts = Duration::from_secs(arguments.seconds);
    let load = |address, hot, first| Load { address, connections: CONNECTIONS, lasts, hot, rate: None, first };
    let ceiling = {
        let server = Server::echo()?;
        load(server.address, false, 0).run().await?.per_s
    };
    let dir = fresh()?;
    let server = Server::engine(dir.path(), shards)?;
    load::stock(server.address, PLENTY).await?;
    let before = server.usage().await?;
    let orders = load(server.address, false, 1 << 32).run().await?;
    ensure!(orders.confirmed == orders.count, "every order can be met");
    figures.per_order("orders", server.usage().await?.since(before, orders.count as f64));
    figures.add("ceiling_per_s", ceiling);
    figures.add("orders_per_s", orders.per_s);
    figures.add("orders_of_ceiling", orders.per_s / ceiling);
    figures.add("orders_p50_ms", orders.latency_us.value_at_quantile(0.5) as f64 / 1e3);
    figures.add("orders_p99_ms", orders.latency_us.value_at_quantile(0.99) as f64 / 1e3);
    let hot = load(server.address, true, 2 << 32).run().await?;
    figures.add("hot_per_s", hot.per_s);
    figures.add("hot_of_orders", hot.per_s / orders.per_s);
    let open =
        Load { connections: OPEN_CONNECTIONS, rate: Some(orders.per_s / 2.0), ..load(server.address, false, 3 << 32) };
    let open = open.run().await?;
    figures.add("open_per_s", open.per_s);
    for (name, quantile) in [("open_p50_ms", 0.5), ("open_p99_ms", 0.99), ("open_p999_ms", 0.999), ("open_max_ms", 1.0)]
    {
        figures.add(name, open.latency_us.value_at_quantile(quantile) as f64 / 1e3);
    }
    let before = server.usage().await?;
    let imported = imported(&server, 4 << 32, arguments.import_orders).await?;
    figures.per_order("import", server.usage().await?.since(before, arguments.import_orders as f64));
    figures.add("import_per_s", imported);
    Ok(())
}

/// Imports orders, none of which may be refused; orders per second.
async fn imported(server: &Server, first: u64, count: u64) -> Result<f64> {
    let numbers = first..first + count;
    let outcome =
        import::run(server.address, numbers, |out, number| shape::order(out, number, false, true), |_| ()).await?;
    ensure!(outcome.statuses.get("confirmed") == Some(&count), "every order can be met: {:?}", outcome.statuses);
    Ok(count as f64 / outcome.took.as_secs_f64())
}

/// Everybody wants an item of which there is too little: not one unit too many may go.
async fn scarce(arguments: &Arguments, shards: u32, figures: &mut Figures) -> Result<()> {
    let dir = fresh()?;
    let server = Server::engine(dir.path(), shards)?;
    load::stock(server.address, SCARCE).await?;
    let lasts = Duration::from_secs(arguments.seconds);
    let load = Load { address: server.address, connections: CONNECTIONS, lasts, hot: true, rate: None, first: 0 }
        .run()
        .await?;
    let held = load::held(server.address, shape::HOT).await?;
    ensure!(
        held == load.confirmed && held <= SCARCE,
        "{held} of {SCARCE} units are held for {} orders",
        load.confirmed
    );
    figures.add("scarce_wanted", load.count as f64);
    figures.add("scarce_sold", held as f64);
    Ok(())
}

/// Memory with many open orders, and the time to be ready again after a crash with them.
async fn memory(arguments: &Arguments, shards: u32, figures: &mut Figures) -> Result<()> {
    let dir = fresh()?;
    let server = Server::engine(dir.path(), shards)?;
    load::stock(server.address, PLENTY).await?;
    imported(&server, 0, arguments.open_orders).await?;
    figures.add("resident_mib", server.memory_mib("VmRSS")?);
    figures.add("resident_peak_mib", server.memory_mib("VmHWM")?);
    server.kill()?;
    let server = Server::engine(dir.path(), shards)?;
    figures.add("restart_s", server.ready_after.as_secs_f64());
    figures.add("restarted_mib", server.memory_mib("VmRSS")?);
    Ok(())
}
