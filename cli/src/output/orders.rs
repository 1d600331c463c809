//! Orders as tables.

use std::fmt::Write as _;

use ordermill_api::{FulfillmentLine, Line, Order};

use super::{Widths, columns, columns_below, pairs, word};
use crate::money;

const HEAD: &[&str] = &["id", "customer", "reference", "status", "payment", "lines", "total", "created"];

/// Orders, a row each, below those `above`.
pub fn table(orders: &[Order], above: &mut Widths) -> String {
    if orders.is_empty() {
        return "no orders".to_owned();
    }
    columns_below(above, HEAD, orders.iter().map(row))
}

fn row(order: &Order) -> Vec<String> {
    vec![
        dash(order.id.as_deref()),
        dash(order.customer.as_deref()),
        dash(order.reference.as_deref()),
        word(&order.status),
        word(&order.payment.status),
        order.lines.len().to_string(),
        money::display(&order.total),
        order.created_at.to_string(),
    ]
}

/// One order with its lines, shipments and returns.
pub fn details(order: &Order) -> String {
    let mut out = pairs(&head(order));
    out.push_str("\n\n");
    out.push_str(&lines(&order.lines));
    for shipment in &order.fulfillments {
        let tracking = shipment.tracking.as_deref().map(|code| format!(", tracking {code}")).unwrap_or_default();
        let what = quantities(&shipment.lines);
        let _ = write!(out, "\n\nshipment {} at {}{tracking}: {what}", shipment.number, shipment.created_at);
    }
    for returned in &order.returns {
        let shelf = if returned.restocked { "back on the shelf" } else { "not restocked" };
        let reason = returned.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        let what = quantities(&returned.lines);
        let (number, at) = (returned.number, returned.created_at);
        let _ = write!(out, "\n\nreturn {number} at {at}, {shelf}{reason}: {what}");
    }
    out
}

fn head(order: &Order) -> Vec<(&'static str, String)> {
    let payment = &order.payment;
    let currency = &order.total.currency;
    let mut sums = String::new();
    for (name, amount) in [
        ("authorized", payment.authorized),
        ("captured", payment.captured),
        ("refunded", payment.refunded),
        ("voided", payment.voided),
    ] {
        if amount > 0 {
            let _ = write!(sums, ", {name} {}", money::display_amount(amount, currency));
        }
    }
    let mut pairs = vec![
        ("id", order.id.clone().unwrap_or_else(|| "none: a dry run".to_owned())),
        ("status", word(&order.status)),
        ("customer", dash(order.customer.as_deref())),
        ("reference", dash(order.reference.as_deref())),
        ("total", money::display(&order.total)),
        ("payment", format!("{}, {}{sums}", word(&payment.status), word(&payment.terms))),
        ("version", order.version.to_string()),
        ("created", order.created_at.to_string()),
        ("updated", order.updated_at.to_string()),
    ];
    if let Some(at) = order.expires_at {
        pairs.push(("expires", at.to_string()));
    }
    if let Some(cancelled) = &order.cancellation {
        let reason = cancelled.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        pairs.push(("cancelled", format!("{}{reason}", cancelled.at)));
    }
    pairs
}

/// The lines of an order; columns that are empty throughout are left out.
fn lines(lines: &[Line]) -> String {
    type Column = (&'static str, fn(&Line) -> u64);
    let optional: [Column; 7] = [
        ("requested", |line| line.requested),
        ("held", |line| line.held),
        ("backordered", |line| line.backordered),
        ("fulfilled", |line| line.fulfilled),
        ("cancelled", |line| line.cancelled),
        ("returned", |line| line.returned),
        ("restocked", |line| line.restocked),
    ];
    let used: Vec<Column> = optional.into_iter().filter(|(_, of)| lines.iter().any(|line| of(line) > 0)).collect();
    let reasons = lines.iter().any(|line| line.reason.is_some());
    let mut head = vec!["line", "sku", "quantity", "price"];
    head.extend(used.iter().map(|(name, _)| *name));
    if reasons {
        head.push("reason");
    }
    let row = |line: &Line| {
        let currency = &line.unit_price.currency;
        let price = money::display_amount(line.unit_price.amount, currency);
        let mut row = vec![line.line.to_string(), line.sku.clone(), line.quantity.to_string(), price];
        row.extend(used.iter().map(|(_, of)| of(line).to_string()));
        if reasons {
            row.push(dash(line.reason.as_deref()));
        }
        row
    };
    columns(&head, lines.iter().map(row))
}

fn quantities(lines: &[FulfillmentLine]) -> String {
    let parts = lines.iter().map(|line| format!("{} of line {}", line.quantity, line.line));
    parts.collect::<Vec<_>>().join(", ")
}

fn dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        serde_json::from_value(serde_json::json!({
            "id": "0001", "customer": "17850", "reference": "536365", "status": "partially_fulfilled",
            "lines": [
                {"line": 1, "sku": "85123A", "quantity": 6, "unit_price": {"amount": 255, "currency": "GBP"},
                 "held": 2, "backordered": 0, "fulfilled": 4, "cancelled": 0, "returned": 1, "restocked": 1},
            ],
            "total": {"amount": 1530, "currency": "GBP"},
            "payment": {"status": "captured", "terms": "on_account", "authorized": 0, "captured": 1530,
                        "refunded": 0, "voided": 0},
            "fulfillments": [{"number": 1, "lines": [{"line": 1, "quantity": 4}], "tracking": "T1",
                              "created_at": "2010-12-01T08:26:00Z"}],
            "returns": [{"number": 1, "lines": [{"line": 1, "quantity": 1}], "restocked": true, "reason": "broken",
                         "created_at": "2010-12-01T08:26:00Z"}],
            "version": 4, "created_at": "2010-12-01T08:26:00Z", "updated_at": "2010-12-01T08:26:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn a_list_has_a_row_per_order() {
        let table = table(&[order()], &mut Widths::default());
        let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
        let expected = [
            "0001",
            "17850",
            "536365",
            "partially_fulfilled",
            "captured",
            "1",
            "15.30",
            "GBP",
            "2010-12-01T08:26:00.000Z",
        ];
        assert_eq!(row, expected);
    }

    #[test]
    fn details_show_only_what_there_is() {
        let text = details(&order());
        assert!(text.contains("payment    captured, on_account, captured 15.30"), "{text}");
        assert!(text.contains("LINE  SKU     QUANTITY  PRICE  HELD  FULFILLED  RETURNED  RESTOCKED"), "{text}");
        assert!(!text.contains("BACKORDERED"), "{text}");
        assert!(text.contains("shipment 1 at 2010-12-01T08:26:00.000Z, tracking T1: 4 of line 1"), "{text}");
        assert!(text.contains("back on the shelf (broken): 1 of line 1"), "{text}");
    }
}
