//! Imports on the command line: whatever way the orders are written in, whatever is wrong with
//! some of them, and however often they are sent.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;
use ordermill_api::Order;
use ordermill_tests::process::{Ended, Everything, Orderctl};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use super::{SHARDS, Shop, failed, over_all_shards, sane, says, words};

/// An order as a line of NDJSON.
pub(super) fn line(customer: &str, number: usize) -> String {
    let line =
        json!({"sku": format!("sku-{}", number % 7), "quantity": 1, "unit_price": {"amount": 250, "currency": "GBP"}});
    json!({"customer": customer, "reference": format!("r-{number}"), "lines": [line]}).to_string()
}

/// The same as a row of CSV, with this head and these options.
pub(super) fn row(customer: &str, number: usize) -> String {
    format!("r-{number},sku-{},1,2.50,{customer}", number % 7)
}
pub(super) const HEAD: &str = "Number,Code,Units,Price,Who";
pub(super) const CSV: [&str; 5] = [
    "--map",
    "reference=Number,sku=Code,quantity=Units,unit_price=Price,customer=Who",
    "--currency",
    "GBP",
    "--decimal-prices",
];

/// Everything that [`line`] and [`row`] name.
pub(super) const STOCK: [(&str, u64); 7] = [
    ("sku-0", 1_000_000),
    ("sku-1", 1_000_000),
    ("sku-2", 1_000_000),
    ("sku-3", 1_000_000),
    ("sku-4", 1_000_000),
    ("sku-5", 1_000_000),
    ("sku-6", 1_000_000),
];

pub(super) fn lines(rows: impl IntoIterator<Item = String>) -> String {
    rows.into_iter().map(|row| row + "\n").collect()
}

pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// Checks the summary that an import ends with.
#[track_caller]
pub(super) fn counts(ended: &Ended, [created, duplicate, refused]: [usize; 3]) -> Value {
    let summary = ended.json().pop().expect("an import ends with a summary");
    let number = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"));
    assert_eq!(
        [number("created"), number("duplicate"), number("refused") + number("refused_here")],
        [created as u64, duplicate as u64, refused as u64],
        "{summary}\n{}",
        ended.stderr
    );
    assert_eq!(summary["complete"], true, "{summary}");
    let code = if refused > 0 { 2 } else { 0 };
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    summary
}

/// What an order says of itself that its file has said.
fn told(order: &Order) -> (Option<String>, u64, Vec<(String, u64)>) {
    let lines = order.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect();
    (order.reference.clone(), order.total.amount, lines)
}

#[tokio::test]
async fn however_a_file_is_written_it_makes_the_same_orders() {
    const COUNT: usize = 300;
    for shards in SHARDS {
        let shop = Shop::open(shards, &STOCK).await;
        let ndjson = |who: &str| lines((0..COUNT).map(|number| line(who, number)));
        let csv = |who: &str| lines([HEAD.to_owned()].into_iter().chain((0..COUNT).map(|number| row(who, number))));
        let files = [
            ("plain", shop.file("plain.ndjson", ndjson("plain")), &[][..]),
            ("packed", shop.file("packed.ndjson.gz", gzip(&ndjson("packed"))), &[]),
            // Packed files are known by what is in them, and the last line needs no end.
            ("unnamed", shop.file("unnamed", gzip(ndjson("unnamed").trim_end())), &[]),
            ("table", shop.file("table.csv", csv("table")), &CSV),
            ("packed-table", shop.file("packed-table.csv.gz", gzip(&csv("packed-table"))), &CSV),
        ];
        for (who, file, options) in &files {
            let ended = shop.ctl(&[&["import", file], *options].concat()).await;
            counts(&ended, [COUNT, 0, 0]);
            assert_eq!(ended.stderr, "", "{who}");
            assert!(!std::fs::exists(format!("{file}.orderctl-import")).expect("a directory can be read"));
            // Through standard input: its orders are there by then.
            let arguments = [&["import", "-"], *options].concat();
            let ended = sane(Orderctl::run_with_input(&shop.url, &arguments, file.as_ref()).await);
            counts(&ended, [0, COUNT, 0]);
            assert_eq!(ended.stderr, "", "{who}");
        }
        let orders = shop.http.orders().await;
        assert_eq!(orders.len(), COUNT * files.len());
        let of = |who: &str| {
            let theirs = orders.iter().filter(|order| order.customer.as_deref() == Some(who));
            let mut told: Vec<_> = theirs.map(told).collect();
            told.sort();
            told
        };
        for (who, ..) in &files {
            assert_eq!(of(who), of("plain"), "{who}");
        }
        shop.close().await;
    }
}

