//! A year of a real shop: imported undisturbed, and with server and client killed in turn, it ends
//! in the same state.
//!
//! In one shard orders are decided in the order of the file, so a shelf that is nine tenths full
//! decides the same every time. Over many shards several orders are settled at once, and which of
//! them gets the last unit is nobody's promise (docs/guarantees.md). There every shelf is full,
//! or empty: then no order's decision depends on those around it, and many shards must end in the
//! state of one.

use std::fmt::Write as _;
use std::time::Duration;

use ordermill_tests::process::{Orderctl, Server, Settings, audit, in_time, until};
use ordermill_tests::retail::{CREDITS, ORDERS, Shop, State};
use ordermill_tests::seed;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

/// Kills in the disturbed run, of server and client in turn; fewer when the import is over before.
const KILLS: usize = 16;
/// Longer than any import takes.
const IMPORT: Duration = Duration::from_mins(10);

/// What is on the shelves: units, and whether orders may wait for more.
type Shelf = fn(usize, u64) -> (u64, bool);

/// Nine tenths of what is wanted.
fn scarce(_: usize, wanted: u64) -> (u64, bool) {
    ((wanted * 9).div_ceil(10), false)
}

/// All that is wanted; of every 200th item nothing, and of every 75th nothing yet.
fn full_or_empty(index: usize, wanted: u64) -> (u64, bool) {
    match index {
        _ if index.is_multiple_of(200) => (0, false),
        _ if index.is_multiple_of(75) => (0, true),
        _ => (wanted, false),
    }
}

struct Run {
    _dir: TempDir,
    dir: std::path::PathBuf,
    server: Server,
}

impl Run {
    /// A fresh server with goods on its shelves.
    async fn begin(shop: &Shop, shards: u32, shelf: Shelf) -> Self {
        let temporary = TempDir::new().expect("a directory can be made");
        let dir = temporary.path().to_owned();
        let server = Server::start(Settings::new(dir.join("data"), shards)).await;
        let mut stock = String::from("sku,on_hand,backorder\n");
        for (index, (sku, wanted)) in shop.demand().await.into_iter().enumerate() {
            let (on_hand, backorder) = shelf(index, wanted);
            writeln!(stock, "{sku},{on_hand},{backorder}").expect("a text grows");
        }
        let file = dir.join("stock.csv");
        std::fs::write(&file, stock).expect("a file can be written");
        Orderctl::run(&server.url(), &["items".as_ref(), "set".as_ref(), "--file".as_ref(), file.as_os_str()])
            .await
            .well();
        Self { _dir: temporary, dir, server }
    }

    /// The state at the end, audited.
    async fn end(self) -> State {
        let state = State::read(&self.server.http()).await;
        assert_eq!(state.orders(), ORDERS, "each invoice with goods is one order");
        assert_eq!(audit(&self.server.url()).await["orders"], ORDERS);
        self.server.stop().await;
        state
    }
}

/// Bytes of the journal that the server has written since it was started.
async fn journal_bytes(run: &Run) -> Option<f64> {
    run.server.http().measured("ordermill_journal_bytes_total").await
}

/// Imports into one shard; says too by how many bytes the journal grew.
async fn undisturbed(shop: &Shop, shelf: Shelf) -> (State, f64) {
    let run = Run::begin(shop, 1, shelf).await;
    let before = journal_bytes(&run).await.expect("the server answers");
    shop.check_import(shop.import(&run.server.url(), &run.dir).ended().await);
    let bytes = journal_bytes(&run).await.expect("the server answers") - before;
    (run.end().await, bytes)
}

/// The same with kills, spread over the `bytes` that the journal grows by.
async fn disturbed(shop: &Shop, shards: u32, shelf: Shelf, bytes: f64) -> State {
    let seed = seed();
    println!("{shards} shards, ORDERMILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut run = Run::begin(shop, shards, shelf).await;
    let url = run.server.url();
    let mut import = shop.import(&url, &run.dir);
    let mut kills = 0;
    while kills < KILLS {
        let share = bytes / KILLS as f64 * random.random_range(0.1..1.2);
        let from = journal_bytes(&run).await.expect("the server answers");
        let far_enough = || async {
            let grown = journal_bytes(&run).await.ok_or("no answer")? - from;
            if grown >= share { Ok(()) } else { Err(format!("{grown} of {share} bytes")) }
        };
        // How much is written depends on what is written together: it may be over with less.
        let is_over = tokio::select! {
            () = until("progress of the import", far_enough) => false,
            is_over = import.ends_within(IMPORT) => is_over,
        };
        if is_over {
            break;
        }
        if kills.is_multiple_of(2) {
            run.server.kill().await;
            run.server.restart().await;
        } else {
            import.kill().await;
            import = shop.import(&url, &run.dir);
        }
        kills += 1;
    }
    println!("{shards} shards: {kills} kills");
    assert!(kills >= KILLS / 2, "the import was over after {kills} kills");
    shop.check_import(in_time("the end of the import", import.ended()).await);
    run.end().await
}

/// Imports into one shard without kills, and into `shards` with them.
async fn ends_in_the_same_state(shards: u32, shelf: Shelf) {
    let Some(shop) = Shop::find() else { return };
    let (undisturbed, bytes) = undisturbed(&shop, shelf).await;
    println!("{ORDERS} orders and {CREDITS} credits in one shard: {:?}", undisturbed.statuses());
    // Claims and reports between shards are written too.
    let bytes = if shards > 1 { bytes * 2.0 } else { bytes };
    let disturbed = disturbed(&shop, shards, shelf, bytes).await;
    undisturbed.check_same(&disturbed);
    if shards == 1 {
        assert!(undisturbed == disturbed, "another line was found wanting");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard_ends_in_the_same_state() {
    ends_in_the_same_state(1, scarce).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_shards_end_in_the_state_of_one() {
    ends_in_the_same_state(64, full_or_empty).await;
}
