//! Customers over HTTP, of whom every request and answer is kept, as a history for `ordermill_history`.
//!
//! They ask servers that come and go, one after the other, and send again what has no answer. A shopper per shard
//! does nothing but buy what lies in it: when it was served again says how long its shard was away. Whatever is in
//! the cluster in the end, this load has put there. Decides nothing about what is right: the checks do.

mod customer;
mod end;
mod follower;
mod seen;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ordermill_api::ShardPage;
use ordermill_history::{History, Outcome, check};
use ordermill_order::id::{Class, Partition};
use parking_lot::{Mutex, RwLock};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::customer::Customer;
use self::follower::Follower;
use crate::process::{Http, in_time, until};

/// How many items there are: few enough for customers to meet, and for some to run out.
const ITEMS: usize = 12;

/// Between two orders of a shopper, at least: what is measured is that exact. ...
const SHOPPERS_REST: Duration = Duration::from_millis(30);
/// ... And of all of them, so that many shards are no heavier a load than a few.
const SHOPPERS_EVERY: Duration = Duration::from_micros(2_500);

/// How many failures can be told of.
const FAILURES_TOLD: usize = 20;

fn sku(index: usize) -> String {
    format!("sku-{index:02}")
}

/// An order of a shopper that was accepted.
#[derive(Clone, Copy, Debug)]
struct Served {
    shard: u32,
    sent: Instant,
    answered: Instant,
}

/// What everybody shares.
struct Shared {
    /// Whom customers ask: all servers, also those that are away.
    all: Http,
    /// Whom shoppers ask: those that a load balancer would send them to.
    asked: RwLock<Http>,
    /// The counter that all times of the history come from.
    now: AtomicU64,
    history: Mutex<History>,
    served: Mutex<Vec<Served>>,
    /// Between two orders of a shopper.
    shoppers_rest: Duration,
    /// Calls whose outcome is known.
    known: watch::Sender<u64>,
    /// Requests that had no answer, or were put off.
    failed: AtomicU64,
    /// The last of them, in words.
    failures: Mutex<VecDeque<String>>,
    stopped: watch::Receiver<bool>,
}

impl Shared {
    fn tick(&self) -> u64 {
        self.now.fetch_add(1, Ordering::Relaxed)
    }

    fn fails(&self, path: &str, why: &str, sent: Instant) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut failures = self.failures.lock();
        failures.truncate(FAILURES_TOLD - 1);
        failures.push_front(format!("{path}, after {:.1?}: {why}", sent.elapsed()));
    }

    /// Waits for a while, no longer than until everybody stops; says whether that is so.
    async fn rest(&self, time: Duration) -> bool {
        let mut stopped = self.stopped.clone();
        let stop = stopped.wait_for(|stopped| *stopped);
        // Whoever started the load is gone: that is a stop too.
        tokio::time::timeout(time, stop).await.is_ok()
    }
}

/// A load that runs.
pub struct Recorded {
    shared: Arc<Shared>,
    known: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    customers: Vec<JoinHandle<()>>,
    follower: JoinHandle<Follower>,
    shards: Vec<u32>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("known", &*self.known.borrow()).finish_non_exhaustive()
    }
}

impl Recorded {
    /// Sets the items of a cluster that holds nothing yet, and sets to work: `customers`, a shopper for each shard,
    /// and somebody who follows the event feed from its beginning. All servers of `http` must answer now.
    pub async fn start(http: Http, customers: usize, seed: u64) -> Self {
        let mut history = History::default();
        let shards = shards(&http).await;
        // Of some there is plenty, some run out, and some may be waited for.
        let items = (0..ITEMS).map(|index| (sku(index), [1_000_000, 300, 100][index % 3], index % 3 == 2));
        let shelves = shards.iter().map(|(_, slots)| (shelf(*slots), 1_000_000, false));
        for (sku, on_hand, backorder) in items.chain(shelves) {
            let put = json!({"on_hand": on_hand, "backorder": backorder});
            until("an item that is set", async || {
                let request = http.request(reqwest::Method::PUT, &format!("/v1/items/{sku}")).json(&put);
                let answer = http.send(request).await.map_err(|error| error.to_string())?;
                // Set again it is as it was.
                if matches!(answer.status, 200 | 201) { Ok(()) } else { Err(answer.body) }
            })
            .await;
            history.set.push((sku, on_hand));
        }
        let (stop, stopped) = watch::channel(false);
        let (known, count) = watch::channel(0);
        let shared = Arc::new(Shared {
            all: http.clone(),
            asked: RwLock::new(http),
            now: AtomicU64::new(0),
            history: Mutex::new(history),
            served: Mutex::default(),
            shoppers_rest: SHOPPERS_EVERY.saturating_mul(shards.len() as u32).max(SHOPPERS_REST),
            known,
            failed: AtomicU64::new(0),
            failures: Mutex::default(),
            stopped,
        });
        let mut seeds = StdRng::seed_from_u64(seed);
        let names = (0..customers).map(|number| (format!("customer-{number}"), None));
        let shoppers = shards.iter().map(|(shard, slots)| (shopper(*slots), Some((*shard, shelf(*slots)))));
        let customers = names.chain(shoppers).map(|(name, shard)| {
            let customer = Customer::new(shared.clone(), name, shard, seeds.random());
            tokio::spawn(customer.run())
        });
        let customers = customers.collect();
        let follower = tokio::spawn(Follower::new(shared.clone(), seeds.random()).run());
        let shards = shards.into_iter().map(|(shard, _)| shard).collect();
        Self { shared, known: count, stop, customers, follower, shards }
    }

