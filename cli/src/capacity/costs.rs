//! What an order costs, as it was measured: read from the results that `cargo xtask bench tikv` leaves.
//!
//! Lies with the program, so that `orderctl capacity` needs no file and no server.

use serde::Deserialize;

/// `cargo xtask bench tikv`.
const TIKV: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../bench/tikv.json"));

/// Costs that do not depend on the number of lines, and two points for those that do.
#[derive(Clone, Debug, PartialEq)]
pub struct Costs {
    /// Where it was measured.
    pub machine: String,
    /// Shards of the one member that was measured.
    pub shards: u32,
    /// Commands per second that one shard bears: as many as one processor does when all of a command's work is its.
    pub shard_commands_per_s: f64,
    /// Processor time of the member for an append, microseconds.
    pub cpu_us_per_append: f64,
    /// Reads for an append: the read-back, and rows that are not in memory.
    pub reads_per_append: f64,
    /// Timestamps for an append.
    pub timestamps_per_append: f64,
    /// Raft writes per second of a member with nothing to do.
    pub raft_writes_at_rest: f64,
    /// What was measured at each load, to hold the model against.
    pub measured: Vec<Measured>,
    few: Lines,
    many: Lines,
}

/// What depends on the lines of an order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lines {
    /// Lines of an order.
    pub lines: f64,
    /// Commands: its own, its holds, their answers.
    pub commands: f64,
    /// Processor time of the member besides appends, microseconds.
    pub cpu_us: f64,
    /// Rows that it leaves.
    pub rows: f64,
    /// KiB written: journal records and rows, keys included.
    pub kib_written: f64,
    /// Of these the journal's records.
    pub kib_journal: f64,
    /// KiB read.
    pub kib_read: f64,
}

/// A load and what it took, per order.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Lines of an order.
    pub lines: f64,
    /// Orders per second.
    pub orders_per_s: f64,
    /// Time to an answer, the median, milliseconds.
    pub p50_ms: f64,
    /// Appends to journals.
    pub appends: f64,
    /// All raft writes.
    pub raft_writes: f64,
    /// Processor time of the member, microseconds.
    pub cpu_us: f64,
}

#[derive(Deserialize)]
struct Tikv {
    machine: String,
    shards: u32,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    lines: f64,
    load: Option<Load>,
    #[serde(rename = "write transactions (raft writes)")]
    raft_writes: f64,
    #[serde(rename = "… appends to journals")]
    appends: f64,
    reads: f64,
    timestamps: f64,
    #[serde(rename = "KiB written (keys and values)")]
    kib_written: f64,
    #[serde(rename = "… of records")]
    kib_journal: f64,
    #[serde(rename = "KiB read (keys and values)")]
    kib_read: f64,
    #[serde(rename = "rows flushed")]
    rows: f64,
    #[serde(rename = "CPU of the member, ms")]
    cpu_ms: f64,
}

#[derive(Deserialize)]
struct Load {
    orders_per_s: f64,
    p50_ms: f64,
}

impl Column {
    fn orders_per_s(&self) -> f64 {
        self.load.as_ref().map_or(0.0, |load| load.orders_per_s)
    }

    fn measured(&self) -> Option<Measured> {
        let load = self.load.as_ref()?;
        Some(Measured {
            lines: self.lines,
            orders_per_s: load.orders_per_s,
            p50_ms: load.p50_ms,
            appends: self.appends,
            raft_writes: self.raft_writes,
            cpu_us: self.cpu_ms * 1e3,
        })
    }
}

impl Lines {
    /// KiB of rows: what is written besides the journal.
    pub fn kib_rows(&self) -> f64 {
        self.kib_written - self.kib_journal
    }

    /// Of one kind of order: commands from the load at which hardly any share an append, the rest from the
    /// greatest.
    fn new(slow: &Column, fast: &Column, cpu_us_per_append: f64) -> Self {
        Self {
            lines: slow.lines,
            commands: slow.appends,
            cpu_us: (fast.cpu_ms * 1e3 - fast.appends * cpu_us_per_append).max(0.0),
            rows: fast.rows,
            kib_written: fast.kib_written,
            kib_journal: fast.kib_journal,
            kib_read: fast.kib_read,
        }
    }
}

