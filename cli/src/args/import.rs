//! The import, and how CSV is read.

use std::path::PathBuf;
use std::time::Duration;

use super::values;
use crate::import::csv::{Mapping, Options, ZeroPrice};
use crate::import::{Layout, input};
use crate::{money, pattern};

/// The rules for CSV, at the end of the long help.
const CSV_RULES: &str = "\
CSV:
  --map names the columns: reference, sku, quantity and unit_price are needed, customer and placed_at may be there.
  The rows of one reference make one order and follow one another; a reference that comes again later is refused,
  unless --open-references allows for a few others in between. For each row, in this order:
    not goods         its SKU is in --skip-skus: left out
    credit            its reference begins with --credit-prefix: the order becomes a credit, its negative
                      quantities units that came back; a positive quantity is left out, prices are not looked at
    negative price    left out
    written off       a negative quantity in an order (a stock write-off): left out
    quantity zero     left out
    price             with --decimal-prices 2.55 becomes 255, exactly; more decimals than the currency has are
                      refused; without it prices are minor units
    price zero        kept as free goods, or left out with --zero-price skip
  Rows of one reference with the same SKU and price are added up; with another price they stay a line of their own.
  A reference that is left with no rows is skipped. A row that cannot be understood, or a second customer, refuses
  the whole reference: an order is sent whole or not at all. Customers and SKUs are taken as they are written.
  placed_at is that of the first row: RFC 3339, a date and time taken as UTC, or as --time-format says.
  How many rows fell under each rule is told at the end.

Interruptions:
  How far it has come is kept in FILE.orderctl-import; the same command goes on from there. Lines whose answer was
  lost are sent again and counted as duplicates: their references make that harmless. While the server is away,
  it waits, up to --retry-for.

Exit codes: 0 every line accepted, 1 failed, 2 some lines refused, 130 interrupted.";

/// What is imported, and how.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CSV_RULES)]
pub struct ImportArgs {
    /// The file, or - for standard input: NDJSON, one order or credit per line, or CSV with --map. May be
    /// compressed with gzip, whatever its name.
    pub file: PathBuf,
    /// Keep the answers in this file, NDJSON; - for standard output.
    #[arg(long, value_name = "FILE")]
    pub results: Option<PathBuf>,
    /// Keep refused lines with the reasons in this file, NDJSON.
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// How many refused lines are shown.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub show_rejects: usize,
    /// Where to keep how far it has come [default: FILE.orderctl-import].
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Begin at the first line, whatever was kept.
    #[arg(long)]
    pub restart: bool,
    /// How long the server may be away.
    #[arg(long, default_value = "120s", value_parser = values::duration, value_name = "TIME")]
    pub retry_for: Duration,
    /// Print what would be sent instead of sending it, as `convert` does.
    #[arg(long)]
    pub dry_run_map: bool,
    /// How CSV is read.
    #[command(flatten)]
    pub csv: CsvArgs,
}

/// What is converted, and how.
#[derive(Debug, clap::Args)]
#[command(after_long_help = CSV_RULES)]
pub struct ConvertArgs {
    /// The file, or - for standard input; may be compressed with gzip.
    pub file: PathBuf,
    /// How many refused references are shown.
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub show_rejects: usize,
    /// How CSV is read.
    #[command(flatten)]
    pub csv: CsvArgs,
}

/// How CSV is read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "CSV options")]
pub struct CsvArgs {
    /// The input is CSV; implied by --map.
    #[arg(long, requires = "map")]
    pub csv: bool,
    /// Which column is what, such as reference=InvoiceNo,sku=StockCode,quantity=Quantity,unit_price=UnitPrice.
    #[arg(long, value_name = "FIELD=COLUMN,…")]
    pub map: Option<Mapping>,
    /// The currency of all prices.
    #[arg(long, value_parser = currency, value_name = "CODE")]
    pub currency: Option<String>,
    /// Prices are decimals such as 2.55, not minor units such as 255.
    #[arg(long)]
    pub decimal_prices: bool,
    /// References that begin so are credits.
    #[arg(long, value_name = "TEXT")]
    pub credit_prefix: Option<String>,
    /// SKUs that are not goods, with commas; * stands for anything, such as 'POST,D,gift_*'.
    #[arg(long, value_name = "SKUS")]
    pub skip_skus: Option<pattern::List>,
    /// What happens to rows with price zero.
    #[arg(long, value_enum, default_value_t = ZeroPrice::Keep)]
    pub zero_price: ZeroPrice,
    /// The goods of all orders have left: orders of the past.
    #[arg(long)]
    pub fulfilled: bool,
    /// How times are written (strftime), such as '%m/%d/%Y %H:%M'; taken as UTC.
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<String>,
    /// What stands between the fields.
    #[arg(long, default_value = ",", value_parser = delimiter, value_name = "CHARACTER")]
    pub delimiter: u8,
    /// How many references may be mixed: 1 means that the rows of a reference follow one another directly.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub open_references: usize,
}

impl CsvArgs {
    /// How an input is written; `name` is its name.
    pub fn layout(&self, name: &std::path::Path) -> Result<Layout, String> {
        if let Some(options) = self.options()? {
            return Ok(Layout::Csv(Box::new(options)));
        }
        let unpacked =
            if name.extension().is_some_and(|end| end == "gz") { name.with_extension("") } else { name.into() };
        if unpacked.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv")) {
            return Err("this looks like CSV: say which column is what with --map (see --help)".to_owned());
        }
        Ok(Layout::Ndjson)
    }

    /// How CSV is read; none when there is no mapping.
    pub fn options(&self) -> Result<Option<Options>, String> {
        let Some(mapping) = &self.map else { return Ok(None) };
        let priced = mapping.column(crate::import::csv::Field::UnitPrice).is_some();
        let currency = match &self.currency {
            Some(currency) => currency.as_str(),
            None if priced => return Err("say which currency the prices are in: --currency GBP".to_owned()),
            None => "",
        };
        Ok(Some(Options {
            decimal_prices: self.decimal_prices,
            credit_prefix: self.credit_prefix.clone().filter(|prefix| !prefix.is_empty()),
            skip_skus: self.skip_skus.clone().unwrap_or_default(),
            zero_price: self.zero_price,
            fulfilled: self.fulfilled,
            delimiter: self.delimiter,
            time_format: self.time_format.clone(),
            open_references: self.open_references,
            ..Options::new(mapping.clone(), currency)
        }))
    }
}

impl ImportArgs {
    /// The input.
    pub fn input(&self) -> input::Input {
        input::Input::from_arg(&self.file)
    }
}

fn currency(text: &str) -> Result<String, String> {
    let code = text.to_ascii_uppercase();
    if money::is_currency(&code) { Ok(code) } else { Err("a currency is three letters, such as GBP".to_owned()) }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" | b"tab" => Ok(b'\t'),
        [byte] if byte.is_ascii() => Ok(*byte),
        _ => Err("a delimiter is one character, or \\t".to_owned()),
    }
}
