//! Stock on the command line: set, adjusted, shown and listed, from options and from a file.

use ordermill_tests::process::Orderctl;
use serde_json::{Value, json};

use super::{SHARDS, Shop, says, words};

/// A SKU as real shops have them; part of a path, a query and a table cell.
const ODD: &str = "BANK CHARGES/50% ü?#";

fn skus(items: &[Value]) -> Vec<String> {
    let mut skus: Vec<_> = items.iter().map(|item| item["sku"].as_str().expect("a SKU").to_owned()).collect();
    skus.sort_unstable();
    skus
}

#[tokio::test]
async fn items_are_set_adjusted_and_shown() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[]).await;
        for sku in ["tea", ODD, "-dash", "..."] {
            let set = shop.one(&["items", "set", "--on-hand", "10", "--", sku]).await;
            let expected = json!({"sku": sku, "on_hand": 10, "held": 0, "available": 10, "backorder": false});
            for (name, value) in expected.as_object().expect("an object") {
                assert_eq!(&set[name], value, "{name} of {sku}");
            }
            assert_eq!(shop.one(&["items", "get", "--", sku]).await, set);
        }
        let again = shop.one(&["item", "set", "tea", "--on-hand", "12", "--backorder"]).await;
        assert_eq!((&again["on_hand"], &again["backorder"], &again["version"]), (&json!(12), &json!(true), &json!(2)));
        let less = shop.one(&["items", "adjust", "tea", "--delta", "-5", "--reason", "broken"]).await;
        assert_eq!(less["on_hand"], 7);
        // Under a key it is done once.
        for _ in 0..2 {
            let more = shop.one(&["items", "adjust", "tea", "--delta", "3", "--key", "delivery 7"]).await;
            assert_eq!((&more["on_hand"], &more["version"]), (&json!(10), &json!(4)));
        }
        shop.close().await;
    }
}

#[tokio::test]
async fn lists_come_in_pages_or_whole() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[]).await;
        assert!(shop.json(&["items", "list"]).await.is_empty());
        assert_eq!(shop.table(&["items", "list"]).await, ["no items"]);
        let rows: String = (0..25).map(|number| format!("item-{number},{number}\n")).collect();
        let file = shop.file("stock.csv", format!("sku,on_hand\n{rows}"));
        let set = shop.ctl(&["items", "set", "--file", &file]).await.well();
        says(&set.stderr, &["25 items set, 0 refused, 300 units wanted"]);
        assert_eq!(set.stdout, "");

        let all = shop.json(&["items", "list", "--all"]).await;
        assert_eq!(all.len(), 25);
        let by_http: Vec<_> = shop.http.items().await.into_iter().map(|item| json!(item)).collect();
        assert_eq!(all, by_http);
        assert_eq!(shop.json(&["items", "list", "--all", "--page-size", "7"]).await, all);
        // A page at a time: how to go on is said beside it.
        let (mut paged, mut token) = (Vec::new(), None);
        loop {
            let mut arguments = vec!["items", "list", "--page-size", "10"];
            arguments.extend(token.as_deref().map_or(vec![], |token| vec!["--page-token", token]));
            let page = shop.ctl(&arguments).await.well();
            paged.extend(page.json());
            token = page.stderr.trim_end().strip_prefix("there are more: --all, or --page-token ").map(str::to_owned);
            if token.is_none() {
                assert_eq!(page.stderr, "");
                break;
            }
            assert!(paged.len() <= 20, "a page has ten items");
        }
        assert_eq!(skus(&paged), skus(&all));
        shop.close().await;
    }
}

