//! Orders on the command line: placed, shown, listed and led through their life.

use ordermill_tests::process::{Everything, Orderctl};
use serde_json::{Value, json};

use super::{SHARDS, Shop, says, words};

const LINE: [&str; 2] = ["--line", "tea:2:255GBP"];

fn id(order: &Value) -> &str {
    order["id"].as_str().expect("an order has an id")
}

/// Places an order with further options.
async fn create(shop: &Shop, options: &[&str]) -> Value {
    shop.one(&[&["order", "create"], options].concat()).await
}

#[tokio::test]
async fn an_order_is_placed_shown_listed_and_cancelled() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("a:b", 10)]).await;
        let placed =
            create(&shop, &["--customer", "ann", "--reference", "7", LINE[0], LINE[1], "--line", "a:b:1:1.05GBP"])
                .await;
        let told = [&placed["customer"], &placed["reference"], &placed["status"], &placed["total"]["amount"]];
        assert_eq!(told, [&json!("ann"), &json!("7"), &json!("confirmed"), &json!(615)]);
        assert_eq!(shop.one(&["order", "get", id(&placed)]).await, placed);
        let guest = create(&shop, &["--line", "tea:3:1GBP", "--payment-terms", "prepaid"]).await;
        // An order that cannot be met is an answer too: it stands in the books.
        let rejected = create(&shop, &["--customer", "bob", "--line", "tea:100:1GBP"]).await;
        assert_eq!(rejected["status"], "rejected");

        let mut all = shop.json(&["order", "list"]).await;
        let mut expected = vec![placed.clone(), guest.clone(), rejected.clone()];
        for list in [&mut all, &mut expected] {
            list.sort_by_key(|order| id(order).to_owned());
        }
        assert_eq!(all, expected);
        assert_eq!(shop.json(&["orders", "list", "--customer", "ann"]).await, std::slice::from_ref(&placed));
        assert_eq!(shop.json(&["order", "list", "--status", "rejected"]).await, [rejected]);
        assert!(shop.json(&["order", "list", "--created-after", "2999-01-01"]).await.is_empty());
        assert_eq!(shop.json(&["order", "list", "--all", "--page-size", "1", "-q"]).await.len(), 3);

        let cancelled = shop.one(&["order", "cancel", id(&placed), "--reason", "changed my mind"]).await;
        assert_eq!((&cancelled["outcome"], &cancelled["order"]["status"]), (&json!("done"), &json!("cancelled")));
        assert_eq!(shop.one(&["order", "get", id(&placed)]).await, cancelled["order"]);
        shop.close().await;
    }
}

#[tokio::test]
async fn an_order_goes_through_its_life() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        let placed = create(&shop, &["--customer", "ann", LINE[0], LINE[1]]).await;
        let step = async |arguments: &[&str]| {
            let after = shop.one(&[&["order", arguments[0], id(&placed)], &arguments[1..]].concat()).await;
            (after["status"].clone(), after["payment"]["status"].clone())
        };
        let is = |status: &str, payment: &str| (json!(status), json!(payment));
        assert_eq!(step(&["pay", "authorize", "--amount", "5.10GBP"]).await, is("confirmed", "authorized"));
        assert_eq!(
            step(&["fulfil", "--line", "1:1", "--tracking", "T 1"]).await,
            is("partially_fulfilled", "authorized")
        );
        assert_eq!(step(&["fulfill"]).await, is("fulfilled", "authorized"));
        assert_eq!(step(&["pay", "capture", "--amount", "510GBP"]).await, is("completed", "captured"));
        assert_eq!(step(&["return", "--line", "1:1", "--reason", "too big"]).await.1, json!("captured"));
        let table = shop.table(&["order", "get", id(&placed)]).await.join("\n");
        says(&table, &["shipment 1 at ", "tracking T 1: 1 of line 1", "back on the shelf (too big): 1 of line 1"]);
        shop.close().await;
    }
}

#[tokio::test]
async fn what_is_placed_twice_is_placed_once() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        let arguments = ["order", "create", "--customer", "ann", "--key", "k 1", LINE[0], LINE[1]];
        let placed = shop.one(&arguments).await;
        let again = shop.ctl(&arguments).await.well();
        assert_eq!(again.json(), std::slice::from_ref(&placed));
        assert_eq!(again.stderr, "this order was placed before under the same key\n");
        let other = shop.fails(&["order", "create", "--customer", "ann", "--key", "k 1", "--line", "tea:1:1GBP"]).await;
        says(&other, &["use another --key"]);
        create(&shop, &["--customer", "bob", "--reference", "7", LINE[0], LINE[1]]).await;
        let other = shop.fails(&["order", "create", "--customer", "bob", "--reference", "7", LINE[0], LINE[1]]).await;
        says(&other, &["reference is taken", "order "]);
        let before = Everything::read(&shop.http).await;
        let dry = create(&shop, &["--customer", "cat", "--dry-run", "--line", "tea:7:1GBP"]).await;
        assert_eq!((&dry["status"], &dry["id"]), (&json!("rejected"), &Value::Null));
        assert_eq!(Everything::read(&shop.http).await, before, "a dry run changes nothing");
        assert_eq!(before.orders.len(), 2);
        shop.close().await;
    }
}

