//! A customer: places orders and takes steps on them, reads, and adjusts items, at whichever server.
//!
//! A request without an answer is sent again with the same idempotency key, often to another server.

use std::sync::Arc;
use std::time::Duration;

use ordermill_api::{CancelOutcome, CancelResult};
use ordermill_history::{Call, Deed, Outcome};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::seen::{item_of, order_of};
use super::{ITEMS, Served, Shared, sku};
use crate::process::Answer;

/// Longest wait of a customer for one answer: a server that stood still may give it yet.
const ANSWER: Duration = Duration::from_secs(12);
/// The same of a shopper, who goes to another server then.
const SHOPPERS_ANSWER: Duration = Duration::from_secs(5);
/// How long a request is sent again before its outcome counts as unknown.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two requests of a customer, milliseconds.
const REST_MS: std::ops::Range<u64> = 30..170;
/// Before a request is sent again.
const AGAIN: Duration = Duration::from_millis(30);
/// Orders of a customer that further steps are taken on.
const OPEN_ORDERS: usize = 12;

/// A customer, or a shopper of one shard.
pub(super) struct Customer {
    shared: Arc<Shared>,
    name: String,
    /// A shopper's shard, and what there is to buy in it.
    shard: Option<(u32, String)>,
    random: StdRng,
    /// Ids of orders that it knows.
    orders: Vec<String>,
    requests: u64,
}

/// A request, however often it is sent.
struct Request {
    deed: Deed,
    method: Method,
    path: String,
    body: Option<Value>,
    key: String,
}

/// What one attempt ended with.
enum Tried {
    Came(Outcome),
    /// It may have happened.
    Lost(String),
    /// It has not happened.
    NotNow(String),
}

impl Customer {
    pub(super) fn new(shared: Arc<Shared>, name: String, shard: Option<(u32, String)>, seed: u64) -> Self {
        Self { shared, name, shard, random: StdRng::seed_from_u64(seed), orders: Vec::new(), requests: 0 }
    }

    /// Lives until everybody stops.
    pub(super) async fn run(mut self) {
        loop {
            let rest = match &self.shard {
                Some(_) => self.shared.shoppers_rest,
                None => Duration::from_millis(self.random.random_range(REST_MS)),
            };
            if self.shared.rest(rest).await {
                return;
            }
            let request = if self.shard.is_some() { self.place() } else { self.wish() };
            self.call(request).await;
        }
    }

    fn request(&mut self, deed: Deed, path: String, body: Value) -> Request {
        self.requests += 1;
        let key = format!("{}-{}", self.name, self.requests);
        Request { deed, method: Method::POST, path, body: Some(body), key }
    }

    fn read(deed: Deed, path: String) -> Request {
        Request { deed, method: Method::GET, path, body: None, key: String::new() }
    }

    fn place(&mut self) -> Request {
        let reference = format!("{}", self.requests + 1);
        let count = if self.shard.is_some() { 1 } else { self.random.random_range(1..4) };
        let lines: Vec<Value> = (0..count)
            .map(|_| {
                let sku = match &self.shard {
                    Some((_, shelf)) => shelf.clone(),
                    None => sku(self.random.random_range(0..ITEMS)),
                };
                let quantity = self.random.random_range(1..4);
                json!({"sku": sku, "quantity": quantity, "unit_price": {"amount": 100, "currency": "GBP"}})
            })
            .collect();
        let body = json!({"customer": self.name, "reference": reference, "lines": lines});
        self.request(Deed::Place(format!("{}/{reference}", self.name)), "/v1/orders".to_owned(), body)
    }

    fn wish(&mut self) -> Request {
        let lot = self.random.random_range(0..100);
        if self.orders.is_empty() || lot < 25 {
            return self.place();
        }
        let id = self.orders[self.random.random_range(0..self.orders.len())].clone();
        let path = |verb: &str| format!("/v1/orders/{id}/{verb}");
        let pay =
            |action: &str, amount: u64| json!({"action": action, "amount": {"amount": amount, "currency": "GBP"}});
        let one = json!([{"line": 1, "quantity": 1}]);
        match lot {
            25..33 => self.request(Deed::Authorize(id.clone(), 100), path("payments"), pay("authorize", 100)),
            33..39 => self.request(Deed::Capture(id.clone(), 50), path("payments"), pay("capture", 50)),
            39..50 => self.request(Deed::Fulfil(id.clone(), 1), path("fulfillments"), json!({"lines": one})),
            50..55 => {
                let body = json!({"lines": one, "restock": self.random.random::<bool>()});
                self.request(Deed::Return(id.clone(), 1), path("returns"), body)
            }
            55..60 => self.request(Deed::Cancel(id.clone()), path("cancel"), json!({"reason": "changed my mind"})),
            60..80 => Self::read(Deed::ReadOrder(id.clone()), format!("/v1/orders/{id}")),
            _ => {
                let sku = sku(self.random.random_range(0..ITEMS));
                let path = format!("/v1/items/{sku}");
                if lot < 92 {
                    return Self::read(Deed::ReadItem(sku), path);
                }
                let delta = self.random.random_range(-3..9);
                self.request(Deed::Adjust(sku, delta), format!("{path}/adjustments"), json!({"delta": delta}))
            }
        }
    }

