//! The shared store in situations that are set up one by one: what it costs, and what it does when the
//! service lies, is silent, or shows a journal with a gap.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_simulation::{Client, Detour, Mvcc, Plan, Via, Virtual};
use ordermill_station::limits;
use ordermill_store::keys::{Key, Kind};
use ordermill_store::{Change, Error, Extent, ShardId, Store};
use ordermill_transactional::keys::Keys;
use ordermill_transactional::stored::{Nonce, Record};
use ordermill_transactional::{Config, Failure, Service, Timestamp, Transactional};
use parking_lot::Mutex;

const A: ShardId = ShardId(0);
const KEYS: Keys = Keys { cluster: 7 };

fn open(service: Arc<dyn Service>, incarnation: u64) -> Transactional {
    Transactional::new(Config::new(KEYS.cluster, incarnation), service, Virtual::shared())
}

async fn owner(service: Arc<dyn Service>, incarnation: u64) -> (Transactional, u64) {
    let store = open(service, incarnation);
    let last = store.take_over(A, &|_| Ok("fence".into())).await.unwrap().last;
    (store, last)
}

fn row(slot: u16, rest: u16) -> Change {
    let key = Key { cluster: KEYS.cluster, slot, kind: Kind::Item, tenant: "", rest: &rest.to_be_bytes() };
    (key.encode().to_bytes(), Some(Bytes::from(vec![1; 400])))
}

/// Calls of the service that `work` takes.
async fn calls<T>(service: &Mvcc, work: impl Future<Output = Result<T, Error>>) -> u64 {
    let before = service.calls();
    work.await.unwrap();
    service.calls() - before
}

#[tokio::test(start_paused = true)]
async fn calls_are_few() {
    let service = Arc::new(Mvcc::new(3));
    let (store, last) = owner(service.clone(), 1).await;
    // A timestamp, the insert, a timestamp, a look; the second timestamp serves the next append too.
    assert_eq!(calls(&service, store.append(A, last + 1, "a".into())).await, 4);
    assert_eq!(calls(&service, store.append(A, last + 2, "b".into())).await, 3);
    assert_eq!(calls(&service, store.prove(A)).await, 2);
    // After a long time the trim mark is asked too.
    tokio::time::sleep(limits::STORE_SLOW * 2).await;
    assert_eq!(calls(&service, store.prove(A)).await, 3);
    assert_eq!(calls(&service, store.prove(A)).await, 2);
    tokio::time::sleep(limits::STORE_SLOW * 2).await;
    assert_eq!(calls(&service, store.append(A, last + 3, "c".into())).await, 6);
    // 10,000 rows of 400 bytes in 100 slots that share two flush numbers: as many as fit into a transaction, of
    // which two go together, with one look at the guard.
    let rows: Vec<Change> = (0..100).flat_map(|slot| (0..100).map(move |rest| row(slot, rest))).collect();
    let flushed = calls(&service, store.flush(A, rows, last + 3)).await;
    println!("{flushed} calls for 10,000 flushed rows");
    assert!((730..760).contains(&flushed), "{flushed}");
    // Two of each of 64 slots: they fit into four.
    let rows: Vec<Change> = (128..192).flat_map(|slot| (0..2).map(move |rest| row(slot, rest))).collect();
    let flushed = calls(&service, store.flush(A, rows, last + 3)).await;
    println!("{flushed} calls for 128 flushed rows of as many slots as share a number");
    assert!(flushed <= 24, "{flushed}");
    let taken = calls(&service, owner_again(&service)).await;
    println!("{taken} calls to take over");
    assert!(taken <= 19, "{taken}");
}

async fn owner_again(service: &Arc<Mvcc>) -> Result<Extent, Error> {
    open(service.clone(), 2).take_over(A, &|_| Ok("fence".into())).await
}

