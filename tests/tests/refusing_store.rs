//! Bulk work over a store that refuses an append now and then: what was built on a record that is
//! not there is not there either, and nothing was answered from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::join_all;
use ordermill_order::id::{Class, identity};
use ordermill_order::{Action, Command, NewOrder, OrderId, Outcome, Refusal};
use ordermill_routing::Error;
use ordermill_store::Error as StoreError;
use ordermill_tests::engine::{Engine, new_order, open_store};
use ordermill_tests::watched::{Watch, Watched};
use tempfile::TempDir;

/// Streams at once, and orders that each sends together.
const STREAMS: usize = 8;
const TOGETHER: usize = 250;
/// How often everything is sent, at most, until nothing is missing.
const ATTEMPTS: usize = 100;
/// One append of so many is refused.
const REFUSED: u64 = 3;

/// Refuses every third append, as a store without a quorum would.
#[derive(Debug, Default)]
struct Refusing {
    appends: AtomicU64,
    refused: AtomicU64,
}

#[async_trait::async_trait]
impl Watch for Refusing {
    async fn before_append(&self) -> Result<(), StoreError> {
        if self.appends.fetch_add(1, Ordering::SeqCst) % REFUSED == REFUSED - 1 {
            self.refused.fetch_add(1, Ordering::SeqCst);
            // The shard goes on with something else meanwhile, as it would while a store is asked.
            tokio::task::yield_now().await;
            return Err(StoreError::Unavailable("refused by the test".into()));
        }
        Ok(())
    }
}

fn order(index: usize) -> Command {
    let (customer, reference) = (format!("c-{}", index % 97), format!("r-{index}"));
    let identity = identity("", Class::Reference, &customer, &reference);
    let skus = [format!("sku-{}", index % 40), format!("sku-{}", (index * 3 + 1) % 40)];
    let lines: Vec<_> = skus.iter().map(|sku| (sku.as_str(), 1)).collect::<BTreeSet<_>>().into_iter().collect();
    let new = NewOrder { reference: Some((reference.into(), identity)), ..new_order(&customer, &lines) };
    Command { tenant: "".into(), idempotency: None, action: Action::Create(Box::new(new)) }
}

/// The order that an answer tells of; none when the store was not there for it.
fn told(result: &Result<Outcome, Error>) -> Option<OrderId> {
    match result {
        Ok(Outcome::Order { order, .. }) => Some(order.id),
        Err(Error::Refused(Refusal::ReferenceTaken { order: Some((id, _)) })) => Some(*id),
        Err(Error::Unavailable(_)) => None,
        other => panic!("a strange answer: {other:?}"),
    }
}

/// Sends the orders of a stream, as many together as a chunk of an import; says which are there.
async fn send(engine: &Engine, orders: usize, stream: usize) -> Vec<Option<OrderId>> {
    let mine: Vec<usize> =
        (0..orders).filter(|index| [index % STREAMS, (index + 1) % STREAMS].contains(&stream)).collect();
    let chunks =
        mine.chunks(TOGETHER).map(|chunk| engine.router.import(chunk.iter().map(|index| order(*index)).collect()));
    join_all(chunks).await.iter().flatten().map(told).collect()
}

/// Imports `orders` orders, each in two of the streams.
async fn nothing_is_built_on_what_is_not_there(shards: u32, orders: usize) {
    let dir = TempDir::new().expect("a directory can be made");
    let data_dir = dir.path().join("data");
    let store = Arc::new(Watched { store: open_store(&data_dir, shards), watch: Refusing::default() });
    let engine = Engine::over(store.clone(), &data_dir, shards).await;
    for index in 0..40 {
        let mut put = engine.apply(put_item(index)).await;
        while put.is_err() {
            put = engine.apply(put_item(index)).await;
        }
    }
    let mut acknowledged = BTreeSet::new();
    for attempt in 0.. {
        assert!(attempt < ATTEMPTS, "{shards} shards: the store refuses for ever");
        let answers = join_all((0..STREAMS).map(|stream| send(&engine, orders, stream))).await;
        let missing = answers.iter().flatten().filter(|answer| answer.is_none()).count();
        acknowledged.extend(answers.into_iter().flatten().flatten());
        if missing == 0 {
            break;
        }
    }
    engine.audit().await;
    let there: BTreeSet<OrderId> = engine.orders().await.iter().map(|order| order.id).collect();
    assert_eq!(there.len(), orders, "{shards} shards: one order per reference");
    assert_eq!(acknowledged, there, "{shards} shards: what was acknowledged is there, and nothing else");
    assert!(store.watch.refused.load(Ordering::SeqCst) > 2, "the store has refused");
    engine.close().await;
    let again = Engine::open(&data_dir, shards).await;
    again.audit().await;
    assert_eq!(again.orders().await.len(), orders);
    again.close().await;
}

fn put_item(index: usize) -> Action {
    let (sku, on_hand) = (format!("sku-{index}").into(), 1_000_000);
    Action::PutItem { sku, on_hand, backorder: false, if_version: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_shard() {
    nothing_is_built_on_what_is_not_there(1, 12_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_shards() {
    nothing_is_built_on_what_is_not_there(64, 1_000).await;
}
