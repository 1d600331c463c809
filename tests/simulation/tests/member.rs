//! One member over the store in memory: what it says when its clock is wrong or it stood still, and what
//! is read of its shards without it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ordermill_members::{Error, Formats, Incarnation, Member};
use ordermill_order::{Action, Command};
use ordermill_peer::{Hello, Peers, Tcp};
use ordermill_routing::{Config, Router, Stale, Status};
use ordermill_simulation::{Detour, Mvcc, Via, Virtual};
use ordermill_station::clock::{self, Clock};
use ordermill_station::limits;
use ordermill_store::{ShardId, Store as _};
use ordermill_transactional::{Failure, Service, Timestamp, Transactional};
use tokio::time::{Instant, advance, sleep, timeout};

const CLUSTER: u32 = 7;
/// Far longer than anything here takes.
const LONG: Duration = Duration::from_mins(2);

/// A clock whose time of day can be set wrong.
#[derive(Debug)]
struct Forged {
    clock: Arc<Virtual>,
    ahead_ms: AtomicI64,
}

impl Forged {
    fn ahead(ahead_ms: i64) -> Arc<Self> {
        Arc::new(Self { clock: Virtual::shared(), ahead_ms: AtomicI64::new(ahead_ms) })
    }

    fn set(&self, ahead_ms: i64) {
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
    }
}

impl Clock for Forged {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms().saturating_add_signed(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }
}

/// A member that is alone with its store, and takes part until it is dropped.
async fn join(service: &Arc<impl Service>, incarnation: u64, clock: clock::Shared) -> Result<Router, Error> {
    let config = ordermill_transactional::Config::new(CLUSTER, incarnation);
    let store = Arc::new(Transactional::new(config, service.clone(), clock.clone()));
    let hello = Hello { cluster: CLUSTER, incarnation, name: "pod-0".to_owned() };
    let network = Tcp::new(None).await.unwrap();
    let peers = Peers::new(ordermill_peer::Config::new(hello, clock.clone()), Arc::new(network));
    let me = Member {
        incarnation: Incarnation(incarnation),
        name: "pod-0".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        formats: Formats { min: 1, max: 1 },
    };
    let config = Config {
        cluster: CLUSTER,
        shards: 2,
        cache_bytes: 1 << 20,
        flush_bytes: 1 << 20,
        flush_interval: limits::FLUSH_INTERVAL,
        journal_retention: limits::JOURNAL_RETENTION,
        idempotency_retention: limits::IDEMPOTENCY_RETENTION,
        #[cfg(feature = "planted-faults")]
        planted: None,
    };
    let (router, service) = Router::join(config, store, clock, me, peers, Arc::new(|| 0)).await?;
    tokio::spawn(service.run());
    Ok(router)
}

