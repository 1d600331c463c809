//! The page that shows results: targets, the engine's figures, its peers', and what they ran on.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::figures::{Figures, Results};

/// Which way a figure should be from its target.
#[derive(Clone, Copy, Debug)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

/// What was asked for: figure, name, target, decimals.
const TARGETS: &[(&str, &str, Target, usize)] = &[
    ("orders_of_ceiling", "one order per request, of the ceiling", Target::AtLeast(0.6), 2),
    ("orders_of_postgres", "… of Postgres behind a thin server", Target::AtLeast(8.0), 1),
    ("orders_of_restate", "… of Restate", Target::AtLeast(40.0), 1),
    ("hot_of_postgres", "everybody wants the same item, of Postgres", Target::AtLeast(20.0), 1),
    ("hot_of_orders", "… of orders that want different ones", Target::AtLeast(0.8), 2),
    ("import_per_s", "bulk import, orders/s", Target::AtLeast(200_000.0), 0),
    ("open50_p99_ms", "half the peak rate, open loop: p99, ms", Target::AtMost(5.0), 1),
    ("written_of_journal", "bytes written to the disk, of the journal's", Target::AtMost(3.0), 2),
    ("kept_bytes", "memory per order of an import, bytes", Target::AtMost(300.0), 0),
    ("resident_mib", "a million open orders: resident, MiB", Target::AtMost(1_024.0), 0),
    ("restart_s", "ready again after a crash with them, s", Target::AtMost(2.0), 2),
];

/// Ratios below which something is broken, not slow: figure and bound.
const COLLAPSED: &[(&str, f64)] = &[("orders_of_ceiling", 0.02), ("hot_of_orders", 0.2), ("mixed_of_orders", 0.2)];

/// Further figures: figure, name, decimals.
const MORE: &[(&str, &str, usize)] = &[
    ("ceiling_per_s", "ceiling, requests/s", 0),
    ("orders_per_s", "one order per request, orders/s", 0),
    ("orders_p50_ms", "its p50, ms", 2),
    ("orders_p99_ms", "its p99, ms", 2),
    ("orders_cpu_us", "its CPU per order, µs", 1),
    ("orders_appends", "its appends per order", 3),
    ("orders_fsyncs", "its fsyncs per order", 4),
    ("orders_journal_bytes", "its journal bytes per order", 0),
    ("disk_of_orders", "the same blocks on the disk alone, of it", 1),
    ("varied_per_s", "two to fifteen lines, uneven, 1 % invalid, orders/s", 0),
    ("varied_p99_ms", "its p99, ms", 2),
    ("varied_cpu_us", "its CPU per order, µs", 1),
    ("mixed_per_s", "55 % orders, 30 % reads, 10 % shipments, 5 % cancellations, requests/s", 0),
    ("mixed_p99_ms", "its p99, ms", 2),
    ("mixed_of_orders", "of orders alone", 2),
    ("hot_per_s", "everybody wants the same item, orders/s", 0),
    ("scarce_wanted", "units wanted of a scarce item", 0),
    ("scarce_sold", "units sold of it (there were 10,000)", 0),
    ("tail1_per_s", "the event feed: one reader, events/s", 0),
    ("tail10_per_s", "ten readers, events/s in all", 0),
    ("tail100_per_s", "a hundred readers, events/s in all", 0),
    ("import_cpu_us", "import: CPU per order, µs", 1),
    ("import_appends", "its appends per order", 4),
    ("import_fsyncs", "its fsyncs per order", 5),
    ("import_journal_bytes", "its journal bytes per order", 0),
    ("resident_peak_mib", "most resident during the import, MiB", 0),
    ("restarted_mib", "resident after the restart, MiB", 0),
];

/// Load in hundredths of the peak rate, and quantiles of its latency: figure's ending and name.
pub(crate) const LOADS: [u32; 4] = [25, 50, 75, 90];
pub(crate) const QUANTILES: [(&str, &str, f64); 4] =
    [("p50_ms", "p50", 0.5), ("p99_ms", "p99", 0.99), ("p999_ms", "p99.9", 0.999), ("max_ms", "longest", 1.0)];

