//! SIGKILL at random instants, under load: nothing that was acknowledged is lost, nothing is there
//! twice.

use std::time::Duration;

use ordermill_tests::load::Load;
use ordermill_tests::process::{Server, Settings, audit};
use ordermill_tests::seed;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

/// Kills of a server that is at work, of each of the two tests.
const KILLS: usize = 28;
/// Kills after which the books are audited.
const AUDIT_EVERY: usize = 7;
/// Customers at work at the same time.
const CUSTOMERS: usize = 8;

async fn killed_under_load(shards: u32) {
    let seed = seed();
    println!("{shards} shards, ORDERMILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = TempDir::new().expect("a directory can be made");
    let mut server = Server::start(Settings::small(dir.path().join("data"), shards)).await;
    let (url, http) = (server.url(), server.http());
    let load = Load::start(http.clone(), CUSTOMERS, random.random()).await;
    let mut recoveries = 0;
    for kill in 1..=KILLS {
        load.more(random.random_range(1..300)).await;
        server.kill().await;
        let acknowledged = load.books();
        if random.random_range(0..4) == 0 {
            recoveries += 1;
            server.restart_and_kill(Duration::from_millis(random.random_range(0..60))).await;
        }
        server.restart().await;
        acknowledged.check(&http.orders().await, &http.items().await);
        if kill % AUDIT_EVERY == 0 {
            load.at_rest(audit(&url)).await;
        }
    }
    let count = load.acknowledged();
    let books = load.finish().await;
    println!("{KILLS} kills, {recoveries} more while recovering; {count} acknowledged, {} orders", books.orders());
    let report = audit(&url).await;
    assert_eq!(report["orders"], books.orders());
    books.check_exactly(&http.orders().await, &http.items().await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_loses_and_doubles_nothing() {
    killed_under_load(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_shards_lose_and_double_nothing() {
    killed_under_load(64).await;
}
