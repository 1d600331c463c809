//! Damage on the disk: what a crash leaves unfinished is repaired, what is damaged is named and not
//! opened, and nobody opens what another one has open.

use std::path::{Path, PathBuf};

use ordermill_api::{Order, OrderPage, ProblemKind};
use ordermill_tests::disk::{Block, blocks, copy, files, flip, newest_segment};
use ordermill_tests::load::{Books, Load};
use ordermill_tests::process::{Ended, Http, Server, Settings, audit, problem, until};
use ordermill_tests::seed;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tempfile::TempDir;

/// Customers at work at the same time.
const CUSTOMERS: usize = 4;
/// Pieces of work before and after what a test looks at.
const WORK: u64 = 200;
/// Pieces of work that fill several tables.
const MUCH_WORK: u64 = 2_000;
/// Bytes of tables that are flipped, one at a time.
const FLIPS: usize = 20;

fn random() -> StdRng {
    let seed = seed();
    println!("ORDERMILL_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Places one more order; the same one however often.
async fn place_one_more(http: &Http) {
    let body = json!({
        "customer": "one more", "reference": "one more",
        "lines": [{"sku": "sku-00", "quantity": 1, "unit_price": {"amount": 250, "currency": "GBP"}}],
    });
    let answer = http.post("/v1/orders", &body, &[("idempotency-key", "one more")]).await;
    assert!(matches!(answer.status, 201 | 202), "{answer:?}");
}

/// Where the journal's last block ends.
fn end_of_journal(data_dir: &Path) -> usize {
    let bytes = std::fs::read(newest_segment(data_dir)).expect("the segment can be read");
    blocks(&bytes).last().expect("there are blocks").end
}

/// What a write that a crash has cut short may leave of its block, and what that is.
fn torn(whole: &[u8], block: Block, random: &mut StdRng) -> Vec<(&'static str, Vec<u8>)> {
    let Block { begin, end } = block;
    let middle = begin + random.random_range(1..end - begin);
    let mut garbage = || {
        let mut bytes = whole.to_vec();
        random.fill(&mut bytes[middle..end]);
        bytes
    };
    let [zeros, behind, unordered] = [(middle, end), (end, end), (begin, middle)].map(|(from, to)| {
        let mut bytes = whole.to_vec();
        bytes[from..to].fill(0);
        bytes
    });
    let mut behind = behind;
    behind[end..end + 300].fill(0xa5);
    vec![
        ("the file ends within it", whole[..middle].to_vec()),
        ("zeros behind its beginning", zeros),
        ("zeros before its end", unordered),
        ("garbage behind its beginning", garbage()),
        ("garbage behind it", behind),
    ]
}

async fn a_torn_write_is_repaired(shards: u32) {
    let mut random = random();
    let dir = TempDir::new().expect("a directory can be made");
    let mut server = Server::start(Settings::new(dir.path().join("data"), shards)).await;
    let load = Load::start(server.http(), CUSTOMERS, random.random()).await;
    load.more(WORK).await;
    let books = load.finish().await;
    audit(&server.url()).await;
    let acknowledged = end_of_journal(server.data_dir());
    // The answer to this one shall have got lost.
    place_one_more(&server.http()).await;
    server.kill().await;
    let segment = newest_segment(server.data_dir());
    let whole = std::fs::read(&segment).expect("the segment can be read");
    let last = *blocks(&whole).last().expect("there are blocks");
    assert!(last.begin >= acknowledged, "the last order has a block of its own");
    for (number, (how, bytes)) in torn(&whole, last, &mut random).into_iter().enumerate() {
        println!("{shards} shards: {how}");
        let copied = dir.path().join(number.to_string());
        copy(server.data_dir(), &copied);
        let damaged = newest_segment(&copied);
        std::fs::write(&damaged, bytes).expect("the segment can be written");
        let mut repaired = Server::start(Settings::new(&copied, shards)).await;
        let offset = if how == "garbage behind it" { last.end } else { last.begin };
        let told = |log: &str| log.contains("cuts off a block") && log.contains(&format!("offset={offset}"));
        assert!(told(&repaired.log()), "nothing is told of {offset}: {}", repaired.log());
        let http = repaired.http();
        books.check(&http.orders().await, &http.items().await);
        place_one_more(&http).await;
        let report = audit(&repaired.url()).await;
        assert_eq!(report["orders"], books.orders() + 1, "{how}");
        repaired.kill().await;
        repaired.restart().await;
        assert!(!repaired.log().contains("cuts off a block"), "it was cut off before: {}", repaired.log());
        books.check(&http.orders().await, &http.items().await);
        repaired.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_write_of_one_shard_is_repaired() {
    a_torn_write_is_repaired(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_write_of_many_shards_is_repaired() {
    a_torn_write_is_repaired(64).await;
}

/// Starts a server that must not start.
async fn refused(settings: &Settings) -> Ended {
    let ended = match Server::try_start(settings.clone()).await {
        Ok(server) => panic!("it started and said {:?}", server.first_line()),
        Err(ended) => ended,
    };
    assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
    ended
}

fn set_aside(data_dir: &Path) -> Vec<PathBuf> {
    files(data_dir).into_iter().filter(|file| file.to_string_lossy().contains(".corrupt")).collect()
}

async fn a_damaged_block_is_refused_until_told_otherwise(shards: u32) {
    let mut random = random();
    let dir = TempDir::new().expect("a directory can be made");
    let mut server = Server::start(Settings::new(dir.path().join("data"), shards)).await;
    let (http, data_dir) = (server.http(), server.data_dir().to_owned());
    let load = Load::start(http.clone(), CUSTOMERS, random.random()).await;
    load.more(WORK).await;
    let (before, end) = load.at_rest(async { (load.books(), end_of_journal(&data_dir)) }).await;
    load.more(WORK).await;
    let all: Books = load.finish().await;
    server.kill().await;

    let segment = newest_segment(&data_dir);
    let whole = std::fs::read(&segment).expect("the segment can be read");
    let after: Vec<Block> = blocks(&whole).into_iter().filter(|block| block.begin >= end).collect();
    let hit = after[after.len() / 2];
    flip(&segment, random.random_range(hit.begin..hit.end));
    let damaged = std::fs::read(&segment).expect("the segment can be read");
    for _ in 0..2 {
        let ended = refused(&server.settings()).await;
        let place = format!("{} at byte {}", segment.display(), hit.begin);
        assert!(ended.stderr.contains(&place), "{place} is not named: {}", ended.stderr);
        assert!(ended.stderr.contains("--accept-corruption"), "the way on is not named: {}", ended.stderr);
        assert_eq!(std::fs::read(&segment).expect("the segment can be read"), damaged, "refusing changes nothing");
        assert_eq!(set_aside(&data_dir), [] as [PathBuf; 0]);
    }

    let mut accepting = Server::start(server.settings().with(&["--accept-corruption"])).await;
    let [aside] = &set_aside(&data_dir)[..] else { panic!("one file is set aside: {:?}", set_aside(&data_dir)) };
    assert_eq!(std::fs::read(aside).expect("it can be read"), damaged, "what was dropped is kept");
    assert!(accepting.log().contains("damage was accepted"), "{}", accepting.log());
    let orders = http.orders().await;
    before.check(&orders, &http.items().await);
    println!("{shards} shards: {} orders before the damage, {} of {} now", before.orders(), orders.len(), all.orders());
    place_one_more(&http).await;
    accepting.kill().await;
    server.restart().await;
    before.check(&http.orders().await, &http.items().await);
    place_one_more(&http).await;
    let now = http.orders().await.len();
    assert!((orders.len()..=orders.len() + 1).contains(&now), "{now} orders");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_of_one_shard_is_refused_until_told_otherwise() {
    a_damaged_block_is_refused_until_told_otherwise(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_of_many_shards_is_refused_until_told_otherwise() {
    a_damaged_block_is_refused_until_told_otherwise(64).await;
}

/// Reads all orders; what was refused, if not all could be read.
async fn try_orders(http: &Http) -> Result<Vec<Order>, String> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let answer = http.get(&format!("/v1/orders?page_size=1000&page_token={token}")).await;
        if answer.status != 200 {
            assert_eq!(problem(&answer), ProblemKind::Unavailable);
            return Err(answer.body);
        }
        let page: OrderPage = answer.json();
        all.extend(page.orders);
        match page.next_page_token {
            Some(next) => token = next,
            None => return Ok(all),
        }
    }
}

/// A flipped byte of a table of the rows keeps the server from starting, or the rows from being
/// read, or it lies where nothing is read: no row is ever another one or missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_table_is_told_of_and_never_read_past() {
    let mut random = random();
    let dir = TempDir::new().expect("a directory can be made");
    let server = Server::start(Settings::small(dir.path().join("data"), 1)).await;
    let load = Load::start(server.http(), CUSTOMERS, random.random()).await;
    load.more(MUCH_WORK).await;
    let books = load.finish().await;
    let data_dir = server.data_dir().to_owned();
    server.stop().await;
    let mut tables = files(&data_dir.join("rows"));
    tables.retain(|file| file.parent().is_some_and(|folder| folder.ends_with("tables")));
    let (mut refused_to_start, mut refused_to_read, mut harmless) = (0, 0, 0);
    for (number, table) in tables.iter().cycle().take(tables.len().max(FLIPS)).enumerate() {
        let copied = dir.path().join(number.to_string());
        copy(&data_dir, &copied);
        let table = copied.join(table.strip_prefix(&data_dir).expect("the table lies in the directory"));
        let length = std::fs::metadata(&table).expect("the table is there").len() as usize;
        flip(&table, random.random_range(0..length));
        match Server::try_start(Settings::small(&copied, 1)).await {
            Err(ended) => {
                refused_to_start += 1;
                assert_eq!((ended.code, &*ended.stdout), (Some(1), ""), "{ended:?}");
                let error = ended.stderr.lines().last().unwrap_or_default();
                assert!(error.contains("damaged") || error.contains("corrupt"), "{error}");
                let rows = copied.join("rows");
                assert!(error.contains(&*rows.to_string_lossy()), "{error} does not name {}", rows.display());
                assert!(!error.contains("accept"), "accepting does not help here: {error}");
            }
            Ok(server) => {
                match try_orders(&server.http()).await {
                    Err(why) => {
                        refused_to_read += 1;
                        assert!(why.contains("corrupt"), "{why}");
                        // What the server has said before its answer may arrive after it.
                        until("the log to tell of it", async || {
                            let log = server.log();
                            if log.contains("rows are damaged") { Ok(()) } else { Err(format!("it says {log}")) }
                        })
                        .await;
                    }
                    Ok(orders) => {
                        harmless += 1;
                        books.check_exactly(&orders, &server.http().items().await);
                    }
                }
                server.stop().await;
            }
        }
        std::fs::remove_dir_all(&copied).expect("the copy can be removed");
    }
    println!("{refused_to_start} not started, {refused_to_read} not read, {harmless} without harm");
    assert!(refused_to_start + refused_to_read > FLIPS / 2, "most of a table is rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_server_of_a_directory_ends_and_the_first_goes_on() {
    let mut random = random();
    let dir = TempDir::new().expect("a directory can be made");
    let data_dir = dir.path().join("data");
    let first = Server::start(Settings::new(&data_dir, 4)).await;
    let load = Load::start(first.http(), CUSTOMERS, random.random()).await;
    load.more(WORK).await;
    for accept in [&[][..], &["--accept-corruption"]] {
        let second = refused(&Settings::new(&data_dir, 4).with(accept)).await;
        let who = format!("{} is in use by process {}", data_dir.display(), first.pid());
        assert!(second.stderr.contains(&who), "{who:?} is not said: {}", second.stderr);
        load.more(WORK).await;
    }
    let books = load.finish().await;
    let report = audit(&first.url()).await;
    assert_eq!(report["orders"], books.orders());
    books.check_exactly(&first.http().orders().await, &first.http().items().await);
    first.stop().await;
    // What a server has left is free for the next.
    let next = Server::start(Settings::new(&data_dir, 4)).await;
    books.check_exactly(&next.http().orders().await, &next.http().items().await);
    next.stop().await;
}
