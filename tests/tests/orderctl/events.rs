//! The event feed on the command line: from the beginning, from a cursor, and followed while things
//! happen and the server comes and goes.

use std::collections::BTreeSet;

use ordermill_api::Event;
use ordermill_tests::process::Orderctl;
use ordermill_tests::process::feed::{check_complete, check_same, events};
use serde_json::Value;

use super::{SHARDS, Shop, failed, sane, says, words};

/// Places orders, and cancels every second one.
async fn bustle(shop: &Shop, name: &str) {
    for number in 0..4 {
        let customer = format!("{name}-{number}");
        let arguments = ["order", "create", "--customer", &customer, "--line", "tea:1:1GBP", "--line", "cup:1:1GBP"];
        let order = shop.one(&arguments).await;
        if number % 2 == 0 {
            shop.one(&["order", "cancel", order["id"].as_str().expect("an id")]).await;
        }
    }
    ordermill_tests::process::audit(&shop.url).await;
}

fn parsed(lines: &[String]) -> Vec<Event> {
    lines.iter().map(|line| serde_json::from_str(line).expect("an event per line")).collect()
}

/// Runs a tail to its end: the events, and the cursor to go on from.
async fn tail(shop: &Shop, options: &[&str]) -> (Vec<Event>, String) {
    let ended = shop.ctl(&[&["events", "tail"], options].concat()).await.well();
    let cursor = ended.stderr.trim_end().strip_prefix("to go on later: --after ");
    let cursor = cursor.unwrap_or_else(|| panic!("no cursor: {}", ended.stderr)).to_owned();
    (parsed(&ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>()), cursor)
}

#[tokio::test]
async fn a_tail_tells_everything_from_anywhere() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 100), ("cup", 100)]).await;
        bustle(&shop, "ann").await;
        let (all, cursor) = tail(&shop, &[]).await;
        check_same(&all, &events(&shop.http, None, 500).await);
        check_complete(&all, &shop.http.orders().await);
        check_same(&tail(&shop, &["--limit", "3"]).await.0, &all);
        // From any event on, and from the end: what came after it and nothing else.
        let middle = all.len() / 2;
        check_same(&tail(&shop, &["--after", &all[middle].cursor]).await.0, &all[middle + 1..]);
        assert_eq!(tail(&shop, &["--after", &cursor]).await, (vec![], cursor.clone()));
        bustle(&shop, "bob").await;
        let (later, _) = tail(&shop, &["--after", &cursor]).await;
        assert_eq!(later.len(), tail(&shop, &[]).await.0.len() - all.len());
        check_complete(&[all.clone(), later].concat(), &shop.http.orders().await);

        let (some, _) = tail(&shop, &["--type", "ordermill.item.*,ordermill.order.cancelled"]).await;
        let types: BTreeSet<_> = some.iter().map(|event| &*event.r#type).collect();
        assert_eq!(types.into_iter().collect::<Vec<_>>(), ["ordermill.item.changed", "ordermill.order.cancelled"]);
        assert_eq!(some.len(), 2 + 4);
        let quiet = shop.table(&["events", "tail", "--quiet", "--type", "ordermill.item.changed"]).await;
        assert_eq!(quiet.len(), 2);
        for line in &quiet {
            assert_eq!(
                words(line)[1..].join(" "),
                format!("ordermill.item.changed {} version 1, 100 on hand, 0 held", words(line)[2])
            );
        }
        shop.close().await;
    }
}

#[tokio::test]
async fn a_follower_sees_what_happens_and_outlives_the_server() {
    for shards in SHARDS {
        let mut shop = Shop::open(shards, &[("tea", 100), ("cup", 100)]).await;
        let follower = Orderctl::start(&shop.url, &["events", "tail", "--follow"]);
        follower.lines(2).await;
        bustle(&shop, "ann").await;
        let count = events(&shop.http, None, 500).await.len();
        // One that begins at a cursor sees what comes after it.
        let (_, cursor) = tail(&shop, &[]).await;
        let late = Orderctl::start(&shop.url, &["events", "tail", "-f", "--after", &cursor, "-o", "table"]);
        check_same(&parsed(&follower.lines(count).await), &events(&shop.http, None, 500).await);
        for (name, times) in [("bob", 1), ("cat", 2)] {
            if times == 2 {
                shop.server.terminate();
                follower.says("waiting for the server", times).await;
            }
            shop.server.kill().await;
            follower.says("waiting for the server", times).await;
            shop.server.restart().await;
            bustle(&shop, name).await;
            let all = events(&shop.http, None, 500).await;
            // Without a gap, and nothing twice.
            let seen = parsed(&follower.lines(all.len()).await);
            check_same(&seen, &all);
            check_complete(&seen, &shop.http.orders().await);
            follower.says("the server is back", times).await;
            assert_eq!(late.lines(all.len() - count).await.len(), all.len() - count);
        }
        let all = events(&shop.http, None, 500).await;
        for follower in [follower, late] {
            follower.interrupt();
            let ended = sane(follower.ended().await);
            assert!(ended.code.is_none_or(|code| code == 130), "{ended:?}");
            assert!(ended.stdout.lines().count() >= all.len() - count);
            says(&ended.stderr, &["waiting for the server", "the server is back"]);
        }
        shop.close().await;
    }
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 100)]).await;
        let cursor = &events(&shop.http, None, 500).await[0].cursor.clone();
        for options in [&["--after", "nonsense"][..], &["--after", "nonsense", "--follow"]] {
            let said = shop.fails(&[&["events", "tail"], options].concat()).await;
            says(&said, &["after: the cursor was not made by this cluster"]);
        }
        for options in [&["--limit", "many"][..], &["--type"], &["--before", cursor]] {
            failed(shop.ctl(&[&["events", "tail"], options].concat()).await);
        }
        let none: Vec<Value> = shop.ctl(&["events", "tail", "--type", "none.such"]).await.well().json();
        assert!(none.is_empty());
        shop.close().await;
    }
}
