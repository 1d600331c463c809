//! The ordermill server.
//!
//! The only place that reads the environment, installs recorders and decides what the parts of
//! the engine are made of. Decides nothing about orders.

mod certificates;
mod config;
mod follow;
mod garbage;
mod keys;
mod member;
mod migrate;
mod process;
mod serve;
mod store;
mod telemetry;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An order-processing engine: takes orders over HTTP and never sells a unit it does not have.
#[derive(Debug, Parser)]
#[command(name = "ordermill", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve orders.
    Serve(Box<config::Arguments>),
    /// Copy the data directory of a stopped server into a TiKV cluster that nobody serves yet.
    Migrate(migrate::Arguments),
    /// Print the description of the HTTP API (OpenAPI 3.1).
    Openapi,
    /// Print the version.
    Version,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Task::Serve(arguments) => arguments.settings().and_then(serve::run),
        Task::Migrate(arguments) => migrate::run(&arguments),
        Task::Openapi => print(ordermill_ingress::openapi_json().trim_end()),
        Task::Version => print(env!("CARGO_PKG_VERSION")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ordermill: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A line on standard output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| anyhow::anyhow!("cannot print: {error}"))
}
