//! Those who write: customers with the steps on their orders, and an import.

use std::sync::Arc;

use ordermill_api::{CancelOutcome, CancelResult, ImportResult, ImportStatus, Money, Order, ProblemKind};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OwnedRwLockReadGuard;

use super::books::Effect;
use super::{ITEMS, Shared, sku};
use crate::process::{Answer, problem, until};

/// Lines of one request of the import, ...
const IMPORT_LINES: usize = 60;
/// ... and the pieces of work that it counts for.
const IMPORT_PIECES: u32 = 20;
/// Orders of a customer that further steps are taken on.
const OPEN_ORDERS: usize = 8;

impl Shared {
    /// Sends a request, again and again until it is answered with more than a request for patience.
    async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let send = || async {
            let answer = self.http.try_post(path, body, headers).await.map_err(|error| format!("{error:?}"))?;
            if matches!(answer.status, 429 | 503 | 507) {
                problem(&answer);
                return Err(answer.body);
            }
            Ok(answer)
        };
        until(&format!("an answer to {path} {body}"), send).await
    }

    /// Waits for leave to do so much; none when no more shall be done.
    async fn begin(&self, pieces: u32) -> Option<OwnedRwLockReadGuard<()>> {
        self.allowed.acquire_many(pieces).await.ok()?.forget();
        Some(Arc::clone(&self.work).read_owned().await)
    }

    fn acknowledge(&self, pieces: u32) {
        self.acknowledged.send_modify(|acknowledged| *acknowledged += u64::from(pieces));
    }
}

fn lines(random: &mut StdRng) -> Value {
    let count = random.random_range(1..4);
    (0..count)
        .map(|_| {
            let (sku, quantity) = (sku(random.random_range(0..ITEMS)), random.random_range(1..4));
            json!({"sku": sku, "quantity": quantity, "unit_price": {"amount": 250, "currency": "GBP"}})
        })
        .collect()
}

/// A customer, now and then a guest.
pub(super) struct Writer {
    shared: Shared,
    number: usize,
    random: StdRng,
    /// Orders, keys and adjustments so far.
    count: usize,
    open: Vec<Order>,
}

impl Writer {
    pub(super) fn new(shared: Shared, number: usize, seed: u64) -> Self {
        Self { shared, number, random: StdRng::seed_from_u64(seed), count: 0, open: Vec::new() }
    }

    pub(super) async fn run(mut self) {
        while let Some(_working) = self.shared.begin(1).await {
            match self.random.random_range(0..10) {
                0 => self.adjust().await,
                1..5 => self.place().await,
                _ if self.open.is_empty() => self.place().await,
                _ => self.step().await,
            }
            self.shared.acknowledge(1);
        }
    }

    fn key(&mut self) -> String {
        self.count += 1;
        format!("{}-{}", self.number, self.count)
    }

    async fn place(&mut self) {
        let key = self.key();
        let mut body = json!({"reference": format!("web-{key}"), "lines": lines(&mut self.random)});
        if self.random.random_range(0..8) > 0 {
            body["customer"] = json!(format!("customer-{}", self.number));
        }
        let headers = [("idempotency-key", &*key)];
        let send = || self.shared.post("/v1/orders", &body, &headers);
        // Now and then twice at once, or once more: it is one order all the same.
        let (answer, other) = match self.random.random_range(0..10) {
            0 => {
                let (answer, other) = tokio::join!(send(), send());
                (answer, Some(other))
            }
            1 => {
                let (answer, other) = (send().await, send().await);
                assert_eq!(other.header("idempotent-replayed"), "true", "{other:?}");
                (answer, Some(other))
            }
            _ => (send().await, None),
        };
        for answer in [other, Some(answer)].into_iter().flatten() {
            assert!(matches!(answer.status, 201 | 202), "{answer:?}");
            let order: Order = answer.json();
            self.shared.books.lock().answered(order.clone(), Effect::Nothing);
            self.open.retain(|known| known.id != order.id);
            self.open.push(order);
        }
        if self.open.len() > OPEN_ORDERS {
            let forgotten = self.random.random_range(0..self.open.len());
            self.open.swap_remove(forgotten);
        }
    }

