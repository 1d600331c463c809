//! CSV on the command line: how rows become orders, credits and stock, and what is said of the rows
//! that become nothing.

use serde_json::{Value, json};

use super::import::counts;
use super::{SHARDS, Shop, says, words};

const MAP: [&str; 7] = [
    "--map",
    "reference=Invoice,sku=Stock,quantity=Quantity,unit_price=Price,customer=Customer,placed_at=Date",
    "--currency",
    "GBP",
    "--decimal-prices",
    "--credit-prefix",
    "C",
];

/// Rows under every rule, as a real shop's file has them.
const ROWS: &str = "\
Invoice,Stock,Quantity,Price,Customer,Date,Country
1,tea,6,2.55,ann,2010-12-01 08:26,UK
1,cup,2,1.00,ann,2010-12-01 08:26,UK
1,tea,4,2.55,ann,2010-12-01 08:26,UK
2,cup,one,1.00,bob,2010-12-01 08:27,UK
2,cup,1,1.00,bob,2010-12-01 08:27,UK
3,none,1,1.00,bob,2010-12-01 08:28,UK
4,POST,1,18.00,bob,2010-12-01 08:29,UK
5,cup,1,0.00,,2010-12-01T08:30:00Z,\"Isle of Man, UK\"
6,cup,-9,1.00,,2010-12-01 08:31,UK
C7,tea,-3,2.55,ann,2010-12-01 09:00,UK
1,cup,1,1.00,ann,2010-12-01 09:01,UK
8,cup,1,1.005,dan,2010-12-01 09:01,UK
9,cup,1,1.00,dan,yesterday,UK
";

const STOCK: [(&str, u64); 2] = [("tea", 100), ("cup", 100)];

#[tokio::test]
async fn rows_become_orders_by_the_stated_rules() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &STOCK).await;
        // Credits go after the orders that they are for: one that is still being decided is passed over.
        let credit = |row: &&str| row.starts_with('C');
        let orders: Vec<_> = ROWS.lines().filter(|row| !credit(row)).collect();
        let orders = shop.file("sales.csv", orders.join("\n"));
        let credits: Vec<_> = ROWS.lines().take(1).chain(ROWS.lines().filter(credit)).collect();
        let credits = shop.file("credits.csv", credits.join("\n"));
        let options = [&["--fulfilled", "--skip-skus", "POST,gift_*"], &MAP[..]].concat();
        let import = [&["import", &orders], &options[..]].concat();
        let ended = shop.ctl(&import).await;
        let summary = counts(&ended, [2, 0, 5]);
        let rows = &summary["csv"];
        for (rule, count) in [
            ("rows", 12),
            ("orders", 3),
            ("order_rows", 4),
            ("merged_rows", 1),
            ("free_rows", 1),
            ("skipped_sku", 1),
            ("written_off", 1),
            ("refused_rows", 5),
            ("refused", 4),
            ("empty", 2),
        ] {
            assert_eq!(rows[rule], count, "{rule} in {rows}");
        }
        // Refused rows are told by the line of the file that an editor shows.
        says(
            &ended.stderr,
            &[
                "refused row 5 (2): the quantity \"one\" is not a whole number",
                "row 7 (3): lines[0].sku: there is no such item",
                "refused row 11 (1): the reference stood further up already",
                "refused row 12 (8): the price \"1.005\"",
                "refused row 13 (9): ",
                "--time-format",
            ],
        );
        let returned = shop.ctl(&[&["import", &credits], &options[..]].concat()).await;
        let returned = counts(&returned, [1, 0, 0]);
        assert_eq!((&returned["csv"]["credit_rows"], &returned["unmatched"]), (&json!(1), &json!(0)));
        let orders = shop.json(&["order", "list", "--customer", "ann"]).await;
        assert_eq!(orders.len(), 1);
        let (order, lines) = (&orders[0], &orders[0]["lines"]);
        assert_eq!(
            (&order["total"]["amount"], &order["created_at"]),
            (&json!(2750), &json!("2010-12-01T08:26:00.000Z"))
        );
        let units = |line: &Value| ["quantity", "fulfilled", "returned"].map(|name| line[name].clone());
        assert_eq!(
            [units(&lines[0]), units(&lines[1])],
            [[json!(10), json!(10), json!(3)], [json!(2), json!(2), json!(0)]]
        );
        let free = shop.json(&["order", "list"]).await.into_iter().find(|order| order["reference"] == "5");
        assert_eq!(free.expect("a free order is an order")["total"]["amount"], 0);
        assert_eq!(shop.one(&["items", "get", "tea"]).await["on_hand"], 93);

        let again = shop.ctl(&import).await;
        counts(&again, [0, 2, 5]);
        shop.close().await;
    }
}

