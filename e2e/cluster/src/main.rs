//! `cargo xtask cluster`: a real Kubernetes on this machine, by hand.

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use ordermill_cluster::{Cluster, Tools, output};

/// A real Kubernetes on this machine, or the one that a context names.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask cluster", bin_name = "cargo xtask cluster")]
struct Arguments {
    #[command(subcommand)]
    what: What,
    /// Use the cluster that this context of your kubeconfig names, and start nothing.
    #[arg(long, global = true)]
    context: Option<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Bring it up, or what is missing of it.
    Up {
        /// How many nodes.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
    /// End all of it, and forget what was in it.
    Down,
    /// Say what there is of it.
    Status,
    /// Give every node the images in these archives.
    Load {
        /// As `cargo xtask image` writes them.
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Kill a node with all that runs on it; `up` starts it again.
    Kill {
        /// Its number; the first has the control plane.
        #[arg(value_parser = clap::value_parser!(u8).range(2..=9))]
        node: u8,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.context {
        Some(context) => elsewhere(context, &arguments.what),
        None => here(&arguments.what),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn here(what: &What) -> Result<()> {
    let cluster = Cluster::here()?;
    match what {
        What::Up { nodes } => {
            cluster.up(&Tools::from_environment()?, *nodes)?;
            println!("{}", cluster.status()?);
        }
        What::Down => cluster.down()?,
        What::Status => println!("{}", cluster.status()?),
        What::Load { archives } => {
            for archive in archives {
                cluster.load(archive)?;
            }
        }
        What::Kill { node } => cluster.kill_node(*node)?,
    }
    Ok(())
}

/// What can be said of a cluster that is somebody else's.
fn elsewhere(context: &str, what: &What) -> Result<()> {
    let kubectl = |arguments: &[&str]| {
        let mut kubectl = Command::new(std::env::var_os("ORDERMILL_KUBECTL").unwrap_or_else(|| "kubectl".into()));
        output(kubectl.args(["--context", context]).args(arguments))
    };
    match what {
        What::Up { .. } | What::Status => {
            print!("{}", kubectl(&["version"])?);
            print!("{}", kubectl(&["get", "nodes", "--output", "wide"])?);
            print!("{}", kubectl(&["get", "storageclasses"])?);
            println!(
                "\nIt is used as it is. Its nodes need the images: `kind load image-archive FILE`, \
                 `k3d image import FILE`, or a registry."
            );
        }
        What::Down => println!("{context} is not ours to end."),
        What::Load { .. } | What::Kill { .. } => anyhow::bail!("{context} is not ours: its own tools can do that"),
    }
    Ok(())
}
