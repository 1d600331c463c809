//! The project's chores: `cargo xtask test`, `sim`, `servers`, `kubernetes`, `cluster`, `image`, `demo`, `bench`, `codegen`,
//! `tidy`.
//!
//! Knows how to call the project's own tools; knows nothing of orders.

mod codegen;
mod demo;
mod executables;
mod image;
mod kubernetes;
mod packages;
mod peers;
mod promises;
mod run;
mod servers;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Check and test everything.
    Test {
        /// Only what needs no release build and no long runs.
        #[arg(long)]
        fast: bool,
        /// Only what runs on a PD and a store: conformance, processes, faults.
        #[arg(long, conflicts_with = "fast")]
        tikv: bool,
        /// Only the suites whose names have these words.
        #[arg(long, value_name = "WORDS")]
        only: Option<String>,
        #[command(flatten)]
        servers: servers::Arguments,
    },
    /// Simulate whole clusters: one seed with its log (`--seed N`), or new ones until one fails (`--minutes M`).
    Sim {
        /// Passed on to the simulation.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Build the PD and the store that tests run against, and print where they are.
    Servers,
    /// Build the Kubernetes that the operator's tests run on, and print where it is.
    Kubernetes,
    /// A real Kubernetes on this machine: `up`, `down`, `status`, `load ARCHIVE`; `--context NAME` for one that is there.
    Cluster {
        /// Passed on; `--help` behind `--` tells all.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        arguments: Vec<String>,
    },
    /// Build the images of the server and the operator as OCI archives, without a container engine.
    Image(image::Arguments),
    /// Build, start the engine, feed it generated orders, and stay up.
    Demo(demo::Arguments),
    /// Measure: see `--help` behind `--` for what.
    Bench {
        /// Passed on to the benchmark.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Write anew what is generated and committed: docs/openapi.json, docs/order-states.md, the CRD, the
    /// rights in the chart and the golden manifests of the operator.
    Codegen,
    /// Check what the compiler does not: the direction of imports, the crates' rooms, the docs.
    Tidy,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test { fast, tikv, only, servers } => test::run(fast, tikv, only.as_deref(), &servers),
        Chore::Sim { arguments } => run::sim(&arguments),
        Chore::Servers => servers::run(),
        Chore::Kubernetes => kubernetes::run(),
        Chore::Cluster { arguments } => kubernetes::cluster(&arguments),
        Chore::Image(arguments) => image::run(&arguments),
        Chore::Demo(arguments) => demo::run(&arguments),
        Chore::Bench { arguments } => run::bench(&arguments),
        Chore::Codegen => codegen::run(),
        Chore::Tidy => tidy::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
