//! Books that add up, and each way in which they may not.

use ordermill_api::{Item, Order};
use serde_json::{Value, json};

use super::*;

fn item() -> Item {
    serde_json::from_value(json!({
        "sku": "A", "on_hand": 8, "held": 2, "available": 6, "backorder": true, "backordered": 1,
        "received": 11, "fulfilled": 4, "restocked": 1, "version": 3, "updated_at": "2010-12-01T08:26:00Z",
    }))
    .unwrap()
}

fn order_with(change: impl FnOnce(&mut Value)) -> Order {
    let mut order = json!({
        "id": "O1", "customer": "7", "reference": "R", "status": "partially_fulfilled",
        "lines": [{
            "line": 1, "sku": "A", "quantity": 7, "unit_price": {"amount": 10, "currency": "GBP"},
            "held": 2, "backordered": 1, "fulfilled": 4, "cancelled": 0, "returned": 2, "restocked": 1,
        }],
        "total": {"amount": 70, "currency": "GBP"},
        "payment": {"status": "required", "terms": "on_account", "authorized": 0, "captured": 0, "refunded": 0,
                    "voided": 0},
        "fulfillments": [{"number": 1, "lines": [{"line": 1, "quantity": 4}], "created_at": "2010-12-01T08:26:00Z"}],
        "returns": [
            {"number": 1, "lines": [{"line": 1, "quantity": 1}], "restocked": true, "created_at": "2010-12-01T08:26:00Z"},
            {"number": 2, "lines": [{"line": 1, "quantity": 1}], "restocked": false, "created_at": "2010-12-01T08:26:00Z"},
        ],
        "version": 1, "created_at": "2010-12-01T08:26:00Z", "updated_at": "2010-12-01T08:26:00Z",
    });
    change(&mut order);
    serde_json::from_value(order).unwrap()
}

fn rules(order: &Order) -> Vec<&'static str> {
    let mut findings = Findings::up_to(10);
    check::order(order, &mut findings);
    findings.listed.iter().map(|violation| violation.rule).collect()
}

fn compared(items: &[Item], orders: &[Order]) -> (Vec<Violation>, Vec<String>) {
    let mut tally = Tally::default();
    for item in items {
        tally.item(item);
    }
    for order in orders {
        tally.order(order);
    }
    for item in items {
        tally.again(item);
    }
    let mut findings = Findings::up_to(10);
    let unsettled = tally.compare(&mut findings);
    (findings.listed, unsettled)
}

#[test]
fn books_that_add_up_are_clean() {
    assert!(rules(&order_with(|_| ())).is_empty());
    let mut findings = Findings::up_to(10);
    check::item(&item(), &mut findings);
    assert_eq!(findings.total, 0);
    assert_eq!(compared(&[item()], &[order_with(|_| ())]), (vec![], vec![]));
}

#[test]
fn each_rule_of_an_order_is_checked() {
    let cases: [(&str, Value, &str); 6] = [
        ("/lines/0/held", json!(3), "quantity = requested + held + backordered + fulfilled + cancelled"),
        ("/lines/0/restocked", json!(3), "restocked <= returned"),
        ("/total/amount", json!(71), "total = sum of quantity * price"),
        ("/total/currency", json!("EUR"), "one currency"),
        ("/fulfillments/0/lines/0/quantity", json!(3), "fulfilled = sum of shipments"),
        ("/returns/1/lines/0/line", json!(2), "returned = sum of returns"),
    ];
    for (pointer, value, rule) in cases {
        let found = rules(&order_with(|order| *order.pointer_mut(pointer).unwrap() = value));
        assert!(found.contains(&rule), "{pointer}: {found:?}");
    }
    let found = rules(&order_with(|order| {
        order["lines"][0]["held"] = json!(1);
        order["lines"][0]["requested"] = json!(1);
    }));
    assert_eq!(found, ["requested only while pending"]);
}

#[test]
fn each_rule_of_an_item_is_checked() {
    for (change, rule) in [
        ((|item: &mut Item| item.held = 9) as fn(&mut Item), "held <= on hand"),
        (|item| item.available = 7, "available = on hand - held"),
        (|item| item.received = 12, "on hand = received - fulfilled + restocked"),
    ] {
        let mut item = item();
        change(&mut item);
        let mut findings = Findings::up_to(10);
        check::item(&item, &mut findings);
        assert!(findings.listed.iter().any(|violation| violation.rule == rule), "{rule}");
    }
}

#[test]
fn items_must_agree_with_orders() {
    let mut wrong = item();
    wrong.held = 3;
    let (violations, unsettled) = compared(&[wrong.clone()], &[order_with(|_| ())]);
    assert_eq!((violations.len(), unsettled.len()), (1, 0));
    assert_eq!(violations[0].rule, "held = sum over orders");
    assert_eq!(violations[0].subject, Subject::Item("A".into()));

    let (violations, _) = compared(&[], &[order_with(|_| ())]);
    assert_eq!(violations[0].rule, "an item with units in orders exists");

    let pending = order_with(|order| order["status"] = json!("pending"));
    assert_eq!(compared(&[wrong], &[pending]), (vec![], vec!["A".to_owned()]));
}

#[test]
fn an_item_that_changes_meanwhile_accuses_nobody() {
    let mut tally = Tally::default();
    tally.item(&item());
    let mut later = item();
    later.version += 1;
    tally.again(&later);
    let mut findings = Findings::up_to(10);
    assert_eq!((tally.compare(&mut findings), findings.total), (vec!["A".to_owned()], 0));
}

#[test]
fn repeated_references_are_noticed_but_not_among_guests() {
    let mut references = References::default();
    references.order(&order_with(|_| ()));
    references.order(&order_with(|order| order["customer"] = json!("8")));
    assert_eq!(references.customers(), 2);
    references.order(&order_with(|_| ()));
    assert_eq!(references.customers(), 2);
    for _ in 0..3 {
        references.order(&order_with(|order| _ = order.as_object_mut().unwrap().remove("customer")));
    }
    assert_eq!(references.guests_repeated(), 2);
}

#[test]
fn the_report_lists_what_was_found() {
    let violation = Violation { subject: Subject::Item("A".into()), rule: "held <= on hand", found: "9 and 8".into() };
    let report = Report { orders: 1234, violations_total: 1, violations: vec![violation], ..Report::default() };
    let table = report.table();
    assert!(table.contains("1,234") && table.contains("item A") && table.contains("9 and 8"), "{table}");
    assert!(!report.is_clean());
}