    /// Sends a request until its outcome is known, or it is given up; keeps what came of it.
    async fn call(&mut self, request: Request) {
        let (begin, begun) = (self.shared.tick(), Instant::now());
        let (mut outcome, mut perhaps) = (Outcome::Unknown, false);
        while begun.elapsed() < PATIENCE {
            let sent = Instant::now();
            match self.attempt(&request).await {
                Tried::Came(came) => {
                    if let (Some((shard, _)), Outcome::Order { .. }) = (&self.shard, &came) {
                        self.shared.served.lock().push(Served { shard: *shard, sent, answered: Instant::now() });
                    }
                    outcome = came;
                    break;
                }
                Tried::Lost(why) => {
                    perhaps = true;
                    self.shared.fails(&request.path, &why, sent);
                }
                Tried::NotNow(why) => self.shared.fails(&request.path, &why, sent),
            }
            tokio::time::sleep(AGAIN).await;
        }
        // An earlier attempt may come to something yet.
        if perhaps && outcome == Outcome::Refused {
            outcome = Outcome::Unknown;
        }
        if let (Deed::Place(_), Outcome::Order { order, .. }, None) = (&request.deed, &outcome, &self.shard) {
            self.orders.push(order.id.clone());
            if self.orders.len() > OPEN_ORDERS {
                let forgotten = self.random.random_range(0..self.orders.len());
                self.orders.swap_remove(forgotten);
            }
        }
        if outcome != Outcome::Unknown {
            self.shared.known.send_modify(|known| *known += 1);
        }
        let end = self.shared.tick();
        self.shared.history.lock().calls.push(Call { begin, end, deed: request.deed, outcome });
    }

    async fn attempt(&mut self, request: &Request) -> Tried {
        let (http, wait) = match &self.shard {
            Some(_) => (self.shared.asked.read().clone(), SHOPPERS_ANSWER),
            None => (self.shared.all.clone(), ANSWER),
        };
        // Not in turn: who all wait for the same would all ask the same again.
        let http = http.one(self.random.random::<u32>() as usize);
        let mut sent = http.request(request.method.clone(), &request.path);
        if let Some(body) = &request.body {
            sent = sent.header("idempotency-key", &request.key).json(body);
        }
        let lost = if request.body.is_some() { Tried::Lost } else { Tried::NotNow };
        let answer = match timeout(wait, http.send(sent)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return lost(format!("{error:?}")),
            Err(_) => return lost("no answer in time".to_owned()),
        };
        let said = || format!("{} {}", answer.status, answer.body);
        match (answer.status, &request.deed) {
            (200..300, deed) => Tried::Came(came_of(&answer, deed)),
            (404, Deed::ReadOrder(_) | Deed::ReadItem(_)) => Tried::Came(Outcome::Absent),
            // Whoever is not there any more has been lost: nobody expects that.
            (400 | 409 | 422, _) => Tried::Came(Outcome::Refused),
            (429 | 507, _) => Tried::NotNow(said()),
            (500.., _) => lost(said()),
            _ => panic!("nobody expects such an answer to {:?}: {answer:?}", request.deed),
        }
    }
}

/// What an answer tells that is no refusal.
fn came_of(answer: &Answer, deed: &Deed) -> Outcome {
    let read = matches!(deed, Deed::ReadOrder(_) | Deed::ReadItem(_));
    let changed = !read && answer.header("idempotent-replayed") != "true";
    match deed {
        Deed::ReadItem(_) | Deed::Adjust(..) => Outcome::Item { item: item_of(&answer.json()), changed },
        Deed::Cancel(_) => {
            let CancelResult { outcome, order } = answer.json();
            Outcome::Order { order: order_of(&order), changed: changed && outcome == CancelOutcome::Done }
        }
        _ => Outcome::Order { order: order_of(&answer.json()), changed },
    }
}
