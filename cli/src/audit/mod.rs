//! The audit: walks every item and every order through the API and proves that no unit and no penny
//! has come from nowhere or gone astray.
//!
//! What one answer says of itself (an order's lines, an item's own numbers) must hold always. What
//! items say of orders is compared once nothing moves any more: while orders are pending, or while
//! an item changed during the walk, the walk is repeated, for a bounded time.

mod check;
mod references;
mod tally;

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::client::{Client, Error, OrderFilter};
use crate::output::{columns, grouped};
use crate::progress::{Meter, Rate};
use references::References;
use tally::Tally;

/// How long to wait before the walk is repeated.
const PAUSE: Duration = Duration::from_millis(500);

/// How the audit is done.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long to wait for orders to be decided and items to rest.
    pub settle: Duration,
    /// How many rows a page has.
    pub page_size: usize,
    /// How many violations are listed; all are counted.
    pub listed: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { settle: Duration::from_secs(30), page_size: 1000, listed: 100 }
    }
}

/// What a violation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// An order, by its id.
    Order(String),
    /// An item, by its SKU.
    Item(String),
}

/// Something that does not add up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What it is about.
    pub subject: Subject,
    /// What should hold.
    pub rule: &'static str,
    /// What was found instead.
    pub found: String,
}

/// What an audit found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Orders checked.
    pub orders: u64,
    /// Lines checked.
    pub lines: u64,
    /// Items checked.
    pub items: u64,
    /// References of customers checked.
    pub references: u64,
    /// References that several guests used; that is allowed, as guests are not told apart.
    pub guest_references_repeated: u64,
    /// Orders that were still being decided at the end.
    pub pending: u64,
    /// How often everything was walked.
    pub walks: u32,
    /// What does not add up, as many as are listed.
    pub violations: Vec<Violation>,
    /// How much does not add up in all.
    pub violations_total: u64,
    /// Items whose numbers differ, but which were changing or have undecided orders.
    pub unsettled: Vec<String>,
}

impl Report {
    /// Everything could be checked, and adds up.
    pub fn is_clean(&self) -> bool {
        self.violations_total == 0 && self.unsettled.is_empty()
    }

    /// The report as a table.
    pub fn table(&self) -> String {
        let counts = [
            ("orders checked", self.orders),
            ("lines checked", self.lines),
            ("items checked", self.items),
            ("references checked", self.references),
            ("references repeated by guests", self.guest_references_repeated),
            ("orders still pending", self.pending),
            ("walks", u64::from(self.walks)),
            ("items that did not settle", self.unsettled.len() as u64),
            ("violations", self.violations_total),
        ];
        let counts = counts.map(|(name, count)| vec![name.to_owned(), grouped(count)]);
        let mut out = columns(&["what", "count"], counts);
        if !self.violations.is_empty() {
            let rows = self.violations.iter().map(|violation| {
                let subject = match &violation.subject {
                    Subject::Order(id) => format!("order {id}"),
                    Subject::Item(sku) => format!("item {sku}"),
                };
                vec![subject, violation.rule.to_owned(), violation.found.clone()]
            });
            out.push_str("\n\n");
            out.push_str(&columns(&["where", "should hold", "found"], rows));
        }
        for sku in self.unsettled.iter().take(10) {
            out.push_str("\nnot settled: item ");
            out.push_str(sku);
        }
        out
    }
}

/// The violations of one walk.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    listed: Vec<Violation>,
    total: u64,
    limit: usize,
}

impl Findings {
    pub(crate) fn up_to(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn add(&mut self, subject: impl FnOnce() -> Subject, rule: &'static str, found: String) {
        self.total += 1;
        if self.listed.len() < self.limit {
            self.listed.push(Violation { subject: subject(), rule, found });
        }
    }
}

/// Walks everything on the server and says what does not add up.
pub async fn run(client: &Client, config: Config, mut meter: Meter) -> Result<Report, Error> {
    let deadline = Instant::now() + config.settle;
    let mut walks = 0;
    loop {
        let (mut report, at_rest) = walk(client, &config, &mut meter).await?;
        walks += 1;
        report.walks = walks;
        if at_rest || Instant::now() >= deadline && walks > 1 {
            meter.finish();
            return Ok(report);
        }
        meter.message(|| format!("waiting for {} pending orders", grouped(report.pending)));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Walks the items, then the orders, then the items again, so that an item that changed meanwhile
/// is known. Says too whether another walk would find the same: what an answer says of itself stays
/// wrong, but what items and orders say of each other may only be on its way.
async fn walk(client: &Client, config: &Config, meter: &mut Meter) -> Result<(Report, bool), Error> {
    let mut findings = Findings::up_to(config.listed);
    let mut tally = Tally::default();
    let mut token = None;
    loop {
        let page = client.items(Some(config.page_size), token.as_deref()).await?;
        for item in &page.items {
            check::item(item, &mut findings);
            tally.item(item);
        }
        meter.message(|| format!("{} items", grouped(tally.items())));
        token = page.next_page_token;
        if token.is_none() {
            break;
        }
    }
    let mut report = Report { items: tally.items(), ..Report::default() };
    let references = orders(client, config, meter, &mut report, &mut tally, &mut findings).await?;
    again(client, config, &mut tally).await?;
    report.references = references.customers();
    report.guest_references_repeated = references.guests_repeated();
    references.confirm(client, &mut findings).await?;
    let own = findings.total;
    report.unsettled = tally.compare(&mut findings);
    let at_rest = report.pending == 0 && report.unsettled.is_empty() && findings.total == own;
    report.violations_total = findings.total;
    report.violations = findings.listed;
    Ok((report, at_rest))
}

/// Walks the orders. The next page is on its way while one is checked.
async fn orders(
    client: &Client,
    config: &Config,
    meter: &mut Meter,
    report: &mut Report,
    tally: &mut Tally,
    findings: &mut Findings,
) -> Result<References, Error> {
    let filter = OrderFilter { page_size: Some(config.page_size), ..OrderFilter::default() };
    let mut references = References::default();
    let mut rate = Rate::from(0);
    let mut page = client.orders(&filter, None).await?;
    loop {
        let next = page.next_page_token.take().map(|token| {
            let (client, filter) = (client.clone(), filter.clone());
            tokio::spawn(async move { client.orders(&filter, Some(&token)).await })
        });
        for order in &page.orders {
            check::order(order, findings);
            references.order(order);
            report.pending += u64::from(tally.order(order));
            report.orders += 1;
            report.lines += order.lines.len() as u64;
        }
        let per_second = rate.at(report.orders);
        meter.message(|| {
            let (orders, lines) = (grouped(report.orders), grouped(report.lines));
            format!("{orders} orders, {lines} lines, {}/s", grouped(per_second as u64))
        });
        let Some(next) = next else { return Ok(references) };
        page = next.await.map_err(|error| Error::Unsendable(error.to_string()))??;
    }
}

/// Walks the items once more to see which have changed.
async fn again(client: &Client, config: &Config, tally: &mut Tally) -> Result<(), Error> {
    let mut token = None;
    loop {
        let page = client.items(Some(config.page_size), token.as_deref()).await?;
        page.items.iter().for_each(|item| tally.again(item));
        token = page.next_page_token;
        if token.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
