//! What was measured: every figure of every round, kept as JSON, and what runs are compared by.
//!
//! Knows no figure by its name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::server::Usage;

/// What was measured of one thing: the engine with so many shards, or all peers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// What was measured.
    pub(crate) name: String,
    /// A value for each round, by figure.
    figures: BTreeMap<String, Vec<f64>>,
}

impl Figures {
    /// Nothing yet.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), figures: BTreeMap::new() }
    }

    /// One measurement.
    pub(crate) fn add(&mut self, figure: &str, value: f64) {
        self.figures.entry(figure.to_owned()).or_default().push(value);
    }

    /// What one order has used.
    pub(crate) fn per_order(&mut self, workload: &str, each: Usage) {
        self.add(&format!("{workload}_cpu_us"), each.cpu_s * 1e6);
        self.add(&format!("{workload}_appends"), each.appends);
        self.add(&format!("{workload}_fsyncs"), each.fsyncs);
        self.add(&format!("{workload}_journal_bytes"), each.journal_bytes);
    }

    /// The last measurement of a figure.
    pub(crate) fn last(&self, figure: &str) -> Option<f64> {
        self.figures.get(figure)?.last().copied()
    }

    /// Adds `figure` of the round that has just been measured as a ratio to `other`'s `of`; nothing where one is missing.
    pub(crate) fn add_ratio(&mut self, name: &str, figure: &str, other: &Self, of: &str) {
        if let (Some(mine), Some(theirs)) = (self.last(figure), other.last(of)) {
            self.add(name, mine / theirs);
        }
    }

    /// The names of all figures.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.figures.keys().map(String::as_str)
    }

    /// Median, least and greatest; `None` when it was not measured.
    pub(crate) fn spread(&self, figure: &str) -> Option<[f64; 3]> {
        let mut values = self.figures.get(figure)?.clone();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some([median, *values.first()?, *values.last()?])
    }

    /// The median; `None` when it was not measured.
    pub(crate) fn median(&self, figure: &str) -> Option<f64> {
        self.spread(figure).map(|[median, ..]| median)
    }

    /// Shows everything.
    pub(crate) fn print(&self) {
        for figure in self.names() {
            let [median, least, most] = self.spread(figure).unwrap_or_default();
            println!("{:10}  {figure:28} {median:14.3}   ({least:.3} to {most:.3})", self.name);
        }
    }
}

/// Everything of one run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What it ran on.
    pub(crate) machine: String,
    /// What else was measured, as it names itself.
    pub(crate) versions: Vec<String>,
    /// Built without optimisation.
    pub(crate) unoptimised: bool,
    /// Rounds.
    pub(crate) rounds: usize,
    /// Seconds of each load.
    pub(crate) seconds: u64,
    /// The engine, by its number of shards.
    pub(crate) runs: Vec<Figures>,
    /// What it is compared with.
    pub(crate) peers: Figures,
}

impl Results {
    /// Reads what [`Results::write`] has written.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} holds no results", path.display()))
    }

    /// Writes everything as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// All that has figures.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Figures> {
        self.runs.iter().chain([&self.peers])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let path = dir.path().join("results.json");
        let mut run = Figures::new("1 shard");
        run.add("orders_per_s", 1_234.5);
        let results = Results { rounds: 1, seconds: 5, runs: vec![run], ..Results::default() };
        results.write(&path).expect("a file can be written");
        assert_eq!(Results::read(&path).expect("results"), results);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let (mut mine, mut peers) = (Figures::new("1 shard"), Figures::new("peers"));
        for (ours, theirs) in [(10.0, 2.0), (12.0, 4.0)] {
            mine.add("per_s", ours);
            peers.add("theirs_per_s", theirs);
            mine.add_ratio("of_theirs", "per_s", &peers, "theirs_per_s");
        }
        mine.add_ratio("of_nobodys", "per_s", &peers, "nobodys_per_s");
        assert_eq!(mine.spread("of_theirs"), Some([4.0, 3.0, 5.0]));
        assert_eq!(mine.spread("of_nobodys"), None);
    }
}
