//! The HTTP API of a running server, over one shard and over many.

mod coverage;
mod events;
mod items;
mod life;
mod orders;
mod site;

use ordermill_api::Order;
use ordermill_tests::process::{Answer, Http, Server, Settings, audit, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// With one shard a record settles an order; with many, messages do.
const SHARDS: [u32; 2] = [1, 64];

/// A server in a directory of its own.
struct Shop {
    _dir: TempDir,
    server: Server,
    http: Http,
}

impl Shop {
    /// A server with these items on its shelves.
    async fn open(shards: u32, items: &[(&str, u64)]) -> Self {
        println!("{shards} shards");
        let dir = TempDir::new().expect("a directory can be made");
        let server = Server::start(Settings::new(dir.path().join("data"), shards)).await;
        let http = server.http();
        for (sku, on_hand) in items {
            http.put(&format!("/v1/items/{sku}"), &json!({"on_hand": on_hand})).await.expect(201);
        }
        Self { _dir: dir, server, http }
    }

    /// Places an order.
    async fn place(&self, body: &Value) -> Order {
        self.http.post("/v1/orders", body, &[]).await.expect(201).json()
    }

    /// Takes a step on an order.
    async fn step(&self, order: &Order, verb: &str, body: &Value) -> Answer {
        self.http.post(&format!("{}/{verb}", path(order)), body, &[]).await
    }

    /// Takes a step on an order; it must be possible.
    async fn does(&self, order: &Order, verb: &str, body: &Value) -> Order {
        self.step(order, verb, body).await.expect(200).json()
    }

    /// What is on hand of an item, held, available and waited for.
    async fn stock(&self, sku: &str) -> (u64, u64, u64, u64) {
        let item: ordermill_api::Item = self.http.get(&format!("/v1/items/{sku}")).await.expect(200).json();
        (item.on_hand, item.held, item.available, item.backordered)
    }

    /// Waits for an order to be as it should.
    async fn wait_for(&self, order: &Order, is: impl Fn(&Order) -> bool) -> Order {
        let look = || async {
            let now: Order = self.http.get(&path(order)).await.expect(200).json();
            if is(&now) { Ok(now) } else { Err(format!("{now:?}")) }
        };
        until("the order to move on", look).await
    }

    /// Audits it, and stops it in order. It must have said nothing of errors.
    async fn close(self) {
        audit(&self.server.url()).await;
        let log = self.server.log();
        assert!(!log.contains("panicked") && !log.contains("ERROR"), "{log}");
        self.server.stop().await;
    }
}

/// Where an order is.
fn path(order: &Order) -> String {
    format!("/v1/orders/{}", order.id.as_deref().expect("an order has an id"))
}

/// An order of a customer at one pound a unit.
fn order(customer: &str, lines: &[(&str, u64)]) -> Value {
    let line = |(sku, quantity): &(&str, u64)| json!({"sku": sku, "quantity": quantity, "unit_price": pence(100)});
    json!({"customer": customer, "lines": lines.iter().map(line).collect::<Vec<_>>()})
}

fn pence(amount: u64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}