/// A service behind which no store is: its client says Ok to every write, and writes nothing.
#[tokio::test(start_paused = true)]
async fn an_ok_that_wrote_nothing_is_never_acknowledged() {
    let service = Arc::new(Mvcc::new(3));
    let client = Client::new(service.clone(), Plan::calm(), 1);
    let (store, last) = owner(Arc::new(client.clone()), 1).await;
    client.change(Plan { silent: 1_000, ..Plan::calm() });
    let done = store.append(A, last + 1, "a".into()).await;
    assert!(matches!(done, Err(Error::Unknown(_))), "{done:?}");
    let done = store.append(A, last + 1, "a".into()).await;
    assert!(matches!(done, Err(Error::Invalid(_))), "not owned until it is taken over again: {done:?}");
    let done = store.take_over(A, &|_| Ok("fence".into())).await;
    assert!(matches!(done, Err(Error::Unknown(_))), "{done:?}");
    let done = store.compare_and_set("map", None, "a".into()).await;
    assert!(matches!(done, Err(Error::Unknown(_))), "{done:?}");
    client.change(Plan::calm());
    let extent = store.take_over(A, &|_| Ok("fence".into())).await.unwrap();
    assert_eq!(extent.last, last + 1);
    client.change(Plan { silent: 1_000, ..Plan::calm() });
    let done = store.flush(A, vec![row(1, 1)], last + 1).await;
    assert!(matches!(done, Err(Error::Unavailable(_))), "{done:?}");
    client.change(Plan::calm());
    store.flush(A, vec![row(1, 1)], last + 1).await.unwrap();
    assert_eq!(store.get(&[row(1, 1).0]).await.unwrap(), [row(1, 1).1]);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_sent_the_owner_goes_on() {
    let service = Arc::new(Mvcc::new(3));
    let client = Client::new(service.clone(), Plan::calm(), 1);
    let (store, last) = owner(Arc::new(client.clone()), 1).await;
    client.change(Plan { fails: 1_000, ..Plan::calm() });
    for done in [store.append(A, last + 1, "a".into()).await, store.prove(A).await] {
        assert!(matches!(done, Err(Error::Unavailable(_))), "{done:?}");
    }
    client.change(Plan::calm());
    store.prove(A).await.unwrap();
    store.append(A, last + 1, "b".into()).await.unwrap();
    assert_eq!(store.read(A, last, 1).await.unwrap()[0].bytes, "b");
}

#[tokio::test(start_paused = true)]
async fn an_append_that_nobody_waits_for_gives_the_shard_up() {
    let service = Arc::new(Mvcc::new(3));
    let client = Client::new(service.clone(), Plan::calm(), 1);
    let (store, last) = owner(Arc::new(client.clone()), 1).await;
    client.change(Plan { hang: 1_000, ..Plan::calm() });
    let append = store.append(A, last + 1, "a".into());
    assert!(tokio::time::timeout(Duration::from_secs(1), append).await.is_err());
    client.change(Plan::calm());
    let done = store.append(A, last + 1, "b".into()).await;
    assert!(matches!(done, Err(Error::Invalid(_))), "{done:?}");
}

/// Its first times are old ones.
#[derive(Debug)]
struct Late {
    service: Arc<Mvcc>,
    old: Mutex<Vec<Timestamp>>,
}

#[async_trait::async_trait]
impl Detour for Late {
    fn service(&self) -> &Mvcc {
        &self.service
    }

    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        let old = self.old.lock().pop();
        Ok(old.unwrap_or_else(|| self.service.now()))
    }
}

async fn insert(service: &Mvcc, start: Timestamp, number: u64) {
    let value = Record::encode(Nonce { incarnation: 9, batch: number }, &number.to_be_bytes());
    service.insert(start, KEYS.record(A, number), value).await.unwrap();
}

/// A journal of three records, and a time at which the third can be seen and the second cannot: the
/// second stands in a region that was read later than the third one's transaction began.
async fn with_a_gap() -> (Arc<Mvcc>, Timestamp) {
    for regions in 2..64 {
        let service = Arc::new(Mvcc::new(regions));
        insert(&service, service.begin().await.unwrap(), 1).await;
        let third = service.begin().await.unwrap();
        let at = service.now();
        service.get(service.now(), KEYS.record(A, 2)).await.unwrap();
        insert(&service, service.begin().await.unwrap(), 2).await;
        insert(&service, third, 3).await;
        let there = service.get_many(at, (1..=3).map(|number| KEYS.record(A, number)).collect()).await.unwrap();
        if there.iter().map(Option::is_some).collect::<Vec<_>>() == [true, false, true] {
            return (service, at);
        }
    }
    panic!("no two records stand in different regions");
}

async fn numbers(store: &Transactional, after: u64) -> Result<Vec<u64>, Error> {
    Ok(store.read(A, after, 1 << 20).await?.into_iter().map(|record| record.number).collect())
}

#[tokio::test(start_paused = true)]
async fn a_reader_stops_at_a_gap_and_looks_again() {
    let (service, at) = with_a_gap().await;
    let late = Via(Late { service: service.clone(), old: Mutex::new(vec![at; 4]) });
    let store = open(Arc::new(late), 1);
    assert_eq!(numbers(&store, 0).await.unwrap(), [1]);
    assert_eq!(numbers(&store, 1).await.unwrap(), [2, 3]);
    // A gap that stays is no matter of time.
    let start = service.begin().await.unwrap();
    service.write(start, vec![(KEYS.record(A, 2), None)]).await.unwrap();
    assert_eq!(numbers(&store, 0).await.unwrap(), [1]);
    let lost = numbers(&store, 1).await;
    assert!(matches!(lost, Err(Error::Corrupt(_))), "{lost:?}");
    let lost = owner_again(&service).await;
    assert!(matches!(lost, Err(Error::Corrupt(_))), "{lost:?}");
}

