//! The desk at which rows of the same reference are gathered into one order or credit.
//!
//! An order is sent whole or not at all: one row that cannot be understood refuses its reference.

use std::collections::VecDeque;
use std::hash::Hasher as _;

use bytes::Bytes;
use ordermill_api::Time;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use serde::Serialize;
use twox_hash::XxHash3_64;

use super::Options;
use super::report::Report;
use super::rows::{Outcome, Row, Units};
use crate::import::chunk::{CHUNK_BYTES, Chunk, LocalRefusal};

/// A reference whose rows are being gathered.
#[derive(Debug, Default)]
struct Invoice {
    reference: String,
    customer: Option<String>,
    placed_at: Option<Time>,
    credit: bool,
    first_row: u64,
    rows: Counts,
    lines: Vec<Line>,
    /// The SKUs of the lines, one after another.
    skus: String,
    /// Lines by SKU and price.
    by_units: FxHashMap<u64, usize>,
    refusal: Option<LocalRefusal>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    kept: u64,
    merged: u64,
    free: u64,
    refused: u64,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    sku: (usize, usize),
    quantity: u64,
    price: u64,
}

/// Gathers rows, and keeps the lines made from them until they are taken as a chunk.
#[derive(Debug)]
pub(super) struct Desk<'o> {
    options: &'o Options,
    skip: u64,
    open: VecDeque<Invoice>,
    /// Closed invoices, kept for the memory they own.
    spare: Vec<Invoice>,
    /// Hashes of all references that were ever opened.
    seen: FxHashSet<u64>,
    next_line: u64,
    first_line: u64,
    bytes: Vec<u8>,
    rows: Vec<u64>,
    refusals: Vec<LocalRefusal>,
}

impl<'o> Desk<'o> {
    pub(super) fn new(options: &'o Options, skip: u64) -> Self {
        Self {
            options,
            skip,
            open: VecDeque::new(),
            spare: Vec::new(),
            seen: FxHashSet::default(),
            next_line: 1,
            first_line: skip + 1,
            bytes: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8),
            rows: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// How much has been gathered for the next chunk.
    pub(super) fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes what has been gathered.
    pub(super) fn chunk(&mut self, position: u64) -> Chunk {
        let lines = self.rows.len() as u64;
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8));
        let chunk = Chunk {
            first_line: self.first_line,
            lines,
            last_answered: self.first_line + lines - 1,
            bytes: Bytes::from(bytes),
            rows: std::mem::take(&mut self.rows),
            refusals: std::mem::take(&mut self.refusals),
            position,
        };
        self.first_line += lines;
        chunk
    }

    /// Puts a row to its reference.
    pub(super) fn take(&mut self, row: Row<'_>, report: &mut Report) {
        if row.reference.is_empty() {
            let Outcome::Refused(reason) = row.outcome else { unreachable!("a row without a reference is refused") };
            report.refused_rows += 1;
            report.refused += 1;
            self.refuse(LocalRefusal { before_line: self.next_line, row: row.number, reference: None, reason });
            return;
        }
        let index = match self.open.iter().rposition(|invoice| invoice.reference == row.reference) {
            Some(index) => index,
            None => self.open(&row, report),
        };
        let invoice = &mut self.open[index];
        match row.outcome {
            Outcome::Kept(units) => invoice.add(units),
            Outcome::LeftOut(rule) => report.left_out(rule),
            Outcome::Refused(reason) => {
                invoice.rows.refused += 1;
                invoice.refuse(row.number, reason);
            }
        }
        if invoice.refusal.is_none() && invoice.customer.as_deref() != row.customer {
            let (one, other) = (invoice.customer.as_deref().unwrap_or("none"), row.customer.unwrap_or("none"));
            invoice.refuse(row.number, format!("the reference has two customers: {one} and {other}"));
        }
    }

    /// Closes every reference: the file has ended.
    pub(super) fn close_all(&mut self, report: &mut Report) {
        while let Some(invoice) = self.open.pop_front() {
            self.close(invoice, report);
        }
    }

    fn open(&mut self, row: &Row<'_>, report: &mut Report) -> usize {
        if self.open.len() >= self.options.open_references.max(1)
            && let Some(oldest) = self.open.pop_front()
        {
            self.close(oldest, report);
        }
        let mut invoice = self.spare.pop().unwrap_or_default();
        invoice.begin(row);
        if !self.seen.insert(XxHash3_64::oneshot(row.reference.as_bytes())) {
            let reason = "the reference stood further up already: sort the file by reference, or give a larger \
                          --open-references; what stood there is an order of its own";
            invoice.refuse(row.number, reason.to_owned());
        }
        match time(row.placed_at, self.options.time_format.as_deref()) {
            Ok(time) => invoice.placed_at = time,
            Err(reason) => invoice.refuse(row.number, reason),
        }
        self.open.push_back(invoice);
        self.open.len() - 1
    }

    fn close(&mut self, mut invoice: Invoice, report: &mut Report) {
        let rows = invoice.rows;
        if let Some(mut refusal) = invoice.refusal.take() {
            report.refused += 1;
            report.refused_rows += rows.kept + rows.merged + rows.refused;
            refusal.before_line = self.next_line;
            self.refuse(refusal);
        } else if invoice.lines.is_empty() {
            report.empty += 1;
        } else {
            report.merged_rows += rows.merged;
            report.free_rows += rows.free;
            if invoice.credit {
                report.credits += 1;
                report.credit_rows += rows.kept;
            } else {
                report.orders += 1;
                report.order_rows += rows.kept;
            }
            if self.next_line > self.skip {
                invoice.write(self.options, &mut self.bytes);
                self.rows.push(invoice.first_row);
            }
            self.next_line += 1;
        }
        self.spare.push(invoice);
    }

    fn refuse(&mut self, refusal: LocalRefusal) {
        if refusal.before_line > self.skip {
            self.refusals.push(refusal);
        }
    }
}

