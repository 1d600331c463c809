//! A year of a real shop's orders, as `orderctl import` reads it, and the state that it ends in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ordermill_api::{Order, Status};

use crate::process::{Ended, Http, Orderctl};

/// Where the file is looked for when the environment does not say, from the root of the checkout.
const USUAL_PLACE: &str = "../shared/data/online-retail.csv.gz";
/// How its rows are read: cli/README.md has the rules and the figures.
const CSV: [&str; 10] = [
    "--map",
    "reference=InvoiceNo,sku=StockCode,quantity=Quantity,unit_price=UnitPrice,customer=CustomerID,placed_at=InvoiceDate",
    "--currency",
    "GBP",
    "--decimal-prices",
    "--credit-prefix=C",
    "--open-references",
    "2",
    "--skip-skus",
    "POST,D,DOT,M,m,BANK CHARGES,AMAZONFEE,CRUK,S,B,PADS,C2,gift_*",
];

/// Invoices with goods that become orders.
pub const ORDERS: u64 = 20_538;
/// Invoices that become credits.
pub const CREDITS: u64 = 3_422;
/// Invoices of which no row is left.
pub const EMPTY: u64 = 1_940;

/// The file of a year's invoices.
#[derive(Clone, Debug)]
pub struct Shop {
    file: PathBuf,
}

impl Shop {
    /// The file, if it is there; says so if it is not.
    pub fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the workspace");
        let given = std::env::var_os("ORDERMILL_RETAIL_CSV").map(PathBuf::from);
        let file = given.unwrap_or_else(|| root.join(USUAL_PLACE));
        if file.is_file() {
            return Some(Self { file });
        }
        println!("not run: {} is not there; ORDERMILL_RETAIL_CSV says where the file is", file.display());
        None
    }

    /// `orderctl` with the file and how it is read.
    fn orderctl(&self, server: &str, words: &[&str], more: &[&str]) -> Orderctl {
        let file = self.file.to_str().expect("the path is UTF-8");
        let arguments: Vec<&str> = words.iter().chain([&file]).chain(&CSV).chain(more).copied().collect();
        Orderctl::start(server, &arguments)
    }

    /// What is wanted of each item, in all.
    pub async fn demand(&self) -> Vec<(String, u64)> {
        let printed = self.orderctl("http://127.0.0.1:1", &["items", "from-csv"], &["--dry-run"]).ended().await.well();
        let mut rows: Vec<_> = printed.stdout.lines().collect();
        assert!(rows.remove(0).starts_with("sku,on_hand"), "{}", printed.stdout);
        rows.iter()
            .map(|row| {
                let mut fields = row.split(',');
                let mut next = || fields.next().expect("a row has a SKU and a number");
                (next().to_owned(), next().parse().expect("a number"))
            })
            .collect()
    }

    /// Begins to import the file, or goes on; what is kept of it lies in `dir`.
    pub fn import(&self, server: &str, dir: &Path) -> Orderctl {
        let [state, results] = ["state", "results"].map(|name| dir.join(name));
        let [state, results] = [&state, &results].map(|path| path.to_str().expect("the path is UTF-8"));
        self.orderctl(server, &["import"], &["--state", state, "--results", results, "--retry-for", "60s"])
    }

    /// Checks that an import has taken every invoice.
    ///
    /// # Panics
    ///
    /// When it has not.
    pub fn check_import(&self, ended: Ended) {
        let summary = ended.well().json().remove(0);
        let number = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"));
        assert_eq!(summary["complete"], true);
        assert_eq!(number("refused") + number("refused_here"), 0);
        assert_eq!(number("created") + number("duplicate"), ORDERS + CREDITS);
        let csv = ["orders", "credits", "empty"].map(|name| summary["csv"][name].as_u64());
        assert_eq!(csv, [Some(ORDERS), Some(CREDITS), Some(EMPTY)]);
    }
}

/// Everything about an order that does not depend on when it was placed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settled {
    status: Status,
    total: u64,
    cancelled: bool,
    returns: usize,
    /// Of each line: SKU, price, and units ordered, held, waiting, gone, cancelled, back, and back on the shelf.
    lines: Vec<(String, u64, [u64; 7], Option<String>)>,
}

/// The state that orders and items are in at the end, ids and times aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// By customer and reference.
    orders: BTreeMap<(Option<String>, String), Settled>,
    /// On hand, held, backordered, received, fulfilled, restocked; by SKU.
    items: BTreeMap<String, (u64, u64, u64, i64, u64, u64)>,
}

impl State {
    /// Reads everything. No reference may stand twice.
    ///
    /// # Panics
    ///
    /// When one does.
    pub async fn read(http: &Http) -> Self {
        let mut state = Self::default();
        for order in http.orders().await {
            let reference = order.reference.clone().expect("every invoice has a number");
            let twice = state.orders.insert((order.customer.clone(), reference.clone()), Settled::of(order));
            assert_eq!(twice, None, "invoice {reference} is there twice");
        }
        let items = http.items().await.into_iter();
        state.items =
            items.map(|i| (i.sku, (i.on_hand, i.held, i.backordered, i.received, i.fulfilled, i.restocked))).collect();
        state
    }

    /// How many orders there are.
    pub fn orders(&self) -> u64 {
        self.orders.len() as u64
    }

    /// How many orders of each status there are.
    pub fn statuses(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for order in self.orders.values() {
            *counts.entry(format!("{:?}", order.status).to_lowercase()).or_default() += 1;
        }
        counts
    }

    /// Checks that `other` is the same.
    ///
    /// # Panics
    ///
    /// When it is not; tells of the first differences.
    pub fn check_same(&self, other: &Self) {
        let mut differences: Vec<String> = Vec::new();
        for (name, order) in &self.orders {
            match other.orders.get(name) {
                Some(found) if found == order => {}
                found => differences.push(format!("{name:?}: {order:?}\n    {found:?}")),
            }
        }
        for name in other.orders.keys().filter(|name| !self.orders.contains_key(*name)) {
            differences.push(format!("{name:?} is not in the first"));
        }
        for (sku, item) in &self.items {
            if other.items.get(sku) != Some(item) {
                differences.push(format!("item {sku}: {item:?}\n    {:?}", other.items.get(sku)));
            }
        }
        let count = differences.len();
        differences.truncate(10);
        assert!(count == 0, "{count} differences:\n  {}", differences.join("\n  "));
        assert_eq!(self.items.len(), other.items.len());
    }
}

impl Settled {
    fn of(order: Order) -> Self {
        let line = |l: ordermill_api::Line| {
            let units = [l.quantity, l.held, l.backordered, l.fulfilled, l.cancelled, l.returned, l.restocked];
            assert_eq!(l.requested, 0, "everything is decided");
            (l.sku, l.unit_price.amount, units, l.reason)
        };
        Self {
            status: order.status,
            total: order.total.amount,
            cancelled: order.cancellation.is_some(),
            returns: order.returns.len(),
            lines: order.lines.into_iter().map(line).collect(),
        }
    }
}
