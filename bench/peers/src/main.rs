//! What runs beside the systems that the engine is compared with: the same order, as each one's documentation
//! advises to write it.
//!
//! Measures nothing and starts no server but its own: the benchmark does both.

mod postgres;
mod restate;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

// The same allocator as the engine's and the ceiling's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Services to compare the engine with.
#[derive(Debug, Parser)]
#[command(name = "ordermill-bench-peers")]
struct Arguments {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// Orders over HTTP, each one call of a stored function.
    Postgres {
        /// The directory of Postgres' socket.
        #[arg(long)]
        socket: PathBuf,
        /// Connections to Postgres.
        #[arg(long, default_value_t = 16)]
        pool: usize,
    },
    /// Orders as a handler of a virtual object per customer, items as one per SKU.
    Restate,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().service {
        Service::Postgres { socket, pool } => postgres::run(&socket, pool).await,
        Service::Restate => restate::run().await,
    }
}