#[cfg(feature = "planted-faults")]
#[tokio::test(start_paused = true)]
async fn a_reader_that_skips_a_gap_is_caught() {
    let (service, at) = with_a_gap().await;
    let late = Via(Late { service, old: Mutex::new(vec![at; 4]) });
    let config = Config { planted: Some(ordermill_transactional::Planted::SkipGap), ..Config::new(KEYS.cluster, 1) };
    let store = Transactional::new(config, Arc::new(late), Virtual::shared());
    assert_eq!(numbers(&store, 0).await.unwrap(), [1, 3]);
}

#[tokio::test(start_paused = true)]
async fn trimming_goes_on_where_an_earlier_owner_stopped() {
    let service = Arc::new(Mvcc::new(3));
    let (old, fence) = owner(service.clone(), 1).await;
    for number in fence + 1..=fence + 200 {
        old.append(A, number, "a".into()).await.unwrap();
    }
    let last = fence + 200;
    old.flush(A, vec![], last).await.unwrap();
    old.trim(A, last - 10).await.unwrap();
    let left = |number: u64| service.latest(&KEYS.record(A, number)).is_some();
    assert!(left(1), "an owner that has just taken over deletes nothing");
    assert!(matches!(old.read(A, 0, 1).await, Err(Error::Invalid(_))), "and yet nobody reads it");
    // It ends here, with its records undeleted.
    let (new, fence) = owner(service.clone(), 2).await;
    assert_eq!(fence, last + 1);
    tokio::time::sleep(limits::STORE_TRIM_AFTER).await;
    new.trim(A, last - 10).await.unwrap();
    assert!((1..=last - 10).all(|number| !left(number)));
    assert!((last - 9..=fence).all(left));
    // The last record stays, whatever the mark says: the next owner begins where it ends.
    new.flush(A, vec![], fence).await.unwrap();
    new.trim(A, fence).await.unwrap();
    assert!((1..fence).all(|number| !left(number)) && left(fence));
    let asked = Mutex::new(None);
    let fence_after = |last: Option<&[u8]>| {
        *asked.lock() = last.map(<[u8]>::to_vec);
        Ok("after".into())
    };
    let third = open(service.clone(), 3);
    let extent = third.take_over(A, &fence_after).await.unwrap();
    assert_eq!(extent, Extent { checkpoint: fence, trimmed: fence, last: fence + 1 });
    assert_eq!(asked.lock().as_deref(), Some(&b"fence"[..]));
    assert!(matches!(new.prove(A).await, Err(Error::Fenced(_))));
    assert_eq!(new.extent(A).await.unwrap(), extent);
}

/// One that has handed its shard over is told nothing, and does not take its own last record for the end.
#[tokio::test(start_paused = true)]
async fn a_former_owner_reads_what_later_ones_have_written() {
    let service = Arc::new(Mvcc::new(3));
    let (former, last) = owner(service.clone(), 1).await;
    former.append(A, last + 1, "a".into()).await.unwrap();
    former.flush(A, Vec::new(), last + 1).await.unwrap();
    let (later, fence) = owner(service.clone(), 2).await;
    later.append(A, fence + 1, "b".into()).await.unwrap();
    assert_eq!(numbers(&former, last + 1).await.unwrap(), [fence, fence + 1]);
    later.flush(A, Vec::new(), fence + 1).await.unwrap();
    later.trim(A, fence).await.unwrap();
    let extent = Extent { checkpoint: fence + 1, trimmed: fence, last: fence + 1 };
    assert_eq!(former.extent(A).await.unwrap(), extent);
}

/// Found by a seed: whoever was stopped between looking for the last record and writing behind it finds a
/// number that is free again. It is told so, and the owner of today does not notice.
#[tokio::test(start_paused = true)]
async fn a_takeover_that_was_stopped_on_its_way_disturbs_nobody() {
    let service = Arc::new(Mvcc::new(3));
    let client = Client::new(service.clone(), Plan::calm(), 1);
    let late = open(Arc::new(client.clone()), 1);
    let stopped = |_: Option<&[u8]>| {
        client.freeze(limits::STORE_TRIM_AFTER + Duration::from_secs(1));
        Ok("late".into())
    };
    let meanwhile = async {
        let (store, fence) = owner(service.clone(), 2).await;
        assert_eq!(fence, 1);
        for number in fence + 1..=fence + 5 {
            store.append(A, number, "a".into()).await.unwrap();
        }
        tokio::time::sleep(limits::STORE_TRIM_AFTER).await;
        store.flush(A, vec![], fence + 3).await.unwrap();
        store.trim(A, fence + 3).await.unwrap();
        store
    };
    let (taken, store) = futures::join!(late.take_over(A, &stopped), meanwhile);
    assert!(matches!(taken, Err(Error::Fenced(4))), "{taken:?}");
    store.prove(A).await.unwrap();
    store.append(A, 7, "b".into()).await.unwrap();
    store.flush(A, vec![], 7).await.unwrap();
    assert_eq!(late.extent(A).await.unwrap(), Extent { checkpoint: 7, trimmed: 4, last: 7 });
}

