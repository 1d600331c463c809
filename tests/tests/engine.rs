//! The engine over its embedded store, with one shard and with 64.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use ordermill_journal::{Record, decode};
use ordermill_order::id::{Class, identity};
use ordermill_order::order::LineUnits;
use ordermill_order::payment::PaymentStep;
use ordermill_order::{Action, Command, NewOrder, Order, OrderId, Outcome, Refusal, Status, Step};
use ordermill_routing::{Error, OrderFilter, Subject};
use ordermill_store::ShardId;
use ordermill_tests::engine::{Engine, key, new_order, open_store};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

const SHARDS: [u32; 2] = [1, 64];

fn sku(index: usize) -> String {
    format!("sku-{index:03}")
}

async fn engine(shards: u32) -> (TempDir, Engine) {
    let dir = TempDir::new().expect("a directory can be made");
    let engine = Engine::open(&dir.path().join("data"), shards).await;
    (dir, engine)
}

/// Orders and steps by many customers at once.
async fn mixed_load(engine: &Engine, customers: u64, rounds: usize) {
    let shop = |customer: u64| async move {
        let mut random = StdRng::seed_from_u64(customer);
        let name = format!("customer-{customer}");
        for _ in 0..rounds {
            let skus: Vec<_> = (0..random.random_range(1..4)).map(|_| sku(random.random_range(0..20))).collect();
            let lines: Vec<_> = skus.iter().map(|sku| (sku.as_str(), random.random_range(1..4))).collect();
            let (order, _) = engine.place(new_order(&name, &lines), None).await.expect("a decision");
            assert_ne!(order.status(), Status::Pending);
            let step = match random.random_range(0..6) {
                0 => Step::Cancel { reason: None },
                1 => Step::Fulfil { lines: None, tracking: None },
                2 => Step::Fulfil { lines: Some(vec![LineUnits { line: 0, units: 1 }]), tracking: None },
                3 => Step::Pay(PaymentStep::Authorize(order.total), None),
                4 => Step::Return { lines: None, restock: true, reason: None },
                _ => continue,
            };
            match engine.step(order.id, step).await {
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => panic!("a step failed: {error}"),
            }
            if random.random_range(0..5) == 0 {
                let action = Action::AdjustItem { sku: sku(random.random_range(0..20)).into(), delta: 5 };
                engine.apply(action).await.expect("more units are never refused");
            }
        }
    };
    join_all((0..customers).map(shop)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_settle_and_survive_a_crash() {
    for shards in SHARDS {
        let (dir, engine) = engine(shards).await;
        for index in 0..20 {
            engine.put_item(&sku(index), 60, index % 3 == 0).await;
        }
        mixed_load(&engine, 16, 25).await;
        engine.audit().await;
        let state = |orders: Vec<Arc<Order>>| orders.into_iter().map(|o| (o.id, o)).collect::<BTreeMap<_, _>>();
        let (orders, items) = (state(engine.orders().await), engine.items().await);
        assert_eq!((orders.len(), items.len()), (400, 20), "{shards} shards");

        let copy = engine.crashed_copy(&dir.path().join("copy"), shards).await;
        assert_eq!(state(copy.orders().await), orders, "what a crash leaves with {shards} shards");
        assert_eq!(copy.items().await, items);
        mixed_load(&copy, 4, 5).await;
        copy.audit().await;

        engine.close().await;
        let again = Engine::open(&dir.path().join("data"), shards).await;
        assert_eq!(state(again.orders().await), orders, "what closing leaves with {shards} shards");
        assert_eq!(again.items().await, items);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_a_unit_that_is_not_there() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        engine.put_item("hot", 500, false).await;
        let engine = &engine;
        let buyer = |index: usize| async move {
            let name = format!("buyer-{index}");
            let order = engine.place(new_order(&name, &[("hot", 1)]), None).await.expect("a decision").0;
            order.status() == Status::Confirmed
        };
        let got = join_all((0..800).map(buyer)).await.into_iter().filter(|got| *got).count();
        assert_eq!(got, 500, "{shards} shards");
        engine.audit().await;
        assert_eq!(engine.items().await["hot"].available(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_has_every_version_of_every_order_once() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        for index in 0..20 {
            engine.put_item(&sku(index), 40, true).await;
        }
        mixed_load(&engine, 8, 10).await;
        engine.audit().await;
        let mut cursor: Option<String> = None;
        let mut versions: BTreeMap<OrderId, u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        loop {
            let page = engine.router.events("".into(), cursor.as_deref(), 7).await.expect("events are read");
            if page.events.is_empty() {
                break;
            }
            for event in page.events {
                assert!(seen.insert((event.shard, event.record, event.index)), "an event came twice");
                if let Subject::Order { order, .. } = event.subject {
                    *versions.entry(order.id).or_default() += 1;
                }
                cursor = Some(event.cursor);
            }
        }
        let told: BTreeMap<_, _> = engine.orders().await.iter().map(|order| (order.id, order.version)).collect();
        assert_eq!(versions, told, "one event per version with {shards} shards");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_sent_twice_at_once_makes_one_order() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        engine.put_item("tea", 100, false).await;
        engine.put_item("cup", 100, false).await;
        let engine = &engine;
        let send = |_| async move {
            let new = new_order("ann", &[("tea", 1), ("cup", 1)]);
            let (order, replayed) = engine.place(new, Some(key("ann", "k", "body"))).await.expect("a decision");
            assert_eq!(order.status(), Status::Confirmed, "a second sender waits for the decision too");
            (order.id, replayed)
        };
        let answers = join_all((0..8).map(send)).await;
        assert_eq!(answers.iter().filter(|(_, replayed)| !replayed).count(), 1);
        assert!(answers.iter().all(|(id, _)| *id == answers[0].0));
        let other = engine.place(new_order("ann", &[("tea", 2)]), Some(key("ann", "k", "other"))).await;
        assert_eq!(other.expect_err("another body"), Error::Refused(Refusal::KeyReused));
        assert_eq!(engine.orders().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_sent_again_changes_nothing() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        for index in 0..20 {
            engine.put_item(&sku(index), 50, false).await;
        }
        let commands = || {
            let order = |index: usize| {
                let (customer, reference) = (format!("c-{}", index % 7), format!("r-{index}"));
                let lines = [(sku(index % 20), 2), (sku(index * 3 % 20), 1)];
                let lines: Vec<_> = lines.iter().map(|(sku, units)| (sku.as_str(), *units)).collect();
                let identity = identity("", Class::Reference, &customer, &reference);
                let reference = Some((reference.into(), identity));
                let new = NewOrder { reference, ..new_order(&customer, &lines) };
                Command { tenant: "".into(), idempotency: None, action: Action::Create(Box::new(new)) }
            };
            (0..500).map(order).collect::<Vec<_>>()
        };
        let first = engine.router.import(commands()).await;
        assert!(
            first
                .iter()
                .all(|result| matches!(result, Ok(Outcome::Order { order, .. }) if order.status() != Status::Pending))
        );
        engine.audit().await;
        let items = engine.items().await;
        let again = engine.router.import(commands()).await;
        let taken = |result: &Result<Outcome, Error>| {
            matches!(result, Err(Error::Refused(Refusal::ReferenceTaken { order: Some(_) })))
        };
        assert!(again.iter().all(taken), "{shards} shards");
        assert_eq!(engine.items().await, items);
        assert_eq!(engine.orders().await.len(), 500);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_sku_changes_nothing_and_a_dry_run_neither() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        engine.put_item("tea", 3, false).await;
        let refused = engine.place(new_order("ann", &[("tea", 1), ("ghost", 1)]), None).await;
        assert_eq!(refused.expect_err("unknown"), Error::Refused(Refusal::UnknownSku { line: Some(1) }));
        let dry = |units| engine.router.preview("".into(), new_order("ann", &[("tea", units)]));
        assert_eq!(dry(3).await.expect("a decision").status(), Status::Confirmed);
        assert_eq!(dry(4).await.expect("a decision").status(), Status::Rejected);
        assert_eq!(engine.orders().await.len(), 0);
        assert_eq!(engine.items().await["tea"].held, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpaid_reservation_runs_out_by_itself() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        engine.put_item("tea", 3, false).await;
        let new = NewOrder { expires_in_ms: Some(1), ..new_order("ann", &[("tea", 3)]) };
        let id = engine.place(new, None).await.expect("a decision").0.id;
        let mut changed = engine.router.changed();
        loop {
            let order = engine.router.order("".into(), id).await.expect("a read").expect("the order is there");
            if order.status() == Status::Expired {
                break;
            }
            let wait = tokio::time::timeout(ordermill_tests::engine::DEADLINE, changed.changed()).await;
            wait.expect("the timer fires").expect("the engine runs");
        }
        engine.audit().await;
        assert_eq!(engine.items().await["tea"].available(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_list_is_complete_and_in_order_of_time() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        engine.put_item("tea", 1_000, false).await;
        let mut placed = Vec::new();
        for index in 0..25 {
            placed.push(engine.place(new_order("ann", &[("tea", 1)]), None).await.expect("a decision").0.id);
            engine.place(new_order(&format!("other-{index}"), &[("tea", 1)]), None).await.expect("a decision");
        }
        let filter = OrderFilter { customer: Some("ann".into()), ..OrderFilter::default() };
        let (mut listed, mut token) = (Vec::new(), None::<String>);
        loop {
            let page = engine.router.orders("".into(), &filter, 4, token.as_deref()).await.expect("a list");
            listed.extend(page.orders.iter().map(|order| order.id));
            match page.next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(listed, placed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaying_the_journal_gives_the_rows_from_wherever_it_is_begun_again() {
    for shards in SHARDS {
        let (_dir, engine) = engine(shards).await;
        for index in 0..20 {
            engine.put_item(&sku(index), 40, index % 2 == 0).await;
        }
        mixed_load(&engine, 8, 10).await;
        engine.audit().await;
        let data_dir = engine.data_dir.clone();
        engine.close().await;
        let store = open_store(&data_dir, shards);
        for shard in (0..shards).map(ShardId) {
            let mut records = Vec::new();
            let last = store.extent(shard).await.expect("an extent").last;
            while (records.len() as u64) < last {
                let page = store.read(shard, records.len() as u64, 64 << 10).await.expect("records are kept");
                records.extend(
                    page.into_iter().map(|record| decode::<Record>("a record", record.bytes).expect("readable")),
                );
            }
            let replay = |rows: &mut BTreeMap<_, _>, from: usize| {
                rows.extend(
                    records[from..].iter().flat_map(|record| &record.changes).map(|c| (c.key.clone(), c.value.clone())),
                );
            };
            let mut rows = BTreeMap::new();
            replay(&mut rows, 0);
            let keys: Vec<_> = rows.keys().cloned().collect();
            let stored = store.get(&keys).await.expect("rows are read");
            assert!(rows.values().eq(&stored), "the rows of shard {shard} are not what its records say");
            let mut again = rows.clone();
            replay(&mut again, records.len() / 2);
            replay(&mut again, records.len().saturating_sub(1));
            assert_eq!(again, rows, "replaying the end of shard {shard} again changed rows");
        }
    }
}
