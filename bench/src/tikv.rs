//! What an order costs where several processes share a store on TiKV: a real PD, a real store that speaks
//! TiKV's protocol and one member, at several rates, counted by the member itself; then three members at once.
//!
//! Counts what is sent, not what TiKV makes of it: a transaction of one phase is one raft write there.

mod members;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ordermill_tests::cluster::Cluster;
use serde::Serialize;

use self::members::Beside;
use crate::load::{self, Load, Outcome, PLENTY};
use crate::report;
use crate::requests::{Wire, Workload};
use crate::server::{self, FLUSHED_AFTER, Server};
use crate::shape::{self, Orders};

/// What is run, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Orders per second, sent whether or not the ones before are answered; a run as fast as it goes follows.
    #[arg(long, value_delimiter = ',', default_values_t = [10.0, 100.0, 1_000.0])]
    rates: Vec<f64>,
    /// Seconds of each load.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Shards of the cluster.
    #[arg(long, default_value_t = 64)]
    shards: u32,
    /// Another `ordermill` than the one built beside this program: to compare.
    #[arg(long, value_name = "PATH")]
    program: Option<PathBuf>,
    /// Where results are written, behind what is there of other workloads; tikv.json goes beside it.
    #[arg(long, default_value = "bench/RESULTS.md")]
    out: PathBuf,
}

const AT_REST: &str = "at rest, per second";
const FASTEST: &str = "as fast as it goes";
const CONNECTIONS: u64 = 64;
const OPEN_CONNECTIONS: u64 = 256;
/// How long a member at rest is watched.
const REST: Duration = Duration::from_secs(20);

/// What a member counts, by figure.
#[derive(Clone, Debug, Default, Serialize)]
struct Counts(BTreeMap<&'static str, f64>);

/// How a figure is counted.
type Count = fn(&Scraped) -> f64;

/// Figures in the order in which they are shown.
const FIGURES: &[(&str, Count)] = &[
    ("write transactions (raft writes)", |of| of.calls(&["insert", "write"])),
    ("… appends to journals", |of| of.calls(&["insert"])),
    ("… flushes of rows", |of| of.sum("ordermill_store_flush_transactions_total", &[])),
    ("… marks and coordination", |of| of.calls(&["write"]) - of.sum("ordermill_store_flush_transactions_total", &[])),
    ("reads", |of| of.calls(&["get", "get_many", "scan"])),
    ("… of one key", |of| of.calls(&["get"])),
    ("… of several keys", |of| of.calls(&["get_many"])),
    ("… of a range", |of| of.calls(&["scan"])),
    ("timestamps", |of| of.calls(&["timestamp", "begin"])),
    ("KiB written (keys and values)", |of| of.bytes(&["insert", "write"]) / 1_024.0),
    ("… of records", |of| of.bytes(&["insert"]) / 1_024.0),
    ("KiB read (keys and values)", |of| of.bytes(&["get", "get_many", "scan"]) / 1_024.0),
    ("rows flushed", |of| of.sum("ordermill_store_flushed_rows_total", &[])),
    ("calls that were tried again", |of| of.sum("ordermill_service_retries_total", &[])),
    ("CPU of the member, ms", |of| of.cpu_s * 1e3),
];

impl Answered {
    fn of(load: &Outcome) -> Self {
        Self { orders_per_s: load.per_s, p50_ms: load.ms(0.5), p99_ms: load.ms(0.99) }
    }

    /// A cell for each of [`ANSWERS`].
    fn cells(&self) -> impl Iterator<Item = String> {
        ANSWERS.iter().map(|(_, digits, of)| report::number(of(self), *digits))
    }
}

/// What is shown of how orders were answered.
type Answer = fn(&Answered) -> f64;

/// All of it, with so many digits.
const ANSWERS: &[(&str, usize, Answer)] = &[
    ("orders/s", 0, |load| load.orders_per_s),
    ("p50, ms", 1, |load| load.p50_ms),
    ("p99, ms", 1, |load| load.p99_ms),
];

/// A member's metrics at one time.
struct Scraped {
    metrics: String,
    cpu_s: f64,
}

impl Scraped {
    fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        server::sum(&self.metrics, name, labels)
    }

    fn each(&self, name: &str, calls: &[&str]) -> f64 {
        calls.iter().map(|call| self.sum(name, &[&format!("call=\"{call}\"")])).sum()
    }

    fn calls(&self, calls: &[&str]) -> f64 {
        self.each("ordermill_service_calls_total", calls)
    }

    fn bytes(&self, calls: &[&str]) -> f64 {
        self.each("ordermill_service_bytes_total", calls)
    }
}