/// Found by a seed: locks that were left on guard and trim mark are in nobody's way.
#[tokio::test(start_paused = true)]
async fn locks_that_were_left_anywhere_are_cleaned_up() {
    let service = Arc::new(Mvcc::new(3));
    let (store, fence) = owner(service.clone(), 1).await;
    let lock = async || {
        for key in [KEYS.guard(A), KEYS.trim(A), KEYS.record(A, fence + 1), KEYS.value("map")] {
            // The lock's own transaction never gets as far as its first key.
            let start = service.begin().await.unwrap();
            let mutations = [(KEYS.value("nowhere"), None), (key, Some("left".into()))];
            service.prewrite(start, &mutations, false).unwrap();
            service.clean_up(service.now(), KEYS.value("nowhere"), KEYS.value("nowhere2")).await.unwrap();
        }
    };
    lock().await;
    store.prove(A).await.unwrap();
    store.append(A, fence + 1, "a".into()).await.unwrap();
    store.flush(A, vec![row(1, 1)], fence + 1).await.unwrap();
    store.trim(A, fence).await.unwrap();
    assert!(store.compare_and_set("map", None, "a".into()).await.unwrap());
    let start = service.begin().await.unwrap();
    service.prewrite(start, &[(KEYS.guard(A), None), (KEYS.trim(A), None)], false).unwrap();
    let extent = Extent { checkpoint: fence + 1, trimmed: fence, last: fence + 1 };
    assert_eq!(open(service.clone(), 2).extent(A).await.unwrap(), extent);
    let start = service.begin().await.unwrap();
    service.prewrite(start, &[(KEYS.trim(A), None), (KEYS.guard(A), None)], false).unwrap();
    assert_eq!(numbers(&open(service.clone(), 3), fence).await.unwrap(), [fence + 1]);
}

/// Three regions, and rows and records too large to be read together.
#[tokio::test(start_paused = true)]
async fn answers_that_would_be_too_large_are_asked_for_in_parts() {
    let service = Arc::new(Mvcc::new(3));
    let (store, fence) = owner(service.clone(), 1).await;
    // Small ones first, so that more are asked for at once.
    for number in fence + 1..=fence + 10 {
        store.append(A, number, "small".into()).await.unwrap();
    }
    for number in fence + 11..=fence + 30 {
        store.append(A, number, vec![1; limits::RECORD_BYTES].into()).await.unwrap();
    }
    assert_eq!(store.read(A, fence, 64 << 20).await.unwrap().len(), 30);
    let rows: Vec<Change> = (0..60).map(|rest| (row(1, rest).0, Some(vec![2; 200 << 10].into()))).collect();
    let keys: Vec<Bytes> = rows.iter().map(|(key, _)| key.clone()).collect();
    store.flush(A, rows, fence + 30).await.unwrap();
    assert!(store.get(&keys).await.unwrap().iter().all(Option::is_some));
    let page = store.scan(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded, 50).await.unwrap();
    assert_eq!((page.rows.len(), page.more), (50, true));
    assert_eq!(open(service, 2).extent(A).await.unwrap().last, fence + 30);
}

#[tokio::test(start_paused = true)]
async fn garbage_is_collected_where_that_is_wanted_and_not_too_soon() {
    let service = Arc::new(Mvcc::new(3));
    let hour = limits::STORE_GARBAGE_LAG;
    let store = open(service.clone(), 1);
    assert!(matches!(store.collect_garbage(hour).await, Err(Error::Invalid(_))));
    let config = Config { drive_gc: true, ..Config::new(KEYS.cluster, 2) };
    let store = Transactional::new(config, service.clone(), Virtual::shared());
    assert!(matches!(store.collect_garbage(hour / 2).await, Err(Error::Invalid(_))));
    for new in ["a", "b", "c"] {
        let old = store.load("map").await.unwrap();
        assert!(store.compare_and_set("map", old, new.into()).await.unwrap());
    }
    store.collect_garbage(hour).await.unwrap();
    assert_eq!(service.history(&KEYS.value("map")).len(), 3);
    tokio::time::sleep(hour * 2).await;
    store.collect_garbage(hour).await.unwrap();
    assert_eq!(service.history(&KEYS.value("map")).len(), 1);
    assert_eq!(store.load("map").await.unwrap().as_deref(), Some(&b"c"[..]));
}