/// Waits until `enough`.
async fn until(what: &str, mut enough: impl AsyncFnMut() -> bool) {
    let waited = timeout(LONG, async {
        while !enough().await {
            sleep(Duration::from_millis(100)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited for {what}"));
}

async fn put(router: &Router, on_hand: u64) -> Result<(), ordermill_routing::Error> {
    let action = Action::PutItem { sku: "A".into(), on_hand, backorder: false, if_version: None };
    router.apply(Command { tenant: "".into(), idempotency: None, action }).await.map(drop)
}

async fn serving(service: &Arc<impl Service>, clock: clock::Shared) -> Router {
    let router = join(service, 5, clock).await.unwrap();
    until("the member to serve", async || put(&router, 1).await.is_ok() && router.status() == Status::Serving).await;
    router
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_clock_is_wrong_does_not_join() {
    let service = Arc::new(Mvcc::new(3));
    for (ahead_ms, text) in [(6_500, "6.5 s ahead of the store's"), (-7_000, "7.0 s behind the store's")] {
        let refused = join(&service, 5, Forged::ahead(ahead_ms)).await;
        let Err(Error::Refused(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains(text), "{why}");
    }
    for ahead_ms in [4_900, -4_900] {
        join(&service, 6, Forged::ahead(ahead_ms)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_clock_goes_wrong_refuses_until_it_is_right() {
    let service = Arc::new(Mvcc::new(3));
    let forged = Forged::ahead(0);
    let router = serving(&service, forged.clone()).await;
    let drained = || !router.members().unwrap().current().drains.is_empty();
    let set_ms = Virtual::shared().now_ms();
    forged.set(3_600_000);
    until("the clock to be noticed", async || router.status() == Status::ClockOff && drained()).await;
    assert!(router.clock_fault().unwrap().contains("3600.0 s ahead"), "{:?}", router.clock_fault());
    // There is nobody else to serve the shards. What is written has a time near the store's all the same.
    put(&router, 2).await.unwrap();
    let item = router.item("".into(), "A").await.unwrap().unwrap();
    assert!(item.updated_ms < set_ms + 60_000, "{} and it was {set_ms}", item.updated_ms);
    forged.set(-1_000);
    until("the clock to be right", async || router.status() == Status::Serving && !drained()).await;
    assert_eq!(router.clock_fault(), None);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stood_still_for_too_long_has_to_end() {
    let service = Arc::new(Mvcc::new(3));
    let router = serving(&service, Virtual::shared()).await;
    assert!(timeout(LONG, router.stood_still()).await.is_err());
    advance(limits::STORE_GARBAGE_LAG / 2 + Duration::from_secs(5)).await;
    timeout(LONG, router.stood_still()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stale_read_says_what_it_may_lack() {
    let service = Arc::new(Mvcc::new(3));
    let clock = Virtual::shared();
    let router = serving(&service, clock.clone()).await;
    let look = async || router.stale_item("".into(), "A").await.unwrap();
    let on_hand = |stale: &Stale<Option<ordermill_order::Item>>| stale.value.as_ref().map(|item| item.on_hand);
    put(&router, 7).await.unwrap();
    until("the flush", async || on_hand(&look().await) == Some(7)).await;
    assert_eq!(look().await.age, Duration::ZERO, "nothing has changed since");
    // Changes are seen with the next flush; until then the row gets older.
    let changed = Instant::now();
    put(&router, 8).await.unwrap();
    let (mut oldest, mut seen) = (Duration::ZERO, 7);
    until("the next flush", async || {
        let stale = look().await;
        let now = on_hand(&stale).unwrap();
        assert!(now >= seen, "{now} after {seen}");
        if now == 7 {
            assert!(stale.age >= oldest, "{stale:?} after {oldest:?}");
            let late = changed.elapsed().saturating_sub(stale.age);
            assert!(late <= Duration::from_millis(2), "{stale:?}, and it changed {:?} ago", changed.elapsed());
            oldest = stale.age;
        }
        seen = now;
        now == 8
    })
    .await;
    assert!(oldest > Duration::from_secs(5) && oldest <= limits::FLUSH_INTERVAL + limits::TICK, "{oldest:?}");
    until("the mark", async || look().await.age.is_zero()).await;
    // A new owner of the shard has written a record, which changes nothing.
    router.close().await.unwrap();
    let router = serving_again(&service, clock).await;
    let stale = router.stale_item("".into(), "A").await.unwrap();
    assert_eq!((on_hand(&stale), stale.age), (Some(8), Duration::ZERO));
    assert_eq!(router.stale_item("".into(), "B").await.unwrap().value, None);
}

/// Nobody writes, so nothing but its reads tells the member that another has been there.
#[tokio::test(start_paused = true)]
async fn a_shard_that_is_only_read_is_served_again_after_another_had_it() {
    let service = Arc::new(Mvcc::new(3));
    let clock = Virtual::shared();
    let router = serving(&service, clock.clone()).await;
    let there = async || router.item("".into(), "A").await.is_ok_and(|item| item.is_some());
    until("the read", there).await;
    let config = ordermill_transactional::Config::new(CLUSTER, 9);
    let other = Transactional::new(config, service.clone(), clock);
    for shard in [ShardId(0), ShardId(1)] {
        let again = |last: Option<&[u8]>| Ok(Bytes::copy_from_slice(last.unwrap()));
        other.take_over(shard, &again).await.unwrap();
    }
    until("the read to be answered again", there).await;
}

/// A way to the store on which nothing can be looked at for a while.
#[derive(Debug)]
struct Blind {
    service: Arc<Mvcc>,
    blind: AtomicBool,
}

#[async_trait::async_trait]
impl Detour for Blind {
    fn service(&self) -> &Mvcc {
        &self.service
    }

    async fn timestamp(&self) -> Result<Timestamp, Failure> {
        if self.blind.load(Ordering::Relaxed) {
            return Err(Failure::Unavailable("nothing is seen".to_owned()));
        }
        self.service.timestamp().await
    }
}

/// What is refused is refused for how things are: another owner may have changed that.
#[tokio::test(start_paused = true)]
async fn nothing_is_refused_without_a_proof() {
    let service = Arc::new(Via(Blind { service: Arc::new(Mvcc::new(3)), blind: AtomicBool::new(false) }));
    let router = serving(&service, Virtual::shared()).await;
    let wrongly = async || {
        let action = Action::PutItem { sku: "A".into(), on_hand: 3, backorder: false, if_version: Some(99) };
        router.apply(Command { tenant: "".into(), idempotency: None, action }).await
    };
    let refused = ordermill_routing::Error::Refused(ordermill_order::Refusal::VersionMismatch { current: 1 });
    assert_eq!(wrongly().await, Err(refused.clone()));
    service.0.blind.store(true, Ordering::Relaxed);
    let unproven = wrongly().await;
    assert!(matches!(unproven, Err(ordermill_routing::Error::Unavailable(_))), "{unproven:?}");
    service.0.blind.store(false, Ordering::Relaxed);
    until("the store to be seen again", async || wrongly().await == Err(refused.clone())).await;
}

async fn serving_again(service: &Arc<Mvcc>, clock: clock::Shared) -> Router {
    let router = join(service, 8, clock).await.unwrap();
    let there = async || router.item("".into(), "A").await.is_ok_and(|item| item.is_some());
    until("the member to serve again", there).await;
    router
}
