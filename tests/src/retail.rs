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

/// Orders that credits may pass over because they are still being decided.
const PASSED_OVER_MAX: usize = 100;
/// Where the cancelled units of a line stand.
const CANCELLED: usize = 4;

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

    /// Checks that `other`, made from the same file, is the same but for what depends on how long
    /// a decision takes when it is made by several shards. Of a rejected order fewer of the lines
    /// that cannot be met may be known: the first decides. And a credit passes over an order that
    /// is still being decided, so that some units may not be credited; they are open then.
    ///
    /// # Panics
    ///
    /// When it is not; tells of the first differences.
    pub fn check_same(&self, other: &Self) {
        let mut differences: Vec<String> = Vec::new();
        let mut passed_over = 0;
        for (name, order) in &self.orders {
            let found = other.orders.get(name);
            if found.is_some_and(|found| found.agrees(order)) {
                continue;
            }
            match found {
                Some(found) if name.0.is_some() && found.without_credits() == order.without_credits() => {
                    passed_over += 1;
                }
                _ => differences.push(difference(&format!("{name:?}"), order, found)),
            }
        }
        for name in other.orders.keys().filter(|name| !self.orders.contains_key(*name)) {
            differences.push(format!("{name:?} is not in the first"));
        }
        let mut open: BTreeMap<&str, u64> = BTreeMap::new();
        let found = other.cancelled();
        for ((customer, sku), units) in self.cancelled() {
            let others = found.get(&(customer, sku)).copied().unwrap_or_default();
            match units.checked_sub(others) {
                Some(units) => *open.entry(sku).or_default() += units,
                None => differences.push(format!("{customer:?} was credited {others} of {sku}, not {units}")),
            }
        }
        for (sku, item) in &self.items {
            let (on_hand, held, backordered, received, fulfilled, restocked) = *item;
            let all_open = |held: u64, backordered: u64| (on_hand, held + backordered, received, fulfilled, restocked);
            let expected = all_open(held + open.get(&**sku).copied().unwrap_or_default(), backordered);
            let agrees = |&(on_hand, held, backordered, received, fulfilled, restocked): &_| {
                (on_hand, held + backordered, received, fulfilled, restocked) == expected
            };
            if !other.items.get(sku).is_some_and(agrees) {
                differences.push(difference(&format!("item {sku}"), item, other.items.get(sku)));
            }
        }
        let count = differences.len();
        differences.truncate(10);
        assert!(count == 0, "{count} differences:\n  {}", differences.join("\n  "));
        assert_eq!(self.items.len(), other.items.len());
        println!("{passed_over} orders were still being decided when a credit came");
        assert!(passed_over <= PASSED_OVER_MAX, "credits passed over {passed_over} orders");
    }

    /// Cancelled units by customer and SKU.
    fn cancelled(&self) -> BTreeMap<(Option<&str>, &str), u64> {
        let mut cancelled = BTreeMap::new();
        for ((customer, _), order) in &self.orders {
            for (sku, _, units, _) in &order.lines {
                *cancelled.entry((customer.as_deref(), &**sku)).or_default() += units[CANCELLED];
            }
        }
        cancelled
    }
}

/// How two values differ: what stands around the first difference.
fn difference<T: std::fmt::Debug>(name: &str, one: &T, other: Option<&T>) -> String {
    let [one, other] = [format!("{one:?}"), other.map_or_else(|| "nothing".to_owned(), |other| format!("{other:?}"))];
    let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| text.chars().skip(same.saturating_sub(80)).take(200).collect::<String>();
    format!("{name}: …{}\n    …{}", around(&one), around(&other))
}

impl Settled {
    /// Whether both are the same; of a rejected one, whether both have a reason.
    fn agrees(&self, other: &Self) -> bool {
        if self.status != Status::Rejected {
            return self == other;
        }
        let mut both = [self.clone(), other.clone()];
        let mut reasons = [0; 2];
        for (settled, reasons) in both.iter_mut().zip(&mut reasons) {
            *reasons = settled.lines.iter_mut().filter_map(|line| line.3.take()).count();
        }
        both[0] == both[1] && !reasons.contains(&0)
    }

    /// What it would be had no unit been credited.
    fn without_credits(&self) -> Self {
        let mut settled = self.clone();
        if settled.status != Status::Rejected {
            (settled.status, settled.cancelled) = (Status::Confirmed, false);
            for (_, _, [_, held, backordered, _, cancelled, ..], _) in &mut settled.lines {
                *held += std::mem::take(backordered) + std::mem::take(cancelled);
            }
        }
        settled
    }

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