impl Counts {
    async fn of(server: &Server) -> Result<Self> {
        let scraped = Scraped { cpu_s: server.cpu_s()?, metrics: server.metrics().await? };
        Ok(Self(FIGURES.iter().map(|(name, count)| (*name, count(&scraped))).collect()))
    }

    fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().map(|(name, now)| (*name, now - before.0[name])).collect())
    }

    /// Without what `rest` would have been counted in `seconds`, per each of `count`.
    fn per_order(&self, rest: &Self, seconds: f64, count: f64) -> Self {
        let each = |(name, value): (&&'static str, &f64)| (*name, (value - rest.0[name] * seconds) / count.max(1.0));
        Self(self.0.iter().map(each).collect())
    }
}

/// One load.
#[derive(Debug, Serialize)]
struct Column {
    /// What it was, in the page's words.
    head: String,
    /// Lines of an order on average; 0 of a member at rest.
    lines: f64,
    /// Nothing of a member at rest, whose counts are per second; others are per order.
    load: Option<Answered>,
    #[serde(flatten)]
    counts: Counts,
}

/// How orders were answered.
#[derive(Debug, Serialize)]
struct Answered {
    orders_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

/// A run as it is kept for `orderctl capacity`, which goes by it.
#[derive(Debug, Serialize)]
struct Measured<'a> {
    machine: String,
    /// Built without optimisation: counts hold, times do not.
    unoptimised: bool,
    shards: u32,
    columns: &'a [Column],
    /// Three members, and one engine with a store of its own.
    beside: &'a Beside,
}

/// Runs all loads on one member, the fastest one on three too, and writes the results.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let cluster = Cluster::start().await;
    let server = Server::member(arguments.program.as_deref(), &cluster.pd_endpoints(), arguments.shards)?;
    println!("a member with {} shards serves at {}", arguments.shards, server.address);
    load::stock(server.address, PLENTY).await?;
    tokio::time::sleep(FLUSHED_AFTER).await;
    let rest = {
        let (before, seconds) = watched(&server, tokio::time::sleep(REST)).await?;
        before.per_order(&Counts(FIGURES.iter().map(|(name, _)| (*name, 0.0)).collect()), 0.0, seconds)
    };
    let mut columns = vec![Column { head: AT_REST.to_owned(), lines: 0.0, load: None, counts: rest.clone() }];
    let rates = arguments.rates.iter().map(|rate| Some(*rate)).chain([None]).map(|rate| (Orders::Spread, rate));
    let varied = [arguments.rates.first().copied(), None].map(|rate| (Orders::Varied, rate));
    for (number, (orders, rate)) in rates.chain(varied).enumerate() {
        let load = Load {
            address: server.address,
            // Few where the rate is low: the server closes what is silent for long.
            connections: rate.map_or(CONNECTIONS, |rate| ((rate * 2.0) as u64).clamp(1, OPEN_CONNECTIONS)),
            lasts: Duration::from_secs(arguments.seconds),
            workload: Workload::Orders(orders),
            wire: Wire::Orders,
            rate,
            first: (number as u64 + 1) << 32,
        };
        let mut outcome = None;
        let work = async {
            outcome = Some(load.run().await);
            tokio::time::sleep(FLUSHED_AFTER).await;
        };
        let (counts, seconds) = watched(&server, work).await?;
        let outcome = outcome.expect("the load was run")?;
        ensure!(outcome.confirmed == outcome.placed, "every valid order can be met");
        let answered = Answered::of(&outcome);
        let rate = rate.map_or(FASTEST.to_owned(), |rate| format!("{} orders/s", report::number(rate, 0)));
        let (head, lines) = match orders {
            Orders::Varied => (format!("2 to 15 lines, {rate}"), shape::VARIED_LINES),
            _ => (rate, 2.0),
        };
        println!("{head}: {} orders, {:.1}/s, p99 {:.1} ms", outcome.count, outcome.per_s, answered.p99_ms);
        let counts = counts.per_order(&rest, seconds, outcome.count as f64);
        columns.push(Column { head, lines, load: Some(answered), counts });
    }
    server.audit()?;
    let beside = Beside::run(arguments, &cluster, server).await?;
    let section = section(arguments, &columns) + &beside.section(arguments.shards);
    print!("{section}");
    let (machine, shards) = (report::machine(), arguments.shards);
    let measured =
        Measured { machine, unoptimised: cfg!(debug_assertions), shards, columns: &columns, beside: &beside };
    let json = serde_json::to_string_pretty(&measured)?;
    std::fs::write(arguments.out.with_file_name("tikv.json"), format!("{json}\n"))?;
    write(&arguments.out, &section)
}