/// The peers' figures: figure, name, what it does not do.
const PEERS: &[(&str, &str, &str)] = &[
    ("postgres_per_s", "Postgres behind a thin server, orders/s", "no events, no payment, no steps on an order"),
    ("postgres_direct_per_s", "Postgres, the function called directly", "no HTTP either"),
    ("postgres_hot_per_s", "Postgres, everybody wants the same item", "as above"),
    ("postgres_direct_hot_per_s", "… called directly", "as above"),
    ("postgres_p99_ms", "Postgres behind a thin server: p99, ms", ""),
    ("restate_per_s", "Restate, orders/s", "no list of orders, no events, no steps on an order"),
    ("restate_hot_per_s", "Restate, everybody wants the same item", "as above"),
    ("restate_p99_ms", "Restate: p99, ms", ""),
];

fn line(out: &mut String, text: impl AsRef<str>) {
    writeln!(out, "{}", text.as_ref()).expect("a text takes everything");
}

/// The page, with the plots that stand beside it in `plots`.
pub(crate) fn page(results: &Results, plots: &[(&str, String)]) -> String {
    let mut page = String::from(
        "# Results\n\nWritten by `cargo xtask bench`; what each figure means, and why they differ, is in\n\
         [README.md](README.md). Every figure of every round: [results.json](results.json).\n\n",
    );
    line(
        &mut page,
        format!(
            "Medians of {} rounds of {} s, in brackets the least and the greatest. {}{}. {}\n",
            results.rounds,
            results.seconds,
            results.machine,
            if results.unoptimised { ", built without optimisation" } else { "" },
            results.versions.join("; "),
        ),
    );
    let heads: String = results.runs.iter().map(|run| format!(" {} |", run.name)).collect();
    let rules = "---|".repeat(results.runs.len());
    line(&mut page, format!("| figure | target |{heads}\n|---|---|{rules}"));
    for &(figure, name, target, decimals) in TARGETS {
        let (sign, bound) = match target {
            Target::AtLeast(bound) => ("at least", bound),
            Target::AtMost(bound) => ("at most", bound),
        };
        let cells: String = results.runs.iter().map(|run| judged(run, figure, target, decimals)).collect();
        line(&mut page, format!("| {name} | {sign} {} |{cells}", number(bound, decimals)));
    }
    for (what, file) in plots {
        line(&mut page, format!("\n![{what}]({file})"));
    }
    line(&mut page, format!("\n| figure |{heads}\n|---|{rules}"));
    for &(figure, name, decimals) in MORE {
        let cells: String = results.runs.iter().map(|run| format!(" {} |", cell(run, figure, decimals))).collect();
        line(&mut page, format!("| {name} |{cells}"));
    }
    for load in LOADS {
        for (ending, name, _) in QUANTILES {
            let figure = format!("open{load}_{ending}");
            let cells: String = results.runs.iter().map(|run| format!(" {} |", cell(run, &figure, 2))).collect();
            line(&mut page, format!("| open loop at {load} % of the peak: {name}, ms |{cells}"));
        }
    }
    line(&mut page, "\n| peer | figure | what it does less than the engine |\n|---|---|---|");
    for &(figure, name, less) in PEERS {
        let value = cell(&results.peers, figure, usize::from(figure.ends_with("_ms")));
        line(&mut page, format!("| {name} | {} | {less} |", if value.is_empty() { "not measured" } else { &value }));
    }
    page
}

/// Which ratios have collapsed: for a run that is too short to be believed otherwise.
pub(crate) fn collapsed(results: &Results) -> Vec<String> {
    let low = |run: &Figures, figure: &str, bound: f64| {
        let value = run.median(figure).unwrap_or_default();
        (value < bound).then(|| format!("{}: {figure} is {value:.3}, below {bound}", run.name))
    };
    let of_run = |run| COLLAPSED.iter().filter_map(move |&(figure, bound)| low(run, figure, bound));
    results.runs.iter().flat_map(of_run).collect()
}

