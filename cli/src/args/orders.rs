//! Commands about orders.

use std::path::PathBuf;

use clap::Subcommand;
use ordermill_api::{FulfillmentLine, Money, NewLine, PaymentAction, PaymentTerms, Status, Time};

use super::values;
use crate::money;

/// What can be done with orders.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Place an order.
    Create(Box<CreateOrder>),
    /// Show an order.
    Get {
        /// Its id.
        id: String,
    },
    /// List orders.
    List(ListOrders),
    /// Cancel what is open of an order.
    Cancel {
        /// Its id.
        id: String,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// Only while the order has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// Record what happened to an order's payment.
    Pay {
        /// The order's id.
        id: String,
        /// What happened.
        #[arg(value_parser = values::payment_action())]
        action: PaymentAction,
        /// How much, as 255GBP (minor units) or 2.55GBP; for authorize, capture and refund.
        #[arg(long, value_parser = money::parse)]
        amount: Option<Money>,
        /// Only while the order has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// Record a shipment.
    #[command(visible_alias = "fulfill")]
    Fulfil {
        /// The order's id.
        id: String,
        /// Units of a line that left; several times for several lines [default: all that is held].
        #[arg(long = "line", value_parser = values::units, value_name = "LINE:QUANTITY")]
        lines: Vec<FulfillmentLine>,
        /// The carrier's code.
        #[arg(long)]
        tracking: Option<String>,
        /// Only while the order has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// Record goods that came back.
    Return {
        /// The order's id.
        id: String,
        /// Units of a line that came back; several times for several lines [default: all that left].
        #[arg(long = "line", value_parser = values::units, value_name = "LINE:QUANTITY")]
        lines: Vec<FulfillmentLine>,
        /// The units do not go back on the shelf.
        #[arg(long)]
        no_restock: bool,
        /// Why.
        #[arg(long)]
        reason: Option<String>,
        /// Only while the order has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
}

/// An order to be placed.
#[derive(Debug, clap::Args)]
pub struct CreateOrder {
    /// Who orders; leave out for a guest.
    #[arg(long)]
    pub customer: Option<String>,
    /// Your own number for it, unique per customer.
    #[arg(long)]
    pub reference: Option<String>,
    /// What is wanted, such as 85123A:6:255GBP: price in minor units, or with a point (2.55GBP). Several times for
    /// several lines.
    #[arg(long = "line", value_parser = values::new_line, value_name = "SKU:QUANTITY:PRICE")]
    pub lines: Vec<NewLine>,
    /// When it has to be paid.
    #[arg(long, value_parser = values::payment_terms(), value_name = "TERMS")]
    pub payment_terms: Option<PaymentTerms>,
    /// The reservation ends after so many seconds unless it is paid or fulfilled by then.
    #[arg(long, value_name = "SECONDS")]
    pub expires_in: Option<u64>,
    /// Take the order from a JSON file, or - for standard input; the options above add to it.
    #[arg(long, value_name = "FILE", required_unless_present = "lines")]
    pub file: Option<PathBuf>,
    /// An idempotency key: under the same key it is placed once [default: a random one].
    #[arg(long)]
    pub key: Option<String>,
    /// Only say what would happen.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not wait for the decision about its stock.
    #[arg(long)]
    pub no_wait: bool,
}

/// Which orders are listed.
#[derive(Debug, clap::Args)]
pub struct ListOrders {
    /// Only this customer's.
    #[arg(long)]
    pub customer: Option<String>,
    /// Only those that stand so.
    #[arg(long, value_parser = values::status())]
    pub status: Option<Status>,
    /// Only those placed after this time (RFC 3339, or a date).
    #[arg(long, value_parser = values::time, value_name = "TIME")]
    pub created_after: Option<Time>,
    /// How much is listed.
    #[command(flatten)]
    pub pages: Pages,
}

/// How much is listed.
#[derive(Debug, Default, clap::Args)]
pub struct Pages {
    /// Every page.
    #[arg(long)]
    pub all: bool,
    /// How many per page.
    #[arg(long, value_name = "N")]
    pub page_size: Option<usize>,
    /// Begin at this page, as told at the end of the last one.
    #[arg(long, value_name = "TOKEN")]
    pub page_token: Option<String>,
}
