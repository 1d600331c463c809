//! The command line: what can be said, and how it is explained.

mod capacity;
mod cluster;
mod import;
mod items;
mod migrate;
mod orders;
pub mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::output::Format;

pub use capacity::CapacityArgs;
pub use cluster::ClusterCommand;
pub use import::{ConvertArgs, CsvArgs, ImportArgs};
pub use items::{FromCsv, ItemCommand, SetItem};
pub use migrate::MigrateArgs;
pub use orders::{CreateOrder, ListOrders, OrderCommand, Pages};

/// Talks to an ordermill server: stock, orders, bulk imports, the event feed and the audit.
///
/// Exit codes: 0 all is well; 1 it failed; 2 some lines or items were refused; 3 the audit found
/// violations; 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "orderctl", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// How to reach the server, and how to answer.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command understands.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The server's URL.
    #[arg(long, global = true, env = "ORDERMILL_SERVER", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub server: String,
    /// The API key, sent as a bearer token.
    #[arg(long, global = true, env = "ORDERMILL_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// A file with the authority (PEM) whose certificate a server with https has to show [default: whom the system trusts].
    #[arg(long, global = true, env = "ORDERMILL_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How answers are printed [default: table on a terminal, json elsewhere].
    #[arg(long, short, global = true, value_enum)]
    pub output: Option<Format>,
    /// How long an answer may take, such as 500ms, 30s or 2m.
    #[arg(long, global = true, default_value = "60s", value_parser = values::duration, value_name = "TIME")]
    pub timeout: Duration,
    /// Show no progress and no notes.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stock: set, adjust, show and list items.
    #[command(subcommand, visible_alias = "item")]
    Items(ItemCommand),
    /// Orders: create, show, list, cancel, pay, fulfil and return.
    #[command(subcommand, visible_alias = "orders")]
    Order(OrderCommand),
    /// Send a file of orders, NDJSON or CSV, and go on where it was interrupted.
    Import(Box<ImportArgs>),
    /// Print the NDJSON that an import would send, and what became of the rows.
    Convert(Box<ConvertArgs>),
    /// The feed of everything that happens.
    #[command(subcommand)]
    Events(EventCommand),
    /// Members and shards: show, drain, cordon, move and rebalance.
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Walk all items and orders and prove that no unit and no penny is lost.
    ///
    /// Compares, for every order: quantity = requested + held + backordered + fulfilled + cancelled on each line,
    /// returned <= fulfilled, restocked <= returned, the total, and the sums of shipments and returns. For every
    /// item: held <= on hand, available = on hand - held, on hand = received - fulfilled + restocked, and held,
    /// backordered, fulfilled and restocked against the sums over all orders. No customer has a reference twice.
    /// While orders are pending or items change, it walks again, up to --settle.
    Audit(AuditArgs),
    /// Move everything from a data directory into a TiKV cluster, and audit it there.
    ///
    /// No server may run on the directory, and the cluster must hold nothing. Broken off, the same command goes on
    /// where it was. The directory keeps its data, and is not served any more once everything is there. The event
    /// feed begins anew: a cursor of the old one has expired. The audit sees what the default tenant has.
    Migrate(Box<MigrateArgs>),
    /// What a load needs of members, shards, stores, network, disk and money, from what an order was measured to cost.
    ///
    /// Asks no server. What was not measured, such as what one store bears, is a variable whose default is an assumption:
    /// docs/capacity.md explains the model and holds it against the measurement.
    Capacity(Box<CapacityArgs>),
    /// Print a completion script for a shell.
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// What can be done with the event feed.
#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Print events, from the oldest that is kept or after a cursor.
    Tail(TailArgs),
}

/// Which events are printed.
#[derive(Debug, clap::Args)]
pub struct TailArgs {
    /// Begin after this cursor.
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    /// Go on as events happen.
    #[arg(long, short)]
    pub follow: bool,
    /// Only these types, such as 'ordermill.order.*'; several with commas.
    #[arg(long = "type", value_name = "TYPES")]
    pub types: Option<crate::pattern::List>,
    /// Events per request.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// How the audit is done.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    /// How long to wait for pending orders and changing items.
    #[arg(long, default_value = "30s", value_parser = values::duration, value_name = "TIME")]
    pub settle: Duration,
    /// Rows per request.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub page_size: usize,
    /// How many violations are listed.
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub list: usize,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn usual_calls_are_understood() {
        for line in [
            "items set 85123A --on-hand 5 --backorder",
            "items set --file stock.csv",
            "items adjust 85123A --delta -5 --reason broken",
            "items list --all --output json",
            "order create --customer c-1 --line 85123A:6:255GBP --line a:b:1:2.55GBP --dry-run",
            "order list --status partially_fulfilled --created-after 2010-12-01 --all",
            "order pay X capture --amount 255GBP",
            "order fulfil X --line 1:2 --tracking T",
            "order return X --line 1:2 --no-restock",
            "import orders.ndjson.gz --results r --rejects j --retry-for 2m",
            "import - --map reference=R,sku=S,quantity=Q,unit_price=P --currency GBP --decimal-prices",
            "convert f.csv --map reference=R,sku=S,quantity=Q,unit_price=P --currency GBP",
            "items from-csv f.csv --map sku=S,quantity=Q --factor 0.9",
            "events tail --follow --type ordermill.order.*",
            "audit --settle 5s",
            "cluster members",
            "cluster shards --all",
            "cluster drain ordermill-0",
            "cluster move 7 --to ordermill-1",
            "migrate --data-dir data --pd-endpoints pd-0:2379,pd-1:2379 --cluster-id 7 --shards 128",
            "completion bash",
        ] {
            let words = std::iter::once("orderctl").chain(line.split(' '));
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{line}: {error}");
            }
        }
        for line in
            ["items set 85123A", "order pay X steal", "order create --line 85123A:6", "import", "cluster move 7"]
        {
            assert!(Cli::try_parse_from(std::iter::once("orderctl").chain(line.split(' '))).is_err(), "{line}");
        }
    }
}