impl Invoice {
    /// Begins with `row`; what was in here before is forgotten.
    fn begin(&mut self, row: &Row<'_>) {
        self.reference.clear();
        self.reference.push_str(row.reference);
        self.customer = row.customer.map(str::to_owned);
        self.placed_at = None;
        self.credit = row.credit;
        self.first_row = row.number;
        self.rows = Counts::default();
        self.lines.clear();
        self.skus.clear();
        self.by_units.clear();
        self.refusal = None;
    }

    fn refuse(&mut self, row: u64, reason: String) {
        let reference = Some(self.reference.clone());
        self.refusal.get_or_insert(LocalRefusal { before_line: 0, row, reference, reason });
    }

    fn add(&mut self, units: Units<'_>) {
        if units.price == 0 && !self.credit {
            self.rows.free += 1;
        }
        let mut hasher = FxHasher::default();
        hasher.write(units.sku.as_bytes());
        hasher.write_u64(units.price);
        let next = self.lines.len();
        let index = *self.by_units.entry(hasher.finish()).or_insert(next);
        if let Some(line) = self.lines.get_mut(index)
            && line.price == units.price
            && &self.skus[line.sku.0..line.sku.1] == units.sku
        {
            line.quantity += units.quantity;
            self.rows.merged += 1;
            return;
        }
        let start = self.skus.len();
        self.skus.push_str(units.sku);
        self.lines.push(Line { sku: (start, self.skus.len()), quantity: units.quantity, price: units.price });
        self.rows.kept += 1;
    }

    /// Writes the line that is sent: an [`ordermill_api::ImportLine`], from borrowed text.
    fn write(&self, options: &Options, out: &mut Vec<u8>) {
        let sku = |line: &Line| &self.skus[line.sku.0..line.sku.1];
        let customer = self.customer.as_deref();
        let reference = self.reference.as_str();
        let written = if self.credit {
            let lines = self.lines.iter().map(|line| WireCreditLine { sku: sku(line), quantity: line.quantity });
            let credit = WireLine::Credit { customer, reference, lines: lines.collect() };
            serde_json::to_writer(&mut *out, &credit)
        } else {
            let currency = options.currency.as_str();
            let lines = self.lines.iter().map(|line| WireOrderLine {
                sku: sku(line),
                quantity: line.quantity,
                unit_price: WireMoney { amount: line.price, currency },
            });
            let (fulfilled, placed_at) = (options.fulfilled, self.placed_at);
            let order = WireLine::Order { customer, reference, lines: lines.collect(), fulfilled, placed_at };
            serde_json::to_writer(&mut *out, &order)
        };
        // Neither the text nor the memory written to can refuse.
        written.expect("a line of borrowed text is always JSON");
        out.push(b'\n');
    }
}

/// [`ordermill_api::ImportLine`] over borrowed text; a test keeps the two alike.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireLine<'a> {
    Order {
        #[serde(skip_serializing_if = "Option::is_none")]
        customer: Option<&'a str>,
        reference: &'a str,
        lines: Vec<WireOrderLine<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        fulfilled: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        placed_at: Option<Time>,
    },
    Credit {
        #[serde(skip_serializing_if = "Option::is_none")]
        customer: Option<&'a str>,
        reference: &'a str,
        lines: Vec<WireCreditLine<'a>>,
    },
}

#[derive(Serialize)]
struct WireOrderLine<'a> {
    sku: &'a str,
    quantity: u64,
    unit_price: WireMoney<'a>,
}

#[derive(Serialize)]
struct WireMoney<'a> {
    amount: u64,
    currency: &'a str,
}

#[derive(Serialize)]
struct WireCreditLine<'a> {
    sku: &'a str,
    quantity: u64,
}

/// When an order was placed: RFC 3339, a date with or without a time taken as UTC, or `format`.
fn time(text: &str, format: Option<&str>) -> Result<Option<Time>, String> {
    use jiff::civil::DateTime;
    if text.is_empty() {
        return Ok(None);
    }
    if format.is_none()
        && let Ok(time) = text.parse()
    {
        return Ok(Some(time));
    }
    let civil = match format {
        Some(format) => DateTime::strptime(format, text)
            .or_else(|_| jiff::civil::Date::strptime(format, text).map(|date| date.at(0, 0, 0, 0))),
        None => text.parse::<DateTime>(),
    };
    let hint = format.map_or("RFC 3339; say how it is written with --time-format", |_| "as --time-format says");
    let wrong = |_| format!("the time {text:?} is not {hint}");
    let stamp = civil.and_then(|civil| jiff::tz::TimeZone::UTC.to_timestamp(civil)).map_err(wrong)?;
    match u64::try_from(stamp.as_millisecond()) {
        Ok(ms) => Ok(Some(Time(ms))),
        Err(_) => Err(format!("the time {text:?} lies before 1970")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_come() {
        let expected = Ok(Some(Time(1_291_191_960_000)));
        assert_eq!(time("2010-12-01T08:26:00Z", None), expected);
        assert_eq!(time("2010-12-01 08:26", None), expected);
        assert_eq!(time("12/1/2010 8:26", Some("%m/%d/%Y %H:%M")), expected);
        assert_eq!(time("2010-12-01", None), Ok(Some(Time(1_291_161_600_000))));
        assert_eq!(time("01.12.2010", Some("%d.%m.%Y")), Ok(Some(Time(1_291_161_600_000))));
        assert_eq!(time("", None), Ok(None));
        assert!(time("12/1/2010 8:26", None).is_err_and(|reason| reason.contains("--time-format")));
        assert!(time("1969-12-31", None).is_err());
    }
}