    async fn step(&mut self) {
        let at = self.random.random_range(0..self.open.len());
        let order = self.open[at].clone();
        let price = Money { amount: 100, currency: "GBP".to_owned() };
        let one = json!([{"line": 1, "quantity": 1}]);
        let (verb, body, effect) = match self.random.random_range(0..8) {
            0 | 1 => ("payments", json!({"action": "authorize", "amount": order.total}), Effect::Nothing),
            2 | 3 => ("payments", json!({"action": "capture", "amount": price}), Effect::Captured(price.amount)),
            4 | 5 => ("fulfillments", json!({"lines": one}), Effect::Shipped(1)),
            6 => ("returns", json!({"lines": one, "restock": self.random.random::<bool>()}), Effect::Returned(1)),
            _ => ("cancel", json!({"reason": "changed my mind"}), Effect::Cancelled),
        };
        let (key, id) = (self.key(), order.id.expect("an order has an id"));
        let path = format!("/v1/orders/{id}/{verb}");
        let answer = self.shared.post(&path, &body, &[("idempotency-key", &key)]).await;
        let order = match (answer.status, verb) {
            (200, "cancel") => {
                let CancelResult { outcome, order } = answer.json();
                let effect = if outcome == CancelOutcome::Done { effect } else { Effect::Nothing };
                self.shared.books.lock().answered(order.clone(), effect);
                order
            }
            (200, _) => {
                let order: Order = answer.json();
                self.shared.books.lock().answered(order.clone(), effect);
                order
            }
            _ => {
                // More than is held or has left does not fit.
                let refused = matches!(problem(&answer), ProblemKind::StateConflict | ProblemKind::InvalidRequest);
                assert!(refused, "{answer:?}");
                return;
            }
        };
        self.open[at] = order;
    }

    async fn adjust(&mut self) {
        let (sku, units) = (sku(self.random.random_range(0..ITEMS)), self.random.random_range(1..20));
        let key = self.key();
        let path = format!("/v1/items/{sku}/adjustments");
        self.shared.post(&path, &json!({"delta": units}), &[("idempotency-key", &key)]).await.expect(200);
        self.shared.books.lock().received(&sku, units);
    }
}

/// One import after the other.
pub(super) struct Importer {
    shared: Shared,
    random: StdRng,
    count: usize,
}

impl Importer {
    pub(super) fn new(shared: Shared, seed: u64) -> Self {
        Self { shared, random: StdRng::seed_from_u64(seed), count: 0 }
    }

    pub(super) async fn run(mut self) {
        while let Some(_working) = self.shared.begin(IMPORT_PIECES).await {
            let orders: Vec<Value> = (0..IMPORT_LINES).map(|_| self.order()).collect();
            let body: String = orders.iter().map(|order| format!("{order}\n")).collect();
            let results = until("an import that is answered to its end", || self.send(&body)).await;
            let mut books = self.shared.books.lock();
            for (order, result) in orders.iter().zip(&results) {
                let text = |name: &str| order[name].as_str().map(str::to_owned);
                assert_eq!(result.reference, text("reference"));
                let id = result.id.as_deref().unwrap_or_else(|| panic!("an order without an id: {result:?}"));
                books.placed((text("customer"), text("reference").expect("every order has one")), id);
            }
            drop(books);
            self.shared.acknowledge(IMPORT_PIECES);
        }
    }

    fn order(&mut self) -> Value {
        self.count += 1;
        let (customer, reference) = (format!("buyer-{}", self.count % 50), format!("file-{}", self.count));
        let fulfilled = self.random.random::<bool>();
        json!({"customer": customer, "reference": reference, "lines": lines(&mut self.random), "fulfilled": fulfilled})
    }

    /// The results; an error if the answer broke off, or lines have to wait.
    async fn send(&self, body: &str) -> Result<Vec<ImportResult>, String> {
        let request = self.shared.http.request(Method::POST, "/v1/orders/import");
        let request = request.header("content-type", "application/x-ndjson").body(body.to_owned());
        let answer = self.shared.http.send(request).await.map_err(|error| format!("{error:?}"))?;
        if answer.status != 200 {
            assert!(matches!(answer.status, 429 | 503 | 507), "{answer:?}");
            return Err(answer.body);
        }
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let results: Vec<ImportResult> = answer.body.lines().map(parse).collect();
        assert_eq!(results.len(), IMPORT_LINES, "an answer that ended well");
        let Some(refused) = results.iter().find(|result| result.result == ImportStatus::Refused) else {
            return Ok(results);
        };
        let kind = refused.problem.as_deref().and_then(ProblemKind::from_uri);
        assert!(matches!(kind.map(ProblemKind::status), Some(429 | 503 | 507)), "{refused:?}");
        Err(format!("{refused:?}"))
    }
}
