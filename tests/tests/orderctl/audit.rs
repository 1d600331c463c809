//! The audit on the command line: clean over good books, and not over forged ones.

use ordermill_tests::process::{Ended, Forger, Orderctl};
use serde_json::{Value, json};

use super::{Shop, failed, over_all_shards, sane, says, words};

/// A shop with orders in many states.
async fn busy(shards: u32) -> Shop {
    let shop = Shop::open(shards, &[("tea", 100), ("cup", 100), ("pot", 2)]).await;
    shop.one(&["items", "set", "later", "--on-hand", "1", "--backorder"]).await;
    for number in 0..8 {
        let (customer, reference) = (format!("c-{}", number % 3), format!("r-{number}"));
        let create = ["order", "create", "--customer", &customer, "--reference", &reference, "--line", "tea:3:1GBP"];
        let more = if number % 2 == 0 { ["--line", "cup:2:0.50GBP"] } else { ["--line", "later:1:2GBP"] };
        let order = shop.one(&[&create[..], &more].concat()).await;
        let id = order["id"].as_str().expect("an order has an id");
        if number < 4 {
            shop.one(&["order", "fulfil", id, "--line", "1:2"]).await;
        }
        if number < 2 {
            shop.one(&["order", "return", id, "--line", "1:1"]).await;
        }
        if number == 4 {
            shop.one(&["order", "cancel", id]).await;
        }
    }
    assert_eq!(shop.one(&["order", "create", "--line", "pot:3:1GBP"]).await["status"], "rejected");
    shop
}

#[tokio::test]
async fn good_books_are_clean() {
    over_all_shards(async |shards| {
        let shop = busy(shards).await;
        for size in ["2", "1000"] {
            let report = shop.one(&["audit", "--page-size", size]).await;
            for (name, count) in [("orders", 9), ("lines", 17), ("items", 4), ("references", 8), ("pending", 0)] {
                assert_eq!(report[name], count, "{name} in {report}");
            }
            assert_eq!((&report["violations_total"], &report["violations"]), (&json!(0), &json!([])));
        }
        let table = shop.table(&["audit"]).await;
        assert_eq!(words(&table[0]), ["WHAT", "COUNT"]);
        assert_eq!(words(&table[1]), ["orders", "checked", "9"]);
        assert_eq!(words(table.last().expect("a table has rows")), ["violations", "0"]);
        shop.close().await;
    })
    .await;
}

/// Audits the shop as `forge` shows it.
async fn forged(shop: &Shop, options: &[&str], forge: impl Fn(&str, &mut Value) + Send + Sync + 'static) -> Ended {
    let forger = Forger::before(&shop.http, forge).await;
    sane(Orderctl::run(forger.url(), &[&["audit", "--settle", "0s"], options].concat()).await)
}

/// Does `change` to the rows of a list that have this value.
fn rows(body: &mut Value, list: &str, name: &str, value: &str, change: impl Fn(&mut Value)) {
    let rows = body[list].as_array_mut().into_iter().flatten();
    rows.filter(|row| row[name] == value).for_each(change);
}

/// One more than there is.
fn more(number: &mut Value) {
    *number = json!(number.as_u64().expect("a number") + 1);
}

#[tokio::test]
async fn one_wrong_number_of_an_item_is_found_and_named() {
    over_all_shards(async |shards| {
        let shop = busy(shards).await;
        for (field, rule) in [
            ("held", "held = sum over orders"),
            ("backordered", "backordered = sum over orders"),
            ("fulfilled", "fulfilled = sum over orders"),
            ("restocked", "restocked = sum over orders"),
            ("on_hand", "on hand = received - fulfilled + restocked"),
            ("available", "available = on hand - held"),
            ("received", "on hand = received - fulfilled + restocked"),
        ] {
            let ended =
                forged(&shop, &[], move |_, body| rows(body, "items", "sku", "tea", |item| more(&mut item[field])))
                    .await;
            assert_eq!(ended.code, Some(3), "{field}: {}{}", ended.stdout, ended.stderr);
            let report = ended.json().remove(0);
            let violations = report["violations"].as_array().expect("a list");
            assert!(violations.iter().all(|violation| violation["subject"] == json!({"item": "tea"})), "{report}");
            assert!(violations.iter().any(|violation| violation["rule"] == rule), "{field}: {report}");
            assert_eq!(report["violations_total"], violations.len());
        }
        let held = |_: &str, body: &mut Value| rows(body, "items", "sku", "tea", |item| more(&mut item["held"]));
        let ended = forged(&shop, &["-o", "table"], held).await;
        assert_eq!(ended.code, Some(3));
        says(&ended.stdout, &["WHERE", "SHOULD HOLD", "item tea", "held = sum over orders", "the item says "]);
        shop.close().await;
    })
    .await;
}