#[tokio::test]
async fn an_order_comes_from_a_file_or_standard_input() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10), ("cup", 10)]).await;
        let line = json!({"sku": "cup", "quantity": 1, "unit_price": {"amount": 100, "currency": "GBP"}});
        let file = shop.file("order.json", json!({"customer": "ann", "lines": [line]}).to_string());
        let placed = create(&shop, &["--file", &file, LINE[0], LINE[1], "--reference", "7"]).await;
        assert_eq!((&placed["customer"], &placed["total"]["amount"]), (&json!("ann"), &json!(610)));
        let piped = Orderctl::run_with_input(&shop.url, &["order", "create", "--file", "-"], file.as_ref()).await;
        assert_eq!(piped.well().json()[0]["total"]["amount"], 100);
        for (content, why) in [
            (&b"nonsense"[..], "is not an order in JSON"),
            (b"[]", "is not an order in JSON"),
            (b"{\"lines\": 7}", "lines"),
            (b"{\"customer\": \"ann\", \"colour\": 1, \"lines\": []}", "colour"),
        ] {
            let file = shop.file("wrong.json", content);
            says(&shop.fails(&["order", "create", "--file", &file]).await, &[why]);
        }
        says(&shop.fails(&["order", "create", "--file", "nowhere.json"]).await, &["cannot read nowhere.json"]);
        assert_eq!(shop.http.orders().await.len(), 2);
        shop.close().await;
    }
}

#[tokio::test]
async fn tables_show_orders_and_their_lines() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        assert_eq!(shop.table(&["order", "list"]).await, ["no orders"]);
        let placed = shop.table(&["order", "create", "--customer", "ann", "--reference", "7", LINE[0], LINE[1]]).await;
        let id = words(&placed[0])[1];
        let list = shop.table(&["order", "list", "--customer", "ann"]).await;
        assert_eq!(words(&list[0]).join(" "), "ID CUSTOMER REFERENCE STATUS PAYMENT LINES TOTAL CREATED");
        assert_eq!(words(&list[1])[..8], [id, "ann", "7", "confirmed", "required", "1", "5.10", "GBP"]);
        assert_eq!(list.len(), 2);
        let details = shop.table(&["order", "get", id]).await;
        assert_eq!(details, placed);
        for (name, value) in [("status", "confirmed"), ("customer", "ann"), ("total", "5.10 GBP")] {
            let line = details.iter().find(|line| words(line).first() == Some(&name)).expect("a line for each");
            assert_eq!(line.trim_start_matches(name).trim(), value);
        }
        assert_eq!(words(&details[details.len() - 2]).join(" "), "LINE SKU QUANTITY PRICE HELD");
        assert_eq!(words(&details[details.len() - 1]), ["1", "tea", "2", "2.55", "2"]);
        let cancelled = shop.table(&["order", "cancel", id, "--reason", "late"]).await;
        assert_eq!(words(&cancelled[0]), ["outcome", "done"]);
        says(&cancelled.join("\n"), &["(late)", "CANCELLED"]);
        shop.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_explained() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 10)]).await;
        let placed = create(&shop, &["--customer", "ann", LINE[0], LINE[1]]).await;
        let before = Everything::read(&shop.http).await;
        let [none, id] = ["00000000000000000000000000", id(&placed)];
        let unknown = ["there is no such order", "orderctl order list"];
        for (arguments, why) in [
            (&["order", "get", none][..], &unknown[..]),
            (&["order", "get", "../items/tea"], &unknown),
            (&["order", "cancel", none], &unknown),
            (&["order", "pay", none, "void"], &unknown),
            (&["order", "fulfil", none], &unknown),
            (&["order", "return", id], &["not possible now"]),
            (&["order", "cancel", id, "--if-version", "99"], &["read it again"]),
            (&["order", "fulfil", id, "--line", "9:1"], &["line"]),
            (&["order", "pay", id, "steal"], &["authorize, capture, void"]),
            (&["order", "create", "--line", "none:1:1GBP"], &["lines[0].sku", "orderctl items set SKU --on-hand N"]),
            (&["order", "create", "--line", "tea:1"], &["SKU:QUANTITY:PRICE"]),
            (&["order", "create", "--line", "tea:0:1GBP"], &["lines[0].quantity"]),
            (&["order", "create", "--customer", "ann"], &["--file <FILE>"]),
            (&["order", "create", "--customer", "", LINE[0], LINE[1]], &["customer: is empty"]),
            (&["order", "list", "--status", "fun"], &["[possible values: pending, confirmed"]),
            (&["order", "list", "--created-after", "yesterday"], &["yesterday"]),
            (&["order", "list", "--page-token", "nonsense"], &["page_token"]),
        ] {
            says(&shop.fails(arguments).await, why);
        }
        assert_eq!(Everything::read(&shop.http).await, before);
        shop.close().await;
    }
}
