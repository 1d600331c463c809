//! Runs simulations of whole clusters: one seed with its log, or new seeds until one fails.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ordermill_simulation::cluster::{Counts, Report, Settings, run};

/// How often the hunt tells how far it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// Simulates whole clusters.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Arguments {
    /// Run this seed alone and print all that happens.
    #[arg(long, conflicts_with = "minutes")]
    seed: Option<u64>,
    /// Run seeds, one after another, for so many minutes, or until one fails.
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// The first seed of a hunt; without it, another one each time.
    #[arg(long)]
    from: Option<u64>,
    /// Shards are split meanwhile.
    #[arg(long)]
    splits: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings { splits: arguments.splits, ..Settings::default() };
    let done = match arguments.seed {
        Some(seed) => replay(seed, &settings),
        None => hunt(arguments.from, Duration::from_secs(60 * arguments.minutes), &settings),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read it has gone.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints the log of a seed; says whether it went well.
fn replay(seed: u64, settings: &Settings) -> std::io::Result<bool> {
    let report = run(seed, settings);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in &report.log {
        writeln!(out, "{line}")?;
    }
    let Report { counts, happened, calls, digest, wrong, .. } = report;
    writeln!(out, "{happened:?}")?;
    writeln!(out, "seed {seed}: {counts:?}, {calls} calls of the store, digest {digest:016x}")?;
    wrong.iter().try_for_each(|wrong| writeln!(out, "wrong: {wrong}"))?;
    out.flush()?;
    Ok(wrong.is_empty())
}

/// Runs seeds until one fails or the time is over; says whether all went well.
#[expect(clippy::disallowed_methods, reason = "how long a hunt takes is not simulated")]
fn hunt(from: Option<u64>, time: Duration, settings: &Settings) -> std::io::Result<bool> {
    let began = Instant::now();
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let first = from.unwrap_or_else(|| since_epoch.as_secs() * 1_000);
    let (mut seed, mut all, mut happened, mut told) = (first, Counts::default(), BTreeMap::new(), began);
    while began.elapsed() < time {
        let report = run(seed, settings);
        all.add(&report.counts);
        report.happened.iter().for_each(|(what, times)| *happened.entry(*what).or_insert(0) += times);
        if !report.wrong.is_empty() {
            let splits = if settings.splits { " --splits" } else { "" };
            println!("seed {seed} fails; `cargo xtask sim --seed {seed}{splits}` replays it");
            report.wrong.iter().for_each(|wrong| println!("wrong: {wrong}"));
            return Ok(false);
        }
        seed += 1;
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            println!("{} seeds from {first} in {:.0?}: {all:?}", seed - first, began.elapsed());
            std::io::stdout().flush()?;
        }
    }
    println!("{} seeds from {first} went well in {:.0?}: {all:?}, {happened:?}", seed - first, began.elapsed());
    Ok(true)
}