#[tokio::test]
async fn bad_lines_are_told_by_their_number_and_the_rest_goes_on() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &STOCK).await;
        let bad = [
            (3, "nonsense".to_owned(), "refused line 3: body: "),
            (5, line("ann", 5).replace("sku-5", "none"), "refused line 5 (r-5): lines[0].sku: there is no such item"),
            (6, line("ann", 6).replace(":1,", ":0,"), "refused line 6 (r-6): lines[0].quantity"),
            // What a file says is not drawn on anybody's terminal.
            (9, line("ann", 9).replace("r-9", "r\\u001b[31m\\n9"), "refused line 9 (r\\u{1b}[31m\\n9): reference"),
        ];
        let mut text: Vec<_> = (1..=20).map(|number| line("ann", number)).collect();
        for (number, bad, _) in &bad {
            text[number - 1].clone_from(bad);
        }
        // A blank line is none, but counts.
        text[7].clear();
        let file = shop.file("orders.ndjson", lines(text));
        let [rejects, results] = ["rejects", "results"].map(|name| shop.path(name));
        let [rejects, results] = [&rejects, &results].map(|path| path.to_str().expect("the path is UTF-8"));
        let ended = shop.ctl(&["import", &file, "--rejects", rejects, "--results", results]).await;
        counts(&ended, [15, 0, 4]);
        let said: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(said.len(), bad.len(), "{said:?}");
        for (said, (.., expected)) in said.iter().zip(&bad) {
            assert!(said.starts_with(expected), "{said}");
        }
        let kept = |path: &str| -> Vec<Value> {
            let text = std::fs::read_to_string(path).expect("the file is there");
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
        };
        let numbers: Vec<_> = kept(results).iter().map(|result| result["line"].as_u64()).collect();
        assert_eq!(numbers, (1..=20).filter(|number| *number != 8).map(Some).collect::<Vec<_>>());
        let kept = kept(rejects);
        assert_eq!(kept.iter().map(|reject| &reject["line"]).collect::<Vec<_>>(), [3, 5, 6, 9]);
        assert_eq!(kept[0]["input"], "nonsense");
        assert_eq!(kept[1]["problem"], "https://ordermill.io/errors/unknown-sku");

        // Few are shown when few are asked for; once corrected they go through.
        let ended = shop.ctl(&["import", &file, "--show-rejects", "1", "-o", "table"]).await;
        assert_eq!(ended.code, Some(2));
        let said: Vec<_> = ended.stderr.lines().collect();
        assert_eq!((said.len(), said[1]), (2, "further refused lines are not shown; --rejects FILE keeps them all"));
        let table: Vec<_> = ended.stdout.lines().map(words).collect();
        assert_eq!(table[..4], [["ANSWER", "COUNT"], ["created", "0"], ["duplicate", "15"], ["refused", "4"]]);
        let corrected = kept[1]["input"].to_string().replace("none", "sku-5");
        let corrected = shop.file("corrected", corrected);
        counts(&Orderctl::run_with_input(&shop.url, &["import", "-"], corrected.as_ref()).await, [1, 0, 0]);
        assert_eq!(shop.http.orders().await.len(), 16);
        shop.close().await;
    }
}

#[tokio::test]
async fn sent_again_nothing_is_new() {
    const COUNT: usize = 3_000;
    for shards in SHARDS {
        let mut shop = Shop::open(shards, &STOCK).await;
        // Several orders of a customer, so that shards of orders and of items mix.
        let text = lines((0..COUNT).map(|number| line(&format!("c-{}", number % 100), number)));
        let file = shop.file("orders.ndjson", text);
        counts(&shop.ctl(&["import", &file]).await, [COUNT, 0, 0]);
        let before = Everything::read(&shop.http).await;
        assert_eq!(before.orders.len(), COUNT);
        for options in [&[][..], &["--restart"], &["-q", "--state", "elsewhere"]] {
            if options.is_empty() {
                shop.server.kill().await;
                shop.server.restart().await;
            }
            let state = shop.path("elsewhere");
            let options =
                options.iter().map(|&word| if word == "elsewhere" { state.to_str().expect("UTF-8") } else { word });
            let arguments: Vec<&str> = ["import", &file].into_iter().chain(options).collect();
            let ended = shop.ctl(&arguments).await;
            counts(&ended, [0, COUNT, 0]);
            assert_eq!(ended.stderr, "");
        }
        assert_eq!(Everything::read(&shop.http).await, before);
        shop.close().await;
    }
}