/// The slope of the straight line that lies closest to the points, never below zero.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let square: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let product: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if square > 0.0 { (product / square).max(0.0) } else { 0.0 }
}

impl Costs {
    /// The costs that came with this program.
    #[expect(clippy::expect_used, reason = "a test reads them: they are part of the program")]
    pub fn measured() -> Self {
        let tikv: Tikv = serde_json::from_str(TIKV).expect("bench/tikv.json holds what was measured");
        Self::of(&tikv)
    }

    #[expect(clippy::expect_used, reason = "a test reads them: they are part of the program")]
    fn of(tikv: &Tikv) -> Self {
        let mut loads: Vec<&Column> = tikv.columns.iter().filter(|column| column.load.is_some()).collect();
        loads.sort_by(|one, other| one.orders_per_s().total_cmp(&other.orders_per_s()));
        let lines = |fewest: bool| {
            let each = loads.iter().map(|column| column.lines);
            if fewest { each.fold(f64::INFINITY, f64::min) } else { each.fold(0.0, f64::max) }
        };
        let of = |lines: f64| loads.iter().filter(move |column| (column.lines - lines).abs() < 0.01);
        let ends = |lines: f64| (of(lines).next().expect("a load"), of(lines).next_back().expect("a load"));
        let (slow, fast) = ends(lines(true));
        let (many_slow, many_fast) = ends(lines(false));
        // At low rates what a member does for itself, and every time that it wakes up, weighs more than the orders.
        let busy = |column: &&&Column| column.orders_per_s() * 2.0 >= fast.orders_per_s();
        let points: Vec<_> = of(lines(true)).filter(busy).map(|column| (column.appends, column.cpu_ms * 1e3)).collect();
        let cpu_us_per_append = slope(&points);
        let rest = tikv.columns.iter().find(|column| column.load.is_none());
        Self {
            machine: tikv.machine.clone(),
            shards: tikv.shards,
            shard_commands_per_s: slow.appends / (fast.cpu_ms / 1e3),
            cpu_us_per_append,
            reads_per_append: fast.reads / fast.appends,
            timestamps_per_append: fast.timestamps / fast.appends,
            raft_writes_at_rest: rest.map_or(0.0, |rest| rest.raft_writes),
            measured: tikv.columns.iter().filter_map(Column::measured).collect(),
            few: Lines::new(slow, fast, cpu_us_per_append),
            many: Lines::new(many_slow, many_fast, cpu_us_per_append),
        }
    }

    /// What an order of so many lines costs: on the straight line through the two that were measured.
    pub fn of_lines(&self, lines: f64) -> Lines {
        let (few, many) = (&self.few, &self.many);
        let share = (lines - few.lines) / (many.lines - few.lines);
        let between = |of: fn(&Lines) -> f64| (of(few) + share * (of(many) - of(few))).max(0.0);
        Lines {
            lines,
            // An order is one command at least.
            commands: between(|of| of.commands).max(1.0),
            cpu_us: between(|of| of.cpu_us),
            rows: between(|of| of.rows),
            kib_written: between(|of| of.kib_written),
            kib_journal: between(|of| of.kib_journal),
            kib_read: between(|of| of.kib_read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_come_with_the_program_and_grow_with_the_lines() {
        let costs = Costs::measured();
        assert!(costs.shard_commands_per_s > 0.0 && costs.cpu_us_per_append > 0.0, "{costs:?}");
        let (two, nine) = (costs.of_lines(2.0), costs.of_lines(9.0));
        assert!(two.commands >= 3.0 && nine.commands > two.commands, "{two:?} {nine:?}");
        assert!(nine.kib_written > two.kib_written && two.kib_rows() > 0.0);
        assert!((two.commands - costs.few.commands).abs() < 1e-9, "at a measured point it is what was measured");
    }

    #[test]
    fn a_slope_is_that_of_the_points() {
        assert!((slope(&[(1.0, 3.0), (2.0, 5.0), (3.0, 7.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(1.0, 3.0), (2.0, 1.0)]).abs() < 1e-9, "never below zero");
    }
}
