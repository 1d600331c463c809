//! The cluster on the command line, of a server that is alone: it is shown and cannot be rearranged.

use serde_json::json;

use super::{SHARDS, Shop, says, words};

#[tokio::test]
async fn a_server_alone_is_shown_and_says_why_nothing_moves() {
    for shards in SHARDS {
        let shop = Shop::open(shards, &[("tea", 5)]).await;
        let status = shop.one(&["cluster", "status"]).await;
        assert_eq!((&status["members"], &status["shards"]), (&json!(1), &json!(shards)));
        let me = shop.one(&["cluster", "members"]).await;
        assert_eq!((&me["member"], &me["state"]), (&status["answered_by"], &json!("serving")));
        let all = shop.json(&["cluster", "shards", "--all", "--page-size", "7"]).await;
        assert_eq!(all.len(), shards as usize);
        assert!(all.iter().all(|shard| shard["state"] == "serving" && shard["owner"] == me["member"]), "{all:?}");

        let table = shop.table(&["cluster", "members"]).await;
        let head = "NAME MEMBER STATE COORDINATOR SHARDS HEARD BUSY DELAY PER SECOND UNFLUSHED MOVES ADDRESS";
        assert_eq!((table.len(), words(&table[0]).join(" ")), (2, head.to_owned()));
        let table = shop.table(&["cluster", "shards", "--all"]).await;
        let head = "SHARD SLOTS STATE OWNER EPOCH LAST CHECKPOINT RECORDS UNFLUSHED DELAY PER SECOND FROM";
        assert_eq!((table.len(), words(&table[0]).join(" ")), (1 + shards as usize, head.to_owned()));
        let table = shop.table(&["cluster", "status"]).await;
        assert!(table.contains(&format!("shards         {shards}")), "{table:#?}");

        let formats = shop.one(&["cluster", "format"]).await;
        assert_eq!(formats["format"], formats["member_formats"][0]["format_max"], "{formats}");
        let table = shop.table(&["cluster", "format"]).await;
        assert!(table.iter().any(|line| words(line) == ["NAME", "MEMBER", "OLDEST", "NEWEST"]), "{table:#?}");

        for arguments in [
            &["cluster", "drain", "some"][..],
            &["cluster", "cordon", "some"],
            &["cluster", "uncordon", "some"],
            &["cluster", "move", "0", "--to", "some"],
            &["cluster", "rebalance"],
            &["cluster", "rebalancing", "--policy", "paused"],
            &["cluster", "format", "--raise", "1"],
        ] {
            says(&shop.fails(arguments).await, &["no member of a cluster", "has its store for itself"]);
        }
        says(&shop.fails(&["cluster", "move", "x", "--to", "some"]).await, &["invalid value 'x'"]);
        says(&shop.fails(&["cluster", "drain", ".."]).await, &["\"..\" cannot be asked for"]);
        shop.close().await;
    }
}
