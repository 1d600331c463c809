//! Commands about items.

use std::path::PathBuf;

use clap::Subcommand;

use super::{CsvArgs, Pages};
use crate::import::csv::stock::Factor;

/// What can be done with items.
#[derive(Debug, Subcommand)]
pub enum ItemCommand {
    /// Set an item's units on the shelf; creates it when it is new. With --file, many.
    Set(SetItem),
    /// Add units, or take them away, by a difference.
    #[command(allow_negative_numbers = true)]
    Adjust {
        /// The item.
        sku: String,
        /// Units added, or taken when negative.
        #[arg(long, value_name = "N")]
        delta: i64,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// An idempotency key: under the same key it is done once [default: a random one].
        #[arg(long)]
        key: Option<String>,
    },
    /// Show an item.
    Get {
        /// The item.
        sku: String,
    },
    /// List items.
    List(Pages),
    /// Create the stock that the orders of a CSV file want, times a factor.
    FromCsv(Box<FromCsv>),
}

/// Which items are set, and how.
#[derive(Debug, clap::Args)]
pub struct SetItem {
    /// The item.
    #[arg(required_unless_present = "file")]
    pub sku: Option<String>,
    /// Units on the shelf, held ones included.
    #[arg(long, value_name = "N", required_unless_present = "file")]
    pub on_hand: Option<u64>,
    /// Lines that cannot be met wait for stock instead of refusing their order.
    #[arg(long)]
    pub backorder: bool,
    /// Set every item of a CSV file instead: sku,on_hand[,backorder].
    #[arg(long, value_name = "FILE", conflicts_with_all = ["sku", "on_hand", "backorder"])]
    pub file: Option<PathBuf>,
}

/// How stock is made from a CSV file.
///
/// Per SKU, on_hand = the units that the file's orders want, times --factor, rounded up. With a factor below 1
/// the stock runs out before the orders do, so that importing them meets some lines and not others. The same rows
/// are left out as by an import with the same options; credits are not looked at.
#[derive(Debug, clap::Args)]
pub struct FromCsv {
    /// The CSV file, or - for standard input; may be compressed with gzip.
    pub file: PathBuf,
    /// How the CSV is read.
    #[command(flatten)]
    pub csv: CsvArgs,
    /// What part of the demand is put on the shelf.
    #[arg(long, default_value = "1", value_name = "NUMBER")]
    pub factor: Factor,
    /// Lines that cannot be met wait for stock.
    #[arg(long)]
    pub backorder: bool,
    /// Print the items as CSV instead of setting them.
    #[arg(long)]
    pub dry_run: bool,
}
