//! Figures of all rounds, their medians, and the page that shows them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::server::Usage;

/// What was measured with one number of shards.
#[derive(Debug)]
pub(crate) struct Figures {
    shards: u32,
    all: BTreeMap<String, Vec<f64>>,
}

impl Figures {
    /// Nothing yet.
    pub(crate) fn new(shards: u32) -> Self {
        Self { shards, all: BTreeMap::new() }
    }

    /// One measurement.
    pub(crate) fn add(&mut self, name: &str, value: f64) {
        self.all.entry(name.to_owned()).or_default().push(value);
    }

    /// What one order has used.
    pub(crate) fn per_order(&mut self, workload: &str, each: Usage) {
        self.add(&format!("{workload}_cpu_us"), each.cpu_s * 1e6);
        self.add(&format!("{workload}_appends"), each.appends);
        self.add(&format!("{workload}_fsyncs"), each.fsyncs);
        self.add(&format!("{workload}_journal_bytes"), each.journal_bytes);
    }

    /// Median, least and greatest; `None` when it was not measured.
    fn spread(&self, name: &str) -> Option<[f64; 3]> {
        let mut values = self.all.get(name)?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some([median, *values.first()?, *values.last()?])
    }

    /// Shows everything.
    pub(crate) fn print(&self) {
        for name in self.all.keys() {
            let [median, least, most] = self.spread(name).unwrap_or_default();
            println!("{:3} shards  {name:24} {median:14.3}   ({least:.3} to {most:.3})", self.shards);
        }
    }
}

/// Which way a figure should be from its target.
#[derive(Clone, Copy, Debug)]
enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// What was asked for: figure, name, target, decimals.
const TARGETS: &[(&str, &str, Target, usize)] = &[
    ("orders_of_ceiling", "one order per request, of the ceiling", Target::AtLeast(0.5), 2),
    ("import_per_s", "bulk import, orders/s", Target::AtLeast(150_000.0), 0),
    ("hot_of_orders", "everybody wants the same item, of the first", Target::AtLeast(0.8), 2),
    ("open_p99_ms", "half the peak rate, open loop: p99, ms", Target::AtMost(10.0), 1),
    ("resident_mib", "a million open orders: resident, MiB", Target::AtMost(1_024.0), 0),
    ("restart_s", "ready again after a crash with them, s", Target::AtMost(2.0), 2),
];

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
    ("hot_per_s", "everybody wants the same item, orders/s", 0),
    ("scarce_wanted", "units wanted of a scarce item", 0),
    ("scarce_sold", "units sold of it (there were 5,000)", 0),
    ("open_per_s", "open loop, orders/s", 0),
    ("open_p50_ms", "its p50, ms", 2),
    ("open_p999_ms", "its p99.9, ms", 1),
    ("open_max_ms", "its longest, ms", 1),
    ("import_cpu_us", "import: CPU per order, µs", 1),
    ("import_appends", "its appends per order", 4),
    ("import_fsyncs", "its fsyncs per order", 5),
    ("import_journal_bytes", "its journal bytes per order", 0),
    ("resident_peak_mib", "most resident during the import, MiB", 0),
    ("restarted_mib", "resident after the restart, MiB", 0),
];

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Results {
    rounds: usize,
    seconds: u64,
    runs: Vec<Figures>,
}

impl Results {
    /// Nothing yet.
    pub(crate) fn new(rounds: usize, seconds: u64) -> Self {
        Self { rounds, seconds, runs: Vec::new() }
    }

    /// What was measured with one number of shards.
    pub(crate) fn add(&mut self, figures: Figures) {
        self.runs.push(figures);
    }

    fn page(&self) -> String {
        let mut page = String::from(
            "# Results\n\nWritten by `cargo xtask bench all`; what each figure means, and why they differ, is in\n[README.md](README.md).\n\n",
        );
        let text = |out: &mut String, line: String| writeln!(out, "{line}").expect("a text takes everything");
        text(
            &mut page,
            format!(
                "Medians of {} rounds of {} s, in brackets the least and the greatest. {}.\n",
                self.rounds,
                self.seconds,
                machine()
            ),
        );
        let heads: String = self.runs.iter().map(|run| format!(" {} |", shards(run.shards))).collect();
        let rules = "---|".repeat(self.runs.len());
        text(&mut page, format!("| figure | target |{heads}\n|---|---|{rules}"));
        for &(figure, name, target, decimals) in TARGETS {
            let (sign, bound) = match target {
                Target::AtLeast(bound) => ("at least", bound),
                Target::AtMost(bound) => ("at most", bound),
            };
            let cells = self.cells(figure, decimals, |median| match target {
                Target::AtLeast(bound) => median >= bound,
                Target::AtMost(bound) => median <= bound,
            });
            text(&mut page, format!("| {name} | {sign} {} |{cells}", number(bound, decimals)));
        }
        text(&mut page, format!("\n| figure |{heads}\n|---|{rules}"));
        for &(figure, name, decimals) in MORE {
            let cells: String = self.runs.iter().map(|run| format!(" {} |", cell(run, figure, decimals))).collect();
            text(&mut page, format!("| {name} |{cells}"));
        }
        page
    }

    fn cells(&self, figure: &str, decimals: usize, is_met: impl Fn(f64) -> bool) -> String {
        let one = |run: &Figures| {
            let met = run.spread(figure).map_or(
                "not measured",
                |[median, ..]| {
                    if is_met(median) { "**met**" } else { "not met" }
                },
            );
            format!(" {} {met} |", cell(run, figure, decimals))
        };
        self.runs.iter().map(one).collect()
    }

    /// Writes the page; what the file holds of the workload on TiKV stays.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let (_, on_tikv) = parts(path)?;
        let page = self.page() + &on_tikv;
        std::fs::write(path, page).with_context(|| format!("{} cannot be written", path.display()))
    }
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
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 =
        memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores shared by client and server, {} GiB, Linux {}", kib >> 20, kernel.trim())
}

fn shards(count: u32) -> String {
    if count == 1 { "1 shard".to_owned() } else { format!("{count} shards") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workload_leaves_the_section_of_the_other() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let path = dir.path().join("RESULTS.md");
        assert_eq!(parts(&path).expect("no file is no error"), (String::new(), String::new()));
        std::fs::write(&path, "# Results\n\nan earlier page\n\n## On TiKV\n\nkept\n").expect("a file can be written");
        Results::new(1, 1).write(&path).expect("a file can be written");
        let (page, on_tikv) = parts(&path).expect("a file");
        assert!(page.starts_with("# Results") && !page.contains("an earlier page"), "{page}");
        assert_eq!(on_tikv, "\n## On TiKV\n\nkept\n");
    }

    #[test]
    fn a_page_shows_medians_and_whether_targets_are_met() {
        let mut figures = Figures::new(1);
        for value in [0.4, 0.6, 0.55] {
            figures.add("orders_of_ceiling", value);
        }
        figures.add("import_per_s", 60_000.0);
        let mut results = Results::new(3, 5);
        results.add(figures);
        let page = results.page();
        assert!(
            page.contains("| one order per request, of the ceiling | at least 0.50 | 0.55 (0.40 to 0.60) **met** |"),
            "{page}"
        );
        assert!(page.contains("| bulk import, orders/s | at least 150,000 | 60,000 not met |"), "{page}");
    }
}
