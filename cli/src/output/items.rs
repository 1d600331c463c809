//! Items as tables.

use ordermill_api::Item;

use super::{Widths, columns_below};

const HEAD: &[&str] = &[
    "sku",
    "on hand",
    "held",
    "available",
    "backorder",
    "backordered",
    "received",
    "fulfilled",
    "restocked",
    "version",
    "updated",
];

/// Items, a row each, below those `above`.
pub fn table(items: &[Item], above: &mut Widths) -> String {
    if items.is_empty() {
        return "no items".to_owned();
    }
    columns_below(above, HEAD, items.iter().map(row))
}

fn row(item: &Item) -> Vec<String> {
    vec![
        item.sku.clone(),
        item.on_hand.to_string(),
        item.held.to_string(),
        item.available.to_string(),
        if item.backorder { "yes" } else { "no" }.to_owned(),
        item.backordered.to_string(),
        item.received.to_string(),
        item.fulfilled.to_string(),
        item.restocked.to_string(),
        item.version.to_string(),
        item.updated_at.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use ordermill_api::Time;

    use super::*;

    #[test]
    fn an_item_is_a_row() {
        let item = Item {
            sku: "85123A".into(),
            on_hand: 10,
            held: 4,
            available: 6,
            backorder: false,
            backordered: 0,
            received: 12,
            fulfilled: 2,
            restocked: 0,
            version: 3,
            updated_at: Time(1_291_191_960_000),
        };
        let table = table(&[item], &mut Widths::default());
        let lines: Vec<_> = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        assert_eq!(lines[0][..4], ["SKU", "ON", "HAND", "HELD"]);
        assert_eq!(lines[1], ["85123A", "10", "4", "6", "no", "0", "12", "2", "0", "3", "2010-12-01T08:26:00.000Z"]);
    }
}
