//! `cargo xtask demo`: the engine on an embedded store, with generated orders, to look at.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;

/// How the demo runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the engine listens.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: String,
    /// TPC-H scale: 1 is a million and a half orders of one to seven lines.
    #[arg(long, default_value_t = 0.02)]
    scale: f64,
    /// Where the data is kept; default: a fresh directory under the build's.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Stop when the orders are in, instead of staying up.
    #[arg(long)]
    once: bool,
}

/// Ends the server with the demo, however it ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM first would be kinder; the journal makes this as safe.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds, starts, feeds, and stays up.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    println!("Building (the first time takes a few minutes) …");
    run::cargo(&[
        "build",
        "--release",
        "--package",
        "ordermill",
        "--package",
        "orderctl",
        "--package",
        "ordermill-bench",
    ])?;
    let bin = run::target_dir().join("release");
    let data_dir = arguments.data_dir.clone().unwrap_or_else(|| run::target_dir().join("demo-data"));
    if arguments.data_dir.is_none() && data_dir.exists() {
        std::fs::remove_dir_all(&data_dir).with_context(|| format!("{} is in the way", data_dir.display()))?;
    }
    let mut server = Command::new(bin.join("ordermill"));
    server.args(["serve", "--listen", &arguments.listen, "--data-dir"]).arg(&data_dir).stdout(Stdio::piped());
    let mut server = Server(server.spawn().context("the server cannot be started")?);
    let address = ready(&mut server)?;
    println!("The engine is up at {address}; its data is in {}.", data_dir.display());

    let mut feed = Command::new(bin.join("ordermill-bench"));
    feed.args(["feed", "--server", &address, "--scale", &arguments.scale.to_string()]);
    run::check(feed)?;
    let mut audit = Command::new(bin.join("orderctl"));
    audit.args(["--server", &address, "audit"]);
    run::check(audit)?;
    println!(
        "\nLook around:\n  {address}/docs            the API, to read and try\n  {address}/metrics         what is measured\n  \
         orderctl --server {address} order list\n  orderctl --server {address} events tail --follow\n  \
         ({} is where orderctl is)\n",
        bin.display()
    );
    if arguments.once {
        return Ok(());
    }
    println!("It stays up until Ctrl-C.");
    server.0.wait().context("the server is gone")?;
    Ok(())
}

/// Waits for the server's first line, which says where it listens.
fn ready(server: &mut Server) -> Result<String> {
    let stdout = server.0.stdout.take().context("the server has an output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    match line.trim().strip_prefix("listening on ") {
        Some(address) => Ok(address.to_owned()),
        None => bail!("the server did not start: see above"),
    }
}
