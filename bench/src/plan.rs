//! What is measured, in which order: rounds go through all workloads and all peers, so that a busy moment of the
//! machine hits no one alone.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::figures::{Figures, Results};
use crate::load::{self, Load, PLENTY};
use crate::peers::{self, Programs};
use crate::report::{self, LOADS, QUANTILES};
use crate::requests::{Wire, Workload};
use crate::server::{self, Server};
use crate::shape::{self, Orders};
use crate::{import, plot, tail};

/// How long it may take.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of each load.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Rounds; figures are their medians.
    #[arg(long, default_value_t = 3)]
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
    /// Where the page is written; results.json and the plots go beside it.
    #[arg(long, default_value = "bench/RESULTS.md")]
    out: PathBuf,
    /// One short round of everything, that only shows whether it works: fails when a ratio has collapsed.
    #[arg(long)]
    short: bool,
    #[command(flatten)]
    programs: Programs,
}

const CONNECTIONS: u64 = 64;
/// More than in the closed loop: a slow answer must not keep the next request from being sent.
const OPEN_CONNECTIONS: u64 = 256;
/// Units of the item that everybody wants and most cannot get.
const SCARCE: u64 = 10_000;
const SPREAD: Workload = Workload::Orders(Orders::Spread);

impl Arguments {
    /// What a short run does.
    fn shortened(&self) -> Self {
        let (shards, out, programs) = (self.shards.clone(), self.out.clone(), self.programs.clone());
        let (seconds, rounds, import_orders, open_orders) = (1, 1, 20_000, 20_000);
        Self { seconds, rounds, import_orders, open_orders, shards, out, short: true, programs }
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Measures everything and writes the results.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let shortened = arguments.short.then(|| arguments.shortened());
    let arguments = shortened.as_ref().unwrap_or(arguments);
    let name =
        |&shards: &u32| Figures::new(if shards == 1 { "1 shard".to_owned() } else { format!("{shards} shards") });
    let mut results = Results {
        machine: report::machine(),
        versions: arguments.programs.versions(),
        unoptimised: cfg!(debug_assertions),
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        runs: arguments.shards.iter().map(name).collect(),
        peers: Figures::new("peers"),
    };
    for round in 1..=arguments.rounds {
        println!("round {round} of {}: peers", arguments.rounds);
        let load = peers::Round { connections: CONNECTIONS, lasts: arguments.lasts(), plenty: PLENTY };
        arguments.programs.run(load, &mut results.peers).await?;
        for (&shards, figures) in arguments.shards.iter().zip(&mut results.runs) {
            println!("round {round} of {}: {}", arguments.rounds, figures.name);
            self::round(arguments, shards, figures).await?;
            for (ratio, mine, theirs) in [
                ("orders_of_postgres", "orders_per_s", "postgres_per_s"),
                ("orders_of_restate", "orders_per_s", "restate_per_s"),
                ("hot_of_postgres", "hot_per_s", "postgres_hot_per_s"),
            ] {
                figures.add_ratio(ratio, mine, &results.peers, theirs);
            }
        }
    }
    for (&shards, figures) in arguments.shards.iter().zip(&mut results.runs) {
        println!("{}: a scarce item, memory, restart", figures.name);
        scarce(arguments, shards, figures).await?;
        memory(arguments, shards, figures).await?;
    }
    results.all().for_each(Figures::print);
    if arguments.short {
        let collapsed = report::collapsed(&results);
        ensure!(collapsed.is_empty(), "ratios have collapsed: {}", collapsed.join("; "));
        return Ok(());
    }
    write(&results, &arguments.out)
}

/// Writes the page, what it was made from, and the plots.
fn write(results: &Results, out: &std::path::Path) -> Result<()> {
    let dir = out.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    results.write(&dir.join("results.json"))?;
    report::write(&report::page(results, &plot::write(results, dir)?), out)
}

async fn round(arguments: &Arguments, shards: u32, figures: &mut Figures) -> Result<()> {
    let lasts = arguments.lasts();
    let load = |address, workload, first| {
        let (connections, wire) = (CONNECTIONS, Wire::Orders);
        Load { address, connections, lasts, workload, wire, rate: None, first }
    };
    let ceiling = {
        let server = Server::echo()?;
        load(server.address, SPREAD, 0).run().await?.per_s
    };
    figures.add("ceiling_per_s", ceiling);
    let dir = server::fresh()?;
    let server = Server::engine(dir.path(), shards)?;
    load::stock(server.address, PLENTY).await?;
    let before = server.usage().await?;
    let orders = load(server.address, SPREAD, 1 << 32).run().await?;
    ensure!(orders.confirmed == orders.count, "every order can be met");
    let each = server.usage().await?.since(before, orders.count as f64);
    figures.per_order("orders", each);
    figures.add("orders_per_s", orders.per_s);
    figures.add("orders_of_ceiling", orders.per_s / ceiling);
    figures.add("orders_p50_ms", orders.ms(0.5));
    figures.add("orders_p99_ms", orders.ms(0.99));
    // As many orders to a block as the engine had.
    let block = (each.journal_bytes / each.fsyncs.max(f64::MIN_POSITIVE)).clamp(512.0, 1e6);
    figures.add("disk_of_orders", peers::disk(block as usize, lasts)? / each.fsyncs / orders.per_s);

    let hot = load(server.address, Workload::Orders(Orders::Hot), 2 << 32).run().await?;
    figures.add("hot_per_s", hot.per_s);
    figures.add("hot_of_orders", hot.per_s / orders.per_s);
    let before = server.usage().await?;
    let varied = load(server.address, Workload::Orders(Orders::Varied), 3 << 32).run().await?;
    ensure!(varied.confirmed == varied.placed, "every valid order can be met");
    figures.add("varied_cpu_us", server.usage().await?.since(before, varied.count as f64).cpu_s * 1e6);
    figures.add("varied_per_s", varied.per_s);
    figures.add("varied_p99_ms", varied.ms(0.99));
    let mixed = load(server.address, Workload::Mixed, 4 << 32).run().await?;
    ensure!(mixed.confirmed == mixed.placed, "every order can be met");
    figures.add("mixed_per_s", mixed.per_s);
    figures.add("mixed_of_orders", mixed.per_s / orders.per_s);
    figures.add("mixed_p99_ms", mixed.ms(0.99));
    for (at, percent) in LOADS.into_iter().enumerate() {
        let rate = Some(orders.per_s * f64::from(percent) / 100.0);
        let open = Load { connections: OPEN_CONNECTIONS, rate, ..load(server.address, SPREAD, (5 + at as u64) << 32) };
        let open = open.run().await?;
        for (ending, _, quantile) in QUANTILES {
            figures.add(&format!("open{percent}_{ending}"), open.ms(quantile));
        }
    }
    for readers in [1, 10, 100] {
        figures.add(&format!("tail{readers}_per_s"), tail::run(server.address, readers, lasts).await?);
    }
    let before = server.usage().await?;
    let imported = imported(&server, 16 << 32, arguments.import_orders).await?;
    figures.per_order("import", server.usage().await?.since(before, arguments.import_orders as f64));
    figures.add("import_per_s", imported);
    server.audit()
}

/// Imports orders, none of which may be refused; orders per second.
async fn imported(server: &Server, first: u64, count: u64) -> Result<f64> {
    let numbers = first..first + count;
    let line = |out: &mut String, number| shape::order(out, number, Orders::Spread, true);
    let outcome = import::run(server.address, numbers, line, |_| ()).await?;
    ensure!(outcome.statuses.get("confirmed") == Some(&count), "every order can be met: {:?}", outcome.statuses);
    Ok(count as f64 / outcome.took.as_secs_f64())
}

/// Everybody wants an item of which there is too little: exactly what is there may go, to whom it was confirmed.
async fn scarce(arguments: &Arguments, shards: u32, figures: &mut Figures) -> Result<()> {
    let dir = server::fresh()?;
    let server = Server::engine(dir.path(), shards)?;
    load::stock(server.address, SCARCE).await?;
    let (workload, wire) = (Workload::Orders(Orders::Hot), Wire::Orders);
    let (address, connections, lasts) = (server.address, CONNECTIONS, arguments.lasts());
    let load = Load { address, connections, lasts, workload, wire, rate: None, first: 0 }.run().await?;
    let held = load::held(server.address, shape::HOT).await?;
    if held != load.confirmed || held > SCARCE {
        bail!("{held} of {SCARCE} units are held for {} orders", load.confirmed);
    }
    figures.add("scarce_wanted", load.count as f64);
    figures.add("scarce_sold", held as f64);
    server.audit()
}

/// Memory with many open orders, what was written for them, and the time to be ready again after a crash with them.
async fn memory(arguments: &Arguments, shards: u32, figures: &mut Figures) -> Result<()> {
    let dir = server::fresh()?;
    let server = Server::engine(dir.path(), shards)?;
    load::stock(server.address, PLENTY).await?;
    let (rested, before) = (server.memory_mib("VmRSS")?, server.usage().await?);
    imported(&server, 0, arguments.open_orders).await?;
    let each = server.flushed().await?.since(before, arguments.open_orders as f64);
    if each.written_bytes > 0.0 {
        figures.add("written_bytes", each.written_bytes);
        figures.add("written_of_journal", each.written_bytes / each.journal_bytes);
    }
    let resident = server.memory_mib("VmRSS")?;
    figures.add("resident_mib", resident);
    figures.add("kept_bytes", (resident - rested) * f64::from(1 << 20) / arguments.open_orders as f64);
    figures.add("resident_peak_mib", server.memory_mib("VmHWM")?);
    server.kill()?;
    let server = Server::engine(dir.path(), shards)?;
    figures.add("restart_s", server.ready_after.as_secs_f64());
    figures.add("restarted_mib", server.memory_mib("VmRSS")?);
    server.audit()
}