    /// From now on shoppers ask these servers alone. Customers go on to ask all.
    pub fn ask(&self, servers: &[String]) {
        *self.shared.asked.write() = Http::among(servers);
    }

    /// Waits until the outcome of so many more calls is known.
    ///
    /// # Panics
    ///
    /// When a customer has failed.
    pub async fn more(&self, count: u64) {
        assert!(!self.customers.iter().any(JoinHandle::is_finished), "a customer has failed: see above");
        let mut known = self.known.clone();
        let target = *known.borrow() + count;
        let reached = known.wait_for(|known| *known >= target);
        in_time("more answers", reached).await.expect("the customers are at work");
    }

    /// How many requests had no answer, or were put off, so far.
    pub fn failed(&self) -> u64 {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// The last of them in words, the newest first: what was asked, how long it took, and what came.
    pub fn failures(&self) -> Vec<String> {
        self.shared.failures.lock().iter().cloned().collect()
    }

    /// Waits until in every shard an order was accepted that was sent after `since`; says how long after it that
    /// was, by shard.
    ///
    /// # Panics
    ///
    /// When a shard stays away.
    pub async fn away(&self, since: Instant) -> BTreeMap<u32, Duration> {
        until("an accepted order in every shard", async || {
            let served = self.shared.served.lock();
            let mut away: BTreeMap<u32, Duration> = BTreeMap::new();
            for one in served.iter().filter(|one| one.sent >= since) {
                let time = one.answered - since;
                away.entry(one.shard).and_modify(|known| *known = time.min(*known)).or_insert(time);
            }
            let missing: Vec<_> = self.shards.iter().filter(|shard| !away.contains_key(shard)).collect();
            if missing.is_empty() { Ok(away) } else { Err(format!("none in shards {missing:?}")) }
        })
        .await
    }

    /// Lets everybody finish, waits until all is at rest, and reads it: the whole history. All servers must answer
    /// by then.
    ///
    /// # Panics
    ///
    /// When a customer has failed, or it does not come to rest.
    pub async fn finish(self) -> History {
        self.stop.send_replace(true);
        for customer in self.customers {
            in_time("a customer's end", customer).await.expect("no customer has failed");
        }
        let follower = in_time("the follower's end", self.follower).await.expect("the feed's follower has not failed");
        end::read_all(&self.shared, follower).await;
        std::mem::take(&mut *self.shared.history.lock())
    }
}

/// Checks that a history is one of a cluster that keeps its promises.
///
/// # Panics
///
/// When it is not.
#[track_caller]
pub fn assert_kept(history: &History) {
    let (calls, orders, events) = (history.calls.len(), history.orders.len(), history.events.len());
    let unknown = history.calls.iter().filter(|call| call.outcome == Outcome::Unknown).count();
    println!("{calls} calls, {unknown} of unknown outcome; {orders} orders, {events} events");
    let wrong = check(history);
    assert!(wrong.is_empty(), "{} promises were broken:\n  {}", wrong.len(), wrong.join("\n  "));
}

/// The shards, and the first and last slot of each.
async fn shards(http: &Http) -> Vec<(u32, [u16; 2])> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/cluster/shards?page_token={token}");
        let page: ShardPage = http.get(&path).await.expect(200).json();
        all.extend(page.shards.iter().map(|shard| (shard.shard, [shard.first_slot, shard.last_slot])));
        match page.next_page_token {
            Some(next) => token = next,
            None => return all,
        }
    }
}

/// A customer whose orders are in these slots.
fn shopper(slots: [u16; 2]) -> String {
    named("shopper", slots, |name| Partition::of("", Class::Customer, name))
}

/// An item in these slots: what a shopper buys there needs no other shard.
fn shelf(slots: [u16; 2]) -> String {
    named("shelf", slots, |name| Partition::of_item("", name))
}

fn named(what: &str, [first, last]: [u16; 2], partition: impl Fn(&str) -> Partition) -> String {
    let mut names = (0..u32::MAX).map(|number| format!("{what}-{number}"));
    names.find(|name| (first..=last).contains(&partition(name).slot)).expect("there are more names than slots")
}
