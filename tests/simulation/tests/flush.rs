//! Writes of rows that arrive late: from an owner that has long been replaced, or from a try that was
//! given up. What was deleted meanwhile stays deleted.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use ordermill_simulation::{Detour, Mvcc, Via, Virtual};
use ordermill_store::keys::{Key, Kind};
use ordermill_store::{Error, ShardId, Store};
use ordermill_transactional::{Config, Failure, Mutation, Service, Timestamp, Transactional};
use parking_lot::Mutex;

const A: ShardId = ShardId(0);
const CLUSTER: u32 = 7;

/// What becomes of writes of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// They arrive.
    Open,
    /// They arrive when they are let go; meanwhile they are said to have failed.
    Held,
    /// The next one is said to have happened, and never arrives.
    LostOnce,
}

/// A client of the service whose writes of rows may be held up, or lost.
#[derive(Debug)]
struct Road {
    service: Arc<Mvcc>,
    way: Mutex<Way>,
    held: Mutex<Vec<(Timestamp, Vec<Mutation>)>>,
}

impl Road {
    fn to(service: &Arc<Mvcc>) -> Arc<Via<Self>> {
        Arc::new(Via(Self { service: service.clone(), way: Mutex::new(Way::Open), held: Mutex::default() }))
    }

    fn becomes(&self, way: Way) {
        *self.way.lock() = way;
    }

    /// Lets everything arrive that was held up; says how many writes there were, and how many happened.
    async fn let_go(&self) -> (usize, usize) {
        let held = std::mem::take(&mut *self.held.lock());
        let (all, mut written) = (held.len(), 0);
        for (start, mutations) in held {
            written += usize::from(self.service.write(start, mutations).await.is_ok());
        }
        (all, written)
    }
}

#[async_trait::async_trait]
impl Detour for Road {
    fn service(&self) -> &Mvcc {
        &self.service
    }

    async fn write(&self, start: Timestamp, mutations: Vec<Mutation>) -> Result<(), Failure> {
        let of_rows = mutations.iter().any(|(key, _)| key.starts_with(b"r"));
        let way = if of_rows { *self.way.lock() } else { Way::Open };
        match way {
            Way::Open => self.service.write(start, mutations).await,
            Way::Held => {
                self.held.lock().push((start, mutations));
                Err(Failure::Unavailable("no answer".to_owned()))
            }
            Way::LostOnce => {
                self.becomes(Way::Open);
                Ok(())
            }
        }
    }
}

fn key(rest: u8) -> Bytes {
    Key { cluster: CLUSTER, slot: 5, kind: Kind::Hold, tenant: "", rest: &[rest] }.encode().to_bytes()
}

async fn owner(service: Arc<dyn Service>, incarnation: u64, configure: fn(&mut Config)) -> (Transactional, u64) {
    let mut config = Config::new(CLUSTER, incarnation);
    configure(&mut config);
    let store = Transactional::new(config, service, Virtual::shared());
    let last = store.take_over(A, &|_| Ok("fence".into())).await.unwrap().last;
    (store, last)
}

/// What stands at a row that one owner has put there late, and the next one has deleted before; the
/// deletion was lost at first. And how many of the late writes happened.
async fn a_put_lands_after_a_takeover(configure: fn(&mut Config)) -> (Option<Bytes>, usize) {
    let service = Arc::new(Mvcc::new(3));
    let (slow, lossy) = (Road::to(&service), Road::to(&service));
    let (old, last) = owner(slow.clone(), 1, configure).await;
    old.append(A, last + 1, "the row is there".into()).await.unwrap();
    slow.0.becomes(Way::Held);
    let flushed = old.flush(A, vec![(key(1), Some("there".into()))], last + 1).await;
    assert!(matches!(flushed, Err(Error::Unavailable(_))), "{flushed:?}");
    let (new, last) = owner(lossy.clone(), 2, configure).await;
    new.append(A, last + 1, "the row is gone".into()).await.unwrap();
    lossy.0.becomes(Way::LostOnce);
    new.flush(A, vec![(key(1), None)], last + 1).await.unwrap();
    assert_eq!(new.get(&[key(1)]).await.unwrap(), [None]);
    let (late, written) = slow.0.let_go().await;
    assert!(late > 1, "it was tried again and again");
    (new.get(&[key(1)]).await.unwrap().remove(0), written)
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_stays_deleted_whatever_an_old_owner_has_under_way() {
    assert_eq!(a_put_lands_after_a_takeover(|_| {}).await, (None, 0));
}

#[cfg(feature = "planted-faults")]
#[tokio::test(start_paused = true)]
async fn a_flush_without_a_number_is_caught() {
    let without = |config: &mut Config| config.planted = Some(ordermill_transactional::Planted::NoFlushNumber);
    assert_eq!(a_put_lands_after_a_takeover(without).await, (Some("there".into()), 1));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_row_stays_deleted_whatever_an_earlier_flush_has_under_way() {
    let service = Arc::new(Mvcc::new(3));
    let road = Road::to(&service);
    let (store, last) = owner(road.clone(), 1, |_| {}).await;
    store.append(A, last + 1, "two rows".into()).await.unwrap();
    road.0.becomes(Way::Held);
    let rows = vec![(key(1), Some("one".into())), (key(2), Some("two".into()))];
    assert!(matches!(store.flush(A, rows, last + 1).await, Err(Error::Unavailable(_))));
    road.0.becomes(Way::LostOnce);
    store.flush(A, vec![(key(1), None), (key(2), Some("more".into()))], last + 1).await.unwrap();
    assert_eq!(road.0.let_go().await.1, 0);
    assert_eq!(store.get(&[key(1), key(2)]).await.unwrap(), [None, Some("more".into())]);
}

/// Rows that were deleted and never there: the number is what is written, and it is nobody's row.
#[tokio::test(start_paused = true)]
async fn a_flush_number_is_no_row() {
    let service = Arc::new(Mvcc::new(3));
    let (store, last) = owner(service.clone(), 1, |_| {}).await;
    store.flush(A, vec![(key(1), None), (key(2), Some("two".into())), (key(3), None)], last).await.unwrap();
    let page = store.scan(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded, 1).await.unwrap();
    assert_eq!((page.rows, page.more), (vec![(key(2), "two".into())], false));
    let number = ordermill_transactional::keys::flush_number(&[b"r", &key(1)[..]].concat());
    assert_eq!(service.history(&number).len(), 1);
    let short = store.flush(A, vec![(key(1).slice(..6), None)], last).await;
    assert!(matches!(short, Err(Error::Invalid(_))), "{short:?}");
}