#[tokio::test]
async fn imports_at_once_share_the_work() {
    const COUNT: usize = 3_000;
    for shards in SHARDS {
        let shop = Shop::open(shards, &STOCK).await;
        let text = lines((0..COUNT).map(|number| line(&format!("c-{}", number % 100), number)));
        let file = shop.file("orders.ndjson", text);
        let states = ["a", "b", "c"].map(|name| shop.path(name).into_os_string().into_string().expect("UTF-8"));
        let imports = states.iter().map(|state| Orderctl::start(&shop.url, &["import", &file, "--state", state]));
        let all = join_all(imports.map(Orderctl::ended)).await;
        let mut created = 0;
        for ended in all {
            let summary = sane(ended.well()).json().remove(0);
            let [new, old] = ["created", "duplicate"].map(|name| summary[name].as_u64().expect("a number"));
            assert_eq!(new + old, COUNT as u64, "{summary}");
            created += new;
        }
        assert_eq!((created, shop.http.orders().await.len()), (COUNT as u64, COUNT), "each order is made once");
        shop.close().await;
    }
}

#[tokio::test]
async fn standard_input_is_sent_as_it_comes() {
    over_all_shards(async |shards| {
        let mut shop = Shop::open(shards, &STOCK).await;
        let (import, mut input) = Orderctl::start_with_input(&shop.url, &["import", "-", "--results", "-"]);
        for number in 1..=6 {
            if number == 4 {
                // What comes while the server is away waits for it.
                shop.server.kill().await;
                input.write_all((line("ann", 100) + "\n").as_bytes()).await.expect("it reads");
                import.says("waiting for the server", 1).await;
                shop.server.restart().await;
            }
            input.write_all((line("ann", number) + "\n").as_bytes()).await.expect("it reads");
            let results = import.lines(if number < 4 { number } else { number + 1 }).await;
            let last: Value = serde_json::from_str(results.last().expect("a result")).expect("JSON");
            let reference = format!("r-{number}");
            assert_eq!((&last["reference"], &last["result"]), (&json!(reference), &json!("created")), "{last}");
            assert_eq!(last["line"], results.len());
        }
        drop(input);
        let ended = sane(import.ended().await);
        assert_eq!((ended.code, ended.stdout.lines().count()), (Some(0), 7));
        says(&ended.stderr, &["created", "7 lines in"]);
        assert_eq!(shop.http.orders().await.len(), 7);
        shop.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_wrong_is_named() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &STOCK).await;
        let text = lines((0..200).map(|number| line("ann", number)));
        let packed = gzip(&text);
        let cut = shop.file("cut.ndjson.gz", &packed[..packed.len() / 2]);
        let damaged = [&packed[..packed.len() - 8], &[0; 8]].concat();
        for (file, why) in [
            (shop.path("nowhere").to_string_lossy().into_owned(), "No such file"),
            (shop.dir.path().to_string_lossy().into_owned(), "Is a directory"),
            (cut.clone(), "cut.ndjson.gz"),
            (shop.file("damaged.gz", damaged), "damaged.gz"),
            (shop.file("endless", "x".repeat(2 << 20)), "line 1 is longer than 1 MiB: is this NDJSON"),
            (shop.file("orders.csv", "a,b\n"), "say which column is what with --map"),
        ] {
            let said = shop.fails(&["import", &file]).await;
            says(&said, &[why]);
        }
        // Whole, it begins anew: another file has taken the place of the one that was cut.
        std::fs::write(&cut, &packed).expect("a file can be written");
        let ended = shop.ctl(&["import", &cut]).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_eq!(shop.http.orders().await.len(), 200);
        let file = shop.file("orders.ndjson", text);
        says(
            &shop.fails(&["import", &file, "--results", "/nowhere/results"]).await,
            &["cannot write /nowhere/results"],
        );
        says(&shop.fails(&["import", &file, "--retry-for", "soon"]).await, &["write it as 500ms, 30s, 2m or 1h"]);
        let gone = ["import", &file, "--retry-for", "300ms"];
        let gone = failed_after_waiting(sane(Orderctl::run("http://127.0.0.1:1", &gone).await));
        says(&gone, &["cannot reach http://127.0.0.1:1", "ordermill serve", "run the same command again"]);
        let quiet = Orderctl::run("http://127.0.0.1:1", &["import", &file, "--retry-for", "0s", "-q"]).await;
        says(&failed(sane(quiet)), &["gave up after 0 s", "--retry-for waits longer"]);
        shop.close().await;
    }
}

/// The same as [`failed`], for a call that has said that it waits.
#[track_caller]
fn failed_after_waiting(mut ended: Ended) -> String {
    assert!(ended.stderr.starts_with("waiting for the server: "), "{}", ended.stderr);
    let waiting = ended.stderr.clone();
    ended.stderr = ended.stderr.split_once("\nerror: ").map_or(String::new(), |(_, error)| format!("error: {error}"));
    waiting + &failed(ended)
}