#[tokio::test]
async fn stock_and_ndjson_are_made_from_the_same_rows() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[]).await;
        let file = shop.file("sales.csv", ROWS);
        let skip = ["--skip-skus", "POST,none"];
        let stock = [&["items", "from-csv", &file, "--factor", "1.5"], &skip[..], &MAP[..]].concat();
        let dry = shop.ctl(&[&stock[..], &["--dry-run"]].concat()).await.well();
        assert_eq!(dry.stdout, "sku,on_hand,backorder\ncup,9,false\ntea,15,false\n");
        assert!(shop.http.items().await.is_empty());
        says(&shop.ctl(&stock).await.well().stderr, &["2 items set, 0 refused"]);
        assert_eq!(shop.one(&["items", "get", "tea"]).await["on_hand"], 15);

        // What convert prints can be imported as it is.
        let converted = shop.ctl(&[&["convert", &file], &skip[..], &MAP[..]].concat()).await;
        assert_eq!(converted.code, Some(2), "{}", converted.stderr);
        says(&converted.stderr, &["refused row 5 (2)", "rows read", "skipped: no rows left"]);
        assert!(converted.json().iter().all(|line| line["reference"].is_string()));
        let ndjson = shop.file("sales.ndjson", &converted.stdout);
        counts(&shop.ctl(&["import", &ndjson]).await, [3, 0, 0]);
        let table = shop.ctl(&[&["import", &file, "-o", "table"], &skip[..], &MAP[..]].concat()).await;
        assert_eq!(table.code, Some(2));
        let lines: Vec<_> = table.stdout.lines().map(words).collect();
        assert_eq!((&lines[0][..], &lines[1][..]), (&["WHAT", "COUNT"][..], &["rows", "read", "13"][..]));
        assert!(lines.contains(&vec!["duplicate", "3"]) && lines.contains(&vec!["created", "0"]), "{lines:?}");
        shop.close().await;
    }
}

#[tokio::test]
async fn a_mapping_that_does_not_fit_is_explained() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &STOCK).await;
        let file = shop.file("sales.csv", ROWS);
        let whole = MAP[1];
        for (map, options, why) in [
            (whole, &[][..], "say which currency the prices are in: --currency GBP"),
            (whole, &["--currency", "pounds"], "three letters"),
            ("sku=Stock", &["--currency", "GBP"], "no column is mapped to reference"),
            ("sku=Article", &["--currency", "GBP"], "no column"),
            ("sku", &["--currency", "GBP"], "field=Column"),
            ("colour=Stock", &["--currency", "GBP"], "colour"),
        ] {
            for command in ["import", "convert"] {
                let arguments = [&[command, &file, "--map", map], options].concat();
                says(&shop.fails(&arguments).await, &[why]);
            }
        }
        let missing = whole.replace("Stock", "Article");
        let said = shop.fails(&["import", &file, "--map", &missing, "--currency", "GBP"]).await;
        says(&said, &["there is no column \"Article\"", "Invoice, Stock, Quantity"]);
        says(&shop.fails(&["items", "from-csv", &file]).await, &["--map"]);
        assert!(shop.http.orders().await.is_empty());
        shop.close().await;
    }
}
