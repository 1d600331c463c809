//! CSV becomes NDJSON: rows are read by a mapping, dirty ones sorted out by stated rules, and the
//! rows of one reference made into one line.
//!
//! The rules are in the README; each has a counter in [`Report`], so that nothing is left out
//! silently.

mod invoice;
mod mapping;
mod report;
mod rows;
pub mod stock;

use ::csv::{ByteRecord, ReaderBuilder};
use serde::Serialize;

pub use mapping::{Field, Mapping};
pub use report::{Report, Rule};

use super::chunk::CHUNK_BYTES;
use super::input::Source;
use super::{Emit, Flow, InputError};
use crate::pattern;

/// How CSV is read.
#[derive(Clone, Debug, Serialize)]
pub struct Options {
    /// Which column is what.
    pub mapping: Mapping,
    /// The currency of all prices.
    pub currency: String,
    /// Prices are decimals such as `2.55`, not minor units such as `255`.
    pub decimal_prices: bool,
    /// References that begin so are credits.
    pub credit_prefix: Option<String>,
    /// SKUs that are not goods.
    pub skip_skus: pattern::List,
    /// What happens to rows with price zero.
    pub zero_price: ZeroPrice,
    /// The goods of all orders have left.
    pub fulfilled: bool,
    /// Between the fields of a row.
    pub delimiter: u8,
    /// How times are written (strftime); default: RFC 3339, or a date and time taken as UTC.
    pub time_format: Option<String>,
    /// How many references may be open at once: 1 means that the rows of a reference follow one
    /// another directly.
    pub open_references: usize,
}

/// What happens to rows with price zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ZeroPrice {
    /// They are free goods.
    #[default]
    Keep,
    /// They are left out.
    Skip,
}

impl Options {
    /// Options that read `mapping` and change nothing.
    pub fn new(mapping: Mapping, currency: &str) -> Self {
        Self {
            mapping,
            currency: currency.to_owned(),
            decimal_prices: false,
            credit_prefix: None,
            skip_skus: pattern::List::default(),
            zero_price: ZeroPrice::Keep,
            fulfilled: false,
            delimiter: b',',
            time_format: None,
            open_references: 1,
        }
    }
}

/// Reads `source` and hands on the lines made from it, those after line `skip` only. The report is
/// of the whole file in any case.
pub fn produce(source: Source, options: &Options, skip: u64, emit: &mut Emit<'_>) -> Result<Report, InputError> {
    let position = source.position.clone();
    let mut reader = reader(source, options);
    let columns = mapping::Columns::find(&options.mapping, reader.byte_headers()?, mapping::FOR_ORDERS)?;
    let rows = rows::Rows::new(options, columns);
    let mut desk = invoice::Desk::new(options, skip);
    let mut report = Report::default();
    let mut record = ByteRecord::new();
    let mut row_number = 0;
    while reader.read_byte_record(&mut record)? {
        row_number = record.position().map_or(row_number + 1, ::csv::Position::line);
        report.rows += 1;
        desk.take(rows.read(row_number, &record), &mut report);
        if desk.size_bytes() >= CHUNK_BYTES && emit(desk.chunk(position.get())) == Flow::Stop {
            return Ok(report);
        }
    }
    desk.close_all(&mut report);
    let last = desk.chunk(position.get());
    if last.lines > 0 || !last.refusals.is_empty() {
        emit(last);
    }
    Ok(report)
}

fn reader(source: Source, options: &Options) -> ::csv::Reader<Box<dyn std::io::BufRead + Send>> {
    ReaderBuilder::new()
        .delimiter(options.delimiter)
        .flexible(true)
        .buffer_capacity(CHUNK_BYTES)
        .from_reader(source.reader)
}

#[cfg(test)]
mod tests;
