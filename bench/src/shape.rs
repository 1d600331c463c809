//! What the measured orders look like: two lines each, over many items or all wanting the same one.

use std::fmt::Write as _;

/// Items of the spread workloads.
pub(crate) const ITEMS: u64 = 10_000;
/// The item that everybody wants.
pub(crate) const HOT: &str = "everybodys";
/// Customers.
const CUSTOMERS: u64 = 100_000;

/// Scatters numbers evenly and the same way each time (the finalizer of SplitMix64).
fn scattered(number: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The name of an item.
pub(crate) fn sku(number: u64) -> String {
    format!("sku-{number:05}")
}

/// Writes order `number` as JSON; with a `reference` as a line of an import.
pub(crate) fn order(out: &mut String, number: u64, hot: bool, reference: bool) {
    let random = scattered(number);
    let (first, second) = (random % ITEMS, (random >> 20) % ITEMS);
    let second = if first == second { (second + 1) % ITEMS } else { second };
    let customer = (random >> 40) % CUSTOMERS;
    write!(out, r#"{{"customer":"c-{customer}","#).expect("a text takes everything");
    if reference {
        write!(out, r#""reference":"r-{number}","#).expect("a text takes everything");
    }
    let line = |sku: &dyn std::fmt::Display, units: u64| {
        format!(r#"{{"sku":"{sku}","quantity":{units},"unit_price":{{"amount":255,"currency":"GBP"}}}}"#)
    };
    let first = if hot { line(&HOT, 1) } else { line(&format_args!("sku-{first:05}"), 1) };
    let second = line(&format_args!("sku-{second:05}"), 2);
    write!(out, r#""lines":[{first},{second}]}}"#).expect("a text takes everything");
}

#[cfg(test)]
mod tests {
    use ordermill_api::{NewImportOrder, NewOrder};

    #[test]
    fn orders_are_what_the_api_takes() {
        let mut text = String::new();
        super::order(&mut text, 7, true, false);
        let order: NewOrder = serde_json::from_str(&text).expect("an order");
        assert_eq!((order.lines.len(), order.lines[0].sku.as_str()), (2, super::HOT));
        text.clear();
        super::order(&mut text, 7, false, true);
        let order: NewImportOrder = serde_json::from_str(&text).expect("a line of an import");
        assert_ne!(order.lines[0].sku, order.lines[1].sku);
    }
}
