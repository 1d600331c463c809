//! What the measured requests look like: which orders, which items, which steps.

use std::fmt::Write as _;

/// Items of the spread workloads.
pub(crate) const ITEMS: u64 = 10_000;
/// The item that everybody wants.
pub(crate) const HOT: &str = "everybodys";
/// Customers.
pub(crate) const CUSTOMERS: u64 = 100_000;

/// Which orders are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orders {
    /// Two lines, evenly over all items.
    Spread,
    /// Two lines, one of them the item that everybody wants.
    Hot,
    /// TPC-C's new order (its clause 2.4): five to fifteen lines, here from two on, over items and customers as
    /// unevenly as there; one in a hundred names an item that nobody has.
    Varied,
}

/// Lines of a varied order on average.
pub(crate) const VARIED_LINES: f64 = 8.5;

/// Scatters numbers evenly and the same way each time (the finalizer of SplitMix64).
pub(crate) fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// TPC-C's uneven choice of one of `of` (its clause 2.1.6): the bits that two even choices share come up more often.
fn uneven(random: u64, spread: u64, of: u64) -> u64 {
    ((random % (spread + 1)) | ((random >> 32) % of)) % of
}

/// The name of an item.
pub(crate) fn sku(number: u64) -> String {
    format!("sku-{number:05}")
}

/// Who places order `number`.
pub(crate) fn customer(number: u64, orders: Orders) -> u64 {
    match orders {
        Orders::Spread | Orders::Hot => (scattered(number) >> 40) % CUSTOMERS,
        Orders::Varied => uneven(scattered(number ^ (1 << 62)), 8_191, CUSTOMERS),
    }
}

/// Writes order `number` as JSON; with a `reference` as a line of an import.
pub(crate) fn order(out: &mut String, number: u64, orders: Orders, reference: bool) {
    let random = scattered(number);
    write!(out, r#"{{"customer":"c-{}","#, customer(number, orders)).expect("a text takes everything");
    if reference {
        write!(out, r#""reference":"r-{number}","#).expect("a text takes everything");
    }
    out.push_str(r#""lines":["#);
    match orders {
        Orders::Spread | Orders::Hot => {
            let (first, second) = (random % ITEMS, (random >> 20) % ITEMS);
            let second = if first == second { (second + 1) % ITEMS } else { second };
            match orders {
                Orders::Hot => line(out, &HOT, 1),
                _ => line(out, &format_args!("sku-{first:05}"), 1),
            }
            out.push(',');
            line(out, &format_args!("sku-{second:05}"), 2);
        }
        Orders::Varied => {
            let (lines, invalid) = (2 + random % 14, (random >> 32).is_multiple_of(100));
            for at in 0..lines {
                if at > 0 {
                    out.push(',');
                }
                let random = scattered(number.wrapping_mul(16).wrapping_add(at));
                if invalid && at + 1 == lines {
                    line(out, &"nobody-has-it", 1);
                } else {
                    line(out, &format_args!("sku-{:05}", uneven(random, 1_023, ITEMS)), 1 + (random >> 20) % 10);
                }
            }
        }
    }
    out.push_str("]}");
}

fn line(out: &mut String, sku: &dyn std::fmt::Display, units: u64) {
    write!(out, r#"{{"sku":"{sku}","quantity":{units},"unit_price":{{"amount":255,"currency":"GBP"}}}}"#)
        .expect("a text takes everything");
}

#[cfg(test)]
mod tests {
    use ordermill_api::{NewImportOrder, NewOrder};

    use super::*;

    fn placed(number: u64, orders: Orders) -> NewOrder {
        let mut text = String::new();
        order(&mut text, number, orders, false);
        serde_json::from_str(&text).expect("an order")
    }

    #[test]
    fn orders_are_what_the_api_takes() {
        let hot = placed(7, Orders::Hot);
        assert_eq!((hot.lines.len(), hot.lines[0].sku.as_str()), (2, HOT));
        let mut text = String::new();
        order(&mut text, 7, Orders::Spread, true);
        let order: NewImportOrder = serde_json::from_str(&text).expect("a line of an import");
        assert_ne!(order.lines[0].sku, order.lines[1].sku);
    }

    #[test]
    fn varied_orders_have_two_to_fifteen_lines_and_one_in_a_hundred_is_invalid() {
        let all: Vec<NewOrder> = (0..10_000).map(|number| placed(number, Orders::Varied)).collect();
        let lines: Vec<usize> = all.iter().map(|order| order.lines.len()).collect();
        assert_eq!((lines.iter().min(), lines.iter().max()), (Some(&2), Some(&15)));
        // Five times the standard error of so many.
        let mean = lines.iter().sum::<usize>() as f64 / lines.len() as f64;
        assert!((mean - VARIED_LINES).abs() < 0.2, "{mean}");
        let invalid = all.iter().filter(|order| order.lines.iter().any(|line| line.sku == "nobody-has-it")).count();
        assert!((50..200).contains(&invalid), "{invalid} of 10,000 are invalid");
        let mut wanted = std::collections::BTreeMap::<&str, u32>::new();
        for line in all.iter().flat_map(|order| &order.lines) {
            *wanted.entry(&line.sku).or_default() += 1;
        }
        let mut counts: Vec<u32> = wanted.into_values().collect();
        counts.sort_unstable();
        let top: u32 = counts.iter().rev().take(ITEMS as usize / 100).sum();
        assert!(
            f64::from(top) > 0.05 * f64::from(counts.iter().sum::<u32>()),
            "one item of a hundred is wanted by {top} lines"
        );
    }
}