#[tokio::test]
async fn one_wrong_order_is_found_and_named() {
    over_all_shards(async |shards| {
        let shop = busy(shards).await;
        let orders = shop.json(&["order", "list", "--customer", "c-0"]).await;
        let id = orders[0]["id"].as_str().expect("an order has an id").to_owned();
        let named = json!({"order": id.clone()});
        type Forgery = fn(&mut Value);
        for (rule, item, forge) in [
            ("total = sum of quantity * price", None, (|order| more(&mut order["total"]["amount"])) as Forgery),
            ("fulfilled = sum of shipments", None, |order| order["fulfillments"] = json!([])),
            ("returned = sum of returns", None, |order| order["returns"] = json!([])),
            ("quantity = requested + held", Some("tea"), |order| more(&mut order["lines"][0]["held"])),
            ("one currency", None, |order| order["lines"][0]["unit_price"]["currency"] = json!("EUR")),
        ] {
            let id = id.clone();
            let ended = forged(&shop, &[], move |_, body| rows(body, "orders", "id", &id, forge)).await;
            assert_eq!(ended.code, Some(3), "{rule}: {}{}", ended.stdout, ended.stderr);
            let report = ended.json().remove(0);
            let violations = report["violations"].as_array().expect("a list");
            let is = |violation: &Value| {
                violation["subject"] == named && violation["rule"].as_str().is_some_and(|text| text.starts_with(rule))
            };
            assert!(violations.iter().any(is), "{rule}: {report}");
            let items: Vec<_> =
                violations.iter().filter_map(|violation| violation["subject"]["item"].as_str()).collect();
            assert_eq!(items, item.into_iter().collect::<Vec<_>>(), "{rule}: {report}");
        }
        // An order that is lost is missed by its items, and one that stands twice by its customer.
        let lost = id.clone();
        let ended = forged(&shop, &[], move |_, body| {
            if let Some(orders) = body["orders"].as_array_mut() {
                orders.retain(|order| order["id"] != *lost);
            }
        });
        let ended = ended.await;
        assert_eq!(ended.code, Some(3));
        says(&ended.stdout, &["{\"item\":\"tea\"}", "{\"item\":\"cup\"}"]);
        let twice = forged(&shop, &[], move |_, body| {
            rows(body, "orders", "customer", "c-0", |order| order["reference"] = json!("r-0"));
        });
        let twice = twice.await;
        assert_eq!(twice.code, Some(3), "{}{}", twice.stdout, twice.stderr);
        says(&twice.stdout, &["a reference stands for one order"]);
        shop.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_does_not_rest_is_neither_clean_nor_wrong() {
    over_all_shards(async |shards| {
        let shop = busy(shards).await;
        let ended = forged(&shop, &[], |_, body| {
            rows(body, "items", "sku", "tea", |item| more(&mut item["backordered"]));
            rows(body, "orders", "reference", "r-1", |order| order["status"] = json!("pending"));
        });
        let ended = ended.await;
        assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
        let report = ended.json().remove(0);
        assert_eq!((&report["unsettled"], &report["pending"]), (&json!(["tea"]), &json!(1)), "{report}");
        says(&ended.stderr, &["not everything came to rest", "--settle"]);
        // Pages that are none are no books at all.
        let nonsense = forged(&shop, &[], |_, body| *body = json!("nonsense")).await;
        says(&failed(nonsense), &["not an answer of ordermill"]);
        says(&shop.fails(&["audit", "--settle", "soon"]).await, &["write it as 500ms, 30s, 2m or 1h"]);
        shop.close().await;
    })
    .await;
}
