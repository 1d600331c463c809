//! Proofs of reads, call by call: a proof counts for the owner that has read, and for no later one of the same
//! process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_delivery::{Mail, Peers};
use ordermill_order::{Action, Command, OrderId, SlotRange};
use ordermill_shard::{Config, Error, Formats, Handle, Keys, Row, Service as Shard, Unflushed, decode_row};
use ordermill_simulation::{Detour, Mvcc, Via, Virtual};
use ordermill_station::{clock, limits};
use ordermill_store::{ShardId, keys};
use ordermill_transactional::{Failure, Service, Timestamp, Transactional};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::sleep;

const CLUSTER: u32 = 7;

/// A way to the store on which one call for a timestamp can be held up.
#[derive(Debug)]
struct Gate {
    service: Arc<Mvcc>,
    closed: Mutex<Option<oneshot::Receiver<()>>>,
    waits: Notify,
}

impl Gate {
    /// Holds up the next call; it goes on when the end that is returned is dropped.
    fn close(&self) -> oneshot::Sender<()> {
        let (open, closed) = oneshot::channel();
        *self.closed.lock() = Some(closed);
        open
    }
}

#[async_trait::async_trait]
impl Detour for Gate {
    fn service(&self) -> &Mvcc {
        &self.service
    }

    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        let closed = self.closed.lock().take();
        if let Some(closed) = closed {
            self.waits.notify_one();
            // It is opened by being dropped.
            let _ = closed.await;
        }
        self.service.timestamp().await
    }
}

/// There is one shard: nothing is sent.
#[derive(Debug)]
struct Nobody;

impl Peers for Nobody {
    fn deliver(&self, mail: Mail) {
        panic!("{mail:?}");
    }

    fn has_heard<'a>(
        &'a self,
        _: &'a str,
        _: OrderId,
        _: u16,
        _: u32,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async { false })
    }
}

/// Takes the one shard over, and serves it.
async fn serve(store: &Arc<Transactional>, clock: &clock::Shared, incarnation: u64) -> Handle {
    let config = Config {
        cluster: CLUSTER,
        id: ShardId(0),
        range: SlotRange { first: 0, last: u16::MAX },
        parent: None,
        incarnation,
        formats: Arc::new(Formats::new(1, 1)),
        cache_bytes: 1 << 20,
        unflushed: Arc::new(Unflushed::new(1 << 20, 1)),
        flush_interval: limits::FLUSH_INTERVAL,
        journal_retention: limits::JOURNAL_RETENTION,
        idempotency_retention: limits::IDEMPOTENCY_RETENTION,
        #[cfg(feature = "planted-faults")]
        planted: None,
    };
    let (handle, shard) = Shard::new(config, store.clone(), clock.clone(), Arc::new(Nobody));
    let (ready, served) = oneshot::channel();
    tokio::spawn(shard.run(ready));
    served.await.unwrap().unwrap();
    handle
}

async fn set(handle: &Handle, on_hand: u64) {
    let action = Action::PutItem { sku: "A".into(), on_hand, backorder: false, if_version: None };
    handle.call(Command { tenant: "".into(), idempotency: None, action }).await.outcome.unwrap();
}

async fn read(handle: &Handle) -> Result<u64, Error> {
    let key = Keys { cluster: CLUSTER }.item("", "A");
    let bytes: Bytes = handle.get(key.clone()).await?.expect("the item is there");
    match decode_row(&keys::decode(&key).unwrap(), &bytes) {
        Ok(Row::Item(item)) => Ok(item.on_hand),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_a_later_owner_in_the_same_process_asks_for_proves_nothing_of_an_earlier_one() {
    let service = Arc::new(Mvcc::new(3));
    let clock: clock::Shared = Virtual::shared();
    let store = |service: Arc<dyn Service>, incarnation| {
        let config = ordermill_transactional::Config::new(CLUSTER, incarnation);
        Arc::new(Transactional::new(config, service, clock.clone()))
    };
    let gate = Arc::new(Via(Gate { service: service.clone(), closed: Mutex::default(), waits: Notify::new() }));
    let (here, there) = (store(gate.clone(), 1), store(service, 2));
    let first = serve(&here, &clock, 1).await;
    set(&first, 1).await;
    // What a new owner looks for has been looked for.
    sleep(limits::TICK * 9 / 2).await;

    // One read's proof is under way, and does not get on; another has read, and waits for the next proof.
    let open = gate.0.close();
    let (one, two) = (first.clone(), first.clone());
    let proving = tokio::spawn(async move { read(&one).await });
    gate.0.waits.notified().await;
    let waiting = tokio::spawn(async move { read(&two).await });
    assert!(first.flush().await.unwrap());
    assert!(!proving.is_finished() && !waiting.is_finished(), "there is no proof yet");

    // The shard goes to another process, which changes it, and comes back.
    first.close().await.unwrap();
    let other = serve(&there, &clock, 2).await;
    set(&other, 2).await;
    other.close().await.unwrap();
    let again = serve(&here, &clock, 1).await;
    drop(open);

    assert_eq!(waiting.await.unwrap(), Err(Error::NotServed), "what it has read is not so any more");
    assert_eq!(proving.await.unwrap(), Err(Error::NotServed));
    assert_eq!(read(&again).await, Ok(2));
}