/// What a member counts while `work` is done, and how many seconds that takes.
#[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
async fn watched(server: &Server, work: impl Future<Output = ()>) -> Result<(Counts, f64)> {
    let (before, begun) = (Counts::of(server).await?, Instant::now());
    work.await;
    Ok((Counts::of(server).await?.since(&before), begun.elapsed().as_secs_f64()))
}

fn section(arguments: &Arguments, columns: &[Column]) -> String {
    let mut out = format!(
        "{}\n\nWritten by `cargo xtask bench tikv`: a real PD, a store that speaks TiKV's protocol and one member with {} \
         shards, all on this machine, {}{}.\nOrders of two lines over {} items, {} s of each load; then orders of two to \
         fifteen lines. Per order, after what the member does at\nrest was taken off; flushes of everything that a load has \
         changed are counted. What dominates, and what was done about it, is in\n\
         [0012](../docs/decisions/0012-cost-on-tikv.md).\n\n",
        report::ON_TIKV.trim_start(),
        arguments.shards,
        report::machine(),
        if cfg!(debug_assertions) { ", built without optimisation" } else { "" },
        report::number(shape::ITEMS as f64, 0),
        arguments.seconds,
    );
    let mut row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        let cells: String = cells.map(|cell| format!(" {cell} |")).collect();
        writeln!(out, "| {name} |{cells}").expect("a text takes everything");
    };
    row("per order", &mut columns.iter().map(|column| column.head.clone()));
    row("---", &mut columns.iter().map(|_| "---".to_owned()));
    for (name, digits, of) in ANSWERS {
        let shown = |load: &Answered| report::number(of(load), *digits);
        row(name, &mut columns.iter().map(|column| column.load.as_ref().map(shown).unwrap_or_default()));
    }
    for (name, _) in FIGURES {
        // A difference that is nothing has a sign of its own.
        row(name, &mut columns.iter().map(|column| report::number(column.counts.0[name].max(0.0), 2)));
    }
    out
}

/// Puts the section behind what the file holds of other workloads.
fn write(path: &Path, section: &str) -> Result<()> {
    let (others, _) = report::parts(path)?;
    Ok(std::fs::write(path, format!("{}\n\n{section}", others.trim_end()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_by_name_and_label() {
        let metrics = "# HELP a_total x\na_total{call=\"get\",outcome=\"ok\"} 5\na_total{call=\"get\",outcome=\"locked\"} 2\n\
                       a_total{call=\"get_many\",outcome=\"ok\"} 9\na_total_more 3\nb 1.5\n";
        let scraped = Scraped { metrics: metrics.to_owned(), cpu_s: 0.0 };
        assert!((scraped.each("a_total", &["get"]) - 7.0).abs() < 1e-9);
        assert!((scraped.sum("a_total", &[]) - 16.0).abs() < 1e-9);
        assert!((scraped.sum("b", &[]) - 1.5).abs() < 1e-9);
    }

    #[test]
    fn what_is_done_at_rest_is_no_cost_of_an_order() {
        let counts = |reads: f64| Counts(BTreeMap::from([("reads", reads)]));
        let each = counts(500.0).per_order(&counts(10.0), 30.0, 100.0);
        assert!((each.0["reads"] - 2.0).abs() < 1e-9);
    }
}
