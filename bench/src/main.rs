//! Workloads and measurements: the engine's figures as ratios within one run, and orders for the demo.
//!
//! Knows the engine only by its HTTP API and its process.

mod client;
mod compare;
mod echo;
mod feed;
mod figures;
mod import;
mod load;
mod peers;
mod plan;
mod plot;
mod report;
mod requests;
mod server;
mod shape;
mod tail;
mod tikv;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Workloads and measurements.
#[derive(Debug, Parser)]
#[command(name = "ordermill-bench")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure everything and write bench/RESULTS.md, its plots and results.json.
    All(plan::Arguments),
    /// Compare two files of results, figure by figure.
    Compare(compare::Arguments),
    /// Send generated, TPC-H-shaped orders to a server.
    Feed(feed::Arguments),
    /// Measure what an order costs on TiKV, and write that into bench/RESULTS.md.
    Tikv(tikv::Arguments),
    /// The ceiling: a handler that parses an order and answers with it.
    Echo,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // One worker for the load: the server needs the other core. The ceiling is a server itself.
    let workers = if matches!(arguments.task, Task::Echo) { 2 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        match arguments.task {
            Task::All(arguments) => plan::run(&arguments).await,
            Task::Compare(arguments) => compare::run(&arguments),
            Task::Tikv(arguments) => tikv::run(&arguments).await,
            Task::Feed(arguments) => feed::run(&arguments).await,
            Task::Echo => echo::run().await,
        }
    })
}