#[tokio::test]
async fn a_table_has_a_head_and_a_row_per_item() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[(ODD, 1_000_000), ("c", 5), ("a long name of a thing", 5)]).await;
        shop.one(&["order", "create", "--customer", "ann", "--line", "c:2:1GBP"]).await;
        let head = "SKU ON HAND HELD AVAILABLE BACKORDER BACKORDERED RECEIVED FULFILLED RESTOCKED VERSION UPDATED";
        let one = shop.table(&["items", "get", "c"]).await;
        assert_eq!(one.len(), 2);
        assert_eq!(words(&one[0]).join(" "), head);
        assert_eq!(words(&one[1])[..10], ["c", "5", "2", "3", "no", "0", "5", "0", "0", "2"]);

        // A page of narrow rows does not move the columns back.
        for size in ["1", "100"] {
            let all = shop.table(&["items", "list", "--all", "--page-size", size]).await;
            assert_eq!(all.len(), 4, "one head and three rows: {all:#?}");
            assert_eq!(words(&all[0]).join(" "), head);
            let last_column = |line: &String| {
                let at = line.rfind(' ').unwrap_or_else(|| panic!("a line has columns: {line}"));
                line[..at].chars().count()
            };
            assert!(all.is_sorted_by_key(last_column), "{all:#?}");
            assert!(size == "1" || last_column(&all[0]) == last_column(&all[3]), "{all:#?}");
        }
        shop.close().await;
    }
}

#[tokio::test]
async fn a_file_of_items_is_set_but_for_what_is_refused() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("held", 5)]).await;
        shop.one(&["order", "create", "--customer", "ann", "--line", "held:5:1GBP"]).await;
        let file = shop.file("stock.csv", "held,4\ntea,7,yes\ncup,99999999999999999\n..,1\n\"a,b\",1\n");
        let ended = shop.ctl(&["items", "set", "--file", &file]).await;
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""));
        says(
            &ended.stderr,
            &["refused held: ", "more units are held", "refused cup: ", "refused ..: ", "2 items set, 3 refused"],
        );
        assert_eq!(skus(&shop.json(&["items", "list"]).await), ["a,b", "held", "tea"]);
        assert_eq!(shop.one(&["items", "get", "held"]).await["on_hand"], 5);
        let piped = Orderctl::run_with_input(&shop.url, &["items", "set", "--file", "-", "-q"], file.as_ref()).await;
        assert_eq!((piped.code, &*piped.stdout), (Some(2), ""));
        // A file that is no stock changes nothing at all.
        for (content, why) in [
            (&b"tea,8\ncup,many\n"[..], "row 2: on_hand \"many\" is not a whole number"),
            (b"tea,8\n,1\n", "row 2: the sku is empty"),
            (b"tea,8\ncup\n", "row 2: there is no on_hand"),
            (b"tea,8\nc\xffp,1\n", "UTF-8"),
        ] {
            let file = shop.file("wrong.csv", content);
            says(&shop.fails(&["items", "set", "--file", &file]).await, &["wrong.csv", why]);
        }
        says(&shop.fails(&["items", "set", "--file", "nowhere.csv"]).await, &["cannot read nowhere.csv"]);
        assert_eq!(shop.one(&["items", "get", "tea"]).await["on_hand"], 7);
        shop.close().await;
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_explained() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 5)]).await;
        let before = shop.one(&["items", "get", "tea"]).await;
        for (arguments, why) in [
            (&["items", "get", "none"][..], &["there is no such item", "orderctl items list"][..]),
            (&["items", "adjust", "none", "--delta", "1"], &["there is no such item", "orderctl items list"]),
            (&["items", "adjust", "tea", "--delta", "-6"], &["not possible now"]),
            (&["items", "get", ".."], &["\"..\" cannot be asked for"]),
            (&["items", "set", "", "--on-hand", "1"], &["\"\" cannot be asked for"]),
            (&["items", "adjust", "tea"], &["--delta <N>"]),
            (&["items", "set", "tea"], &["--on-hand <N>"]),
            (&["items", "set", "tea", "--on-hand", "many"], &["many", "--on-hand <N>"]),
            (&["items", "set", "tea", "--on-hand", "9007199254740992"], &["on_hand: is above 9007199254740991"]),
            (&["items", "set", "a\u{7}b", "--on-hand", "1"], &["control character"]),
            (&["items", "list", "--page-token", "nonsense"], &["page_token"]),
            (&["items", "list", "--output", "xml"], &["[possible values: json, table]"]),
        ] {
            says(&shop.fails(arguments).await, why);
        }
        assert_eq!(shop.one(&["items", "get", "tea"]).await, before);
        shop.close().await;
    }
}
