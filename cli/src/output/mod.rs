//! What is printed to standard output: tables for people, JSON for programs.
//!
//! Nothing here asks the server anything. A reader that goes away ends the program quietly.

pub mod cluster;
pub mod items;
pub mod orders;

use std::io::{self, Write as _};

use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};
use serde::Serialize;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Columns for people.
    Table,
}

/// Standard output in one format.
#[derive(Debug)]
pub struct Out {
    /// How answers are printed.
    pub format: Format,
    stdout: io::BufWriter<io::Stdout>,
}

impl Out {
    /// Standard output; a table on a terminal and JSON elsewhere, unless said otherwise.
    pub fn new(format: Option<Format>) -> Self {
        use std::io::IsTerminal as _;
        let by_place = if io::stdout().is_terminal() { Format::Table } else { Format::Json };
        Self { format: format.unwrap_or(by_place), stdout: io::BufWriter::new(io::stdout()) }
    }

    /// Prints one object: as a line of JSON, or as `table` shows it.
    pub fn one<T: Serialize>(&mut self, value: &T, table: impl FnOnce(&T) -> String) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(value)?,
            Format::Table => writeln!(self.stdout, "{}", table(value))?,
        }
        self.stdout.flush()
    }

    /// Prints a page of objects: a line of JSON each, or a table of which only the first page has
    /// the head. The columns of the pages `before` are kept.
    pub fn page<T: Serialize>(
        &mut self,
        values: &[T],
        before: &mut Widths,
        last: bool,
        table: impl FnOnce(&[T], &mut Widths) -> String,
    ) -> io::Result<()> {
        let first = before.0.is_empty();
        match self.format {
            Format::Json => values.iter().try_for_each(|value| self.json(value))?,
            // A filter may leave pages empty; that there is nothing at all is told once.
            Format::Table if values.is_empty() && !(first && last) => {}
            Format::Table => {
                let text = table(values, before);
                let text = if first { &text } else { text.split_once('\n').map_or("", |(_, rows)| rows) };
                writeln!(self.stdout, "{text}")?;
            }
        }
        self.stdout.flush()
    }

    /// Prints text as it is, with a line end.
    pub fn text(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.stdout, "{text}")?;
        self.stdout.flush()
    }

    /// Prints bytes as they are; call [`Self::flush`] after the last.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes)
    }

    /// Lets out what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }

    fn json<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        serde_json::to_writer(&mut self.stdout, value)?;
        self.stdout.write_all(b"\n")
    }
}

/// How wide the columns of the tables so far are; empty before the first.
#[derive(Clone, Debug, Default)]
pub struct Widths(Vec<u16>);

/// A table without lines: a head in capitals, columns two spaces apart.
pub fn columns(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    columns_below(&mut Widths::default(), head, rows)
}

/// The same below other tables, no column of it narrower than theirs.
pub fn columns_below(above: &mut Widths, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(|name| name.to_uppercase()));
    table.add_rows(rows);
    let count = table.column_count();
    for (index, name) in head.iter().enumerate().take(count) {
        if let Some(column) = table.column_mut(index) {
            column.set_padding((0, GAP));
            if let Some(width) = above.0.get(index) {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + GAP)));
            }
            if NUMBERS.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let mut widths = table.column_max_content_widths();
    widths.iter_mut().zip(&above.0).for_each(|(width, above)| *width = (*width).max(*above));
    above.0 = widths;
    trim_ends(&table.to_string())
}

/// How far columns are apart.
const GAP: u16 = 2;

/// Columns that hold numbers and are set to the right.
const NUMBERS: &[&str] = &[
    "quantity",
    "price",
    "amount",
    "total",
    "on hand",
    "held",
    "available",
    "backordered",
    "received",
    "fulfilled",
    "restocked",
    "cancelled",
    "returned",
    "requested",
    "version",
    "line",
    "lines",
    "rows",
    "orders",
    "count",
    "shards",
    "shard",
    "heard",
    "busy",
    "delay",
    "per second",
    "unflushed",
    "records",
    "moves",
    "epoch",
    "last",
    "checkpoint",
    "oldest",
    "newest",
    "orders/s",
];

/// Names and values below each other.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = pairs.iter().map(|(name, value)| format!("{name:width$}  {value}"));
    trim_ends(&lines.collect::<Vec<_>>().join("\n"))
}

/// The word that an enum of the API has on the wire.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// `count` with thousands apart: `541,909`.
pub fn grouped(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// `text` without what would move or colour a terminal: a refused line may hold anything.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

fn trim_ends(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["85123A".to_owned(), "6".to_owned()], vec!["POST".to_owned(), "1234".to_owned()]];
        let table = columns(&["sku", "quantity"], rows);
        assert_eq!(table, "SKU     QUANTITY\n85123A         6\nPOST        1234");
    }

    #[test]
    fn columns_keep_their_width_below_wider_ones() {
        let row = |sku: &str, quantity: &str| vec![sku.to_owned(), quantity.to_owned(), "x".to_owned()];
        let (mut widths, head) = (Widths::default(), ["sku", "quantity", "note"]);
        columns_below(&mut widths, &head, [row("BANK CHARGES", "1")]);
        let table = columns_below(&mut widths, &head, [row("ü", "1234567890")]);
        assert_eq!(table, "SKU             QUANTITY  NOTE\nü             1234567890  x");
        let table = columns_below(&mut widths, &head, [row("a", "1")]);
        assert_eq!(table, "SKU             QUANTITY  NOTE\na                      1  x");
    }

    #[test]
    fn words_are_those_of_the_wire() {
        assert_eq!(word(&ordermill_api::Status::PartiallyFulfilled), "partially_fulfilled");
        assert_eq!(grouped(541_909), "541,909");
        assert_eq!(pairs(&[("id", "x".into()), ("status", "y".into())]), "id      x\nstatus  y");
    }
}
