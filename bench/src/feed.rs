//! Orders for the demo, shaped as those of TPC-H: who orders, how many lines, which parts, what prices.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use tpchgen::generators::{LineItemGenerator, OrderGenerator};

use crate::client::Connection;
use crate::{import, load};

/// Where the orders go.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    server: String,
    /// TPC-H scale: 1 is a million and a half orders of one to seven lines.
    #[arg(long, default_value_t = 0.02)]
    scale: f64,
}

/// One order: its customer, its number, its lines (part, units, price of a unit in cents).
type Generated = (i64, i64, Vec<(i64, i64, i64)>);

fn orders(scale: f64) -> impl Iterator<Item = Generated> + Send {
    let mut lines = LineItemGenerator::new(scale, 1, 1).iter().peekable();
    OrderGenerator::new(scale, 1, 1).iter().map(move |order| {
        let mut own = Vec::new();
        while let Some(line) = lines.next_if(|line| line.l_orderkey == order.o_orderkey) {
            // The extended price is the quantity times the part's price.
            own.push((line.l_partkey, line.l_quantity, line.l_extendedprice.0 / line.l_quantity.max(1)));
        }
        (order.o_custkey, order.o_orderkey, own)
    })
}

fn write_line(out: &mut String, (customer, number, lines): Generated) {
    use std::fmt::Write as _;
    write!(out, r#"{{"customer":"customer-{customer}","reference":"{number}","lines":["#).expect("a text takes it");
    for (index, (part, units, price)) in lines.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(
            out,
            r#"{comma}{{"sku":"part-{part}","quantity":{units},"unit_price":{{"amount":{price},"currency":"USD"}}}}"#
        )
        .expect("a text takes it");
    }
    out.push_str("]}");
}

/// What there is of each part: nine tenths of what will be ordered, so that some orders cannot be met.
fn stock(scale: f64) -> (u64, BTreeMap<i64, u64>) {
    let (mut count, mut wanted) = (0, BTreeMap::<i64, u64>::new());
    for (_, _, lines) in orders(scale) {
        count += 1;
        for (part, units, _) in lines {
            *wanted.entry(part).or_default() += units.unsigned_abs();
        }
    }
    wanted.values_mut().for_each(|units| *units = *units * 9 / 10);
    (count, wanted)
}

fn bar(count: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:7} {bar:40} {human_pos}/{human_len} {per_sec} {eta}");
    ProgressBar::new(count).with_style(style.expect("the template is well formed")).with_message(what)
}

/// Sets the items, sends the orders, and says what became of them.
pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    let address: SocketAddr = arguments
        .server
        .trim_start_matches("http://")
        .trim_end_matches('/')
        .parse()
        .with_context(|| format!("{} is no address such as http://127.0.0.1:8080", arguments.server))?;
    let scale = arguments.scale;
    let (count, wanted) = tokio::task::spawn_blocking(move || stock(scale)).await?;
    let items = bar(wanted.len() as u64, "items");
    let mut connection = Connection::open(address).await?;
    for (part, on_hand) in wanted {
        load::put_item(&mut connection, &format!("part-{part}"), on_hand).await?;
        items.inc(1);
    }
    items.finish();
    let progress = bar(count, "orders");
    let outcome = import::run(address, orders(scale), write_line, |done| progress.set_position(done)).await?;
    progress.finish();
    let mut table = Table::new();
    table.set_header(["orders", "became"]);
    for (status, orders) in &outcome.statuses {
        table.add_row([orders.to_string(), status.clone()]);
    }
    println!("{table}");
    println!("{} orders in {:.1} s", outcome.count, outcome.took.as_secs_f64());
    Ok(())
}

#[cfg(test)]
mod tests {
    use ordermill_api::NewImportOrder;

    use super::*;

    #[test]
    fn generated_orders_are_what_the_import_takes() {
        let (count, wanted) = stock(0.001);
        assert_eq!((count, wanted.len()), (1_500, 200));
        let mut text = String::new();
        write_line(&mut text, orders(0.001).next().expect("there are orders"));
        let order: NewImportOrder = serde_json::from_str(&text).expect("a line of an import");
        assert_eq!(order.reference, "1");
        assert!((1..=7).contains(&order.lines.len()));
    }
}