/// Writes the page; what the file holds of the workload on TiKV stays.
pub(crate) fn write(page: &str, path: &Path) -> Result<()> {
    let (_, on_tikv) = parts(path)?;
    std::fs::write(path, page.to_owned() + &on_tikv).with_context(|| format!("{} cannot be written", path.display()))
}

/// How the section about TiKV begins, in the file of results.
pub(crate) const ON_TIKV: &str = "\n## On TiKV";

/// What a file of results holds before the section about TiKV, and from it on. Nothing where there is no file.
pub(crate) fn parts(path: &Path) -> Result<(String, String)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    let at = text.find(ON_TIKV).unwrap_or(text.len());
    Ok((text[..at].to_owned(), text[at..].to_owned()))
}

fn judged(run: &Figures, figure: &str, target: Target, decimals: usize) -> String {
    let met = match run.median(figure) {
        None => "not measured",
        Some(median) if target.is_met(median) => "**met**",
        Some(_) => "not met",
    };
    format!(" {} {met} |", cell(run, figure, decimals))
}

fn cell(run: &Figures, figure: &str, decimals: usize) -> String {
    match run.spread(figure) {
        None => String::new(),
        Some([median, least, most]) if least < most => {
            format!("{} ({} to {})", number(median, decimals), number(least, decimals), number(most, decimals))
        }
        Some([median, ..]) => number(median, decimals),
    }
}

/// With thousands apart.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) && !out.ends_with('-') {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// What it ran on.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let gib = crate::server::memory_total_mib() >> 10;
    // What a distributor calls its build of it says nothing to others.
    let version: Vec<&str> = kernel.trim().split('.').take(2).collect();
    format!("{cores} cores shared by client and server, {gib} GiB, Linux {}", version.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(figures: &[(&str, f64)]) -> Results {
        let mut run = Figures::new("1 shard");
        figures.iter().for_each(|&(figure, value)| run.add(figure, value));
        Results { rounds: 3, seconds: 5, runs: vec![run], ..Results::default() }
    }

    #[test]
    fn each_workload_leaves_the_section_of_the_other() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let path = dir.path().join("RESULTS.md");
        assert_eq!(parts(&path).expect("no file is no error"), (String::new(), String::new()));
        std::fs::write(&path, "# Results\n\nan earlier page\n\n## On TiKV\n\nkept\n").expect("a file can be written");
        write(&page(&results(&[]), &[]), &path).expect("a file can be written");
        let (page, on_tikv) = parts(&path).expect("a file");
        assert!(page.starts_with("# Results") && !page.contains("an earlier page"), "{page}");
        assert_eq!(on_tikv, "\n## On TiKV\n\nkept\n");
    }

    #[test]
    fn a_page_shows_medians_and_whether_targets_are_met() {
        let ratio = |value| ("orders_of_ceiling", value);
        let page = page(&results(&[ratio(0.4), ratio(0.7), ratio(0.65), ("import_per_s", 60_000.0)]), &[]);
        assert!(
            page.contains("| one order per request, of the ceiling | at least 0.60 | 0.65 (0.40 to 0.70) **met** |"),
            "{page}"
        );
        assert!(page.contains("| bulk import, orders/s | at least 200,000 | 60,000 not met |"), "{page}");
        assert!(page.contains("| Restate, orders/s | not measured |"), "{page}");
    }

    #[test]
    fn a_ratio_that_has_collapsed_is_named() {
        let fine = [("orders_of_ceiling", 0.2), ("hot_of_orders", 0.9), ("mixed_of_orders", 1.1)];
        assert_eq!(collapsed(&results(&fine)), Vec::<String>::new());
        let slow = [("orders_of_ceiling", 0.001), ("hot_of_orders", 0.9), ("mixed_of_orders", 1.1)];
        assert_eq!(collapsed(&results(&slow)), ["1 shard: orders_of_ceiling is 0.001, below 0.02"]);
        assert_eq!(collapsed(&results(&[])).len(), 3, "what was not measured is not fine");
    }
}
