//! Customers: they place orders and take steps on them, read, and adjust items, at whichever member.
//!
//! A request whose answer is lost is sent again with the same idempotency key, often to another member.
//! Some steps want the version that their customer has seen last; some orders are everybody's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ordermill_history::{Call, Deed, Outcome as Came};
use ordermill_order::id::{Class, Partition, fingerprint, identity};
use ordermill_order::order::LineUnits;
use ordermill_order::payment::{PaymentStep, Terms};
use ordermill_order::{Action, Command, IdempotencyKey, NewLine, NewOrder, OrderId, Step};
use tokio::time::sleep;

use super::request::{Request, Send, Tried, attempted};
use super::world::World;
use crate::Lots;

/// Longest wait for one answer: longer than most members take to find an owner.
const ANSWER: Duration = Duration::from_secs(12);
/// How often a request is sent before its client gives up.
const TRIES: u64 = 6;

/// The name of an item.
pub(super) fn sku(index: u64) -> String {
    format!("item-{index}")
}

/// A customer.
pub(super) struct Customer {
    name: String,
    world: Arc<World>,
    lots: Lots,
    /// Orders of its own.
    orders: Vec<OrderId>,
    /// Versions of orders as it has seen them last.
    versions: BTreeMap<String, u64>,
    /// Versions of items as it has seen them last, and the units on the shelf.
    shelves: BTreeMap<String, (u64, u64)>,
    requests: u64,
}

impl Customer {
    /// A customer that knows nothing yet.
    pub(super) fn new(name: String, world: Arc<World>, lots: Lots) -> Self {
        let (versions, shelves) = (BTreeMap::new(), BTreeMap::new());
        Self { name, world, lots, orders: Vec::new(), versions, shelves, requests: 0 }
    }

    /// Lives until everybody stops.
    pub(super) async fn run(mut self) {
        while !self.world.has_stopped() {
            let rest = self.lots.skewed(1, self.world.rhythm_ms);
            sleep(Duration::from_millis(rest)).await;
            let request = self.wish();
            self.call(request).await;
        }
    }

    fn key(&mut self) -> IdempotencyKey {
        self.requests += 1;
        let key = self.requests.to_string();
        IdempotencyKey { key: identity("", Class::Key, &self.name, &key), fingerprint: fingerprint(&[key.as_bytes()]) }
    }

    fn command(&mut self, deed: Deed, action: Action) -> Request {
        let command = Command { tenant: "".into(), idempotency: Some(self.key()), action };
        Request { deed, send: Send::Command(command) }
    }

    fn wish(&mut self) -> Request {
        let lot = self.lots.below(100);
        if self.orders.is_empty() || lot < 25 {
            return self.place();
        }
        match lot {
            25..60 => self.step(lot),
            60..75 => {
                let id = self.some_order();
                Request { deed: Deed::ReadOrder(id.to_string()), send: Send::Order(id) }
            }
            75..88 => {
                let sku = sku(self.lots.below(self.world.items));
                Request { deed: Deed::ReadItem(sku.clone()), send: Send::Item(sku) }
            }
            88..93 => self.put(),
            _ => {
                let (sku, delta) = (sku(self.lots.below(self.world.items)), self.lots.below(12) as i64 - 3);
                let action = Action::AdjustItem { sku: sku.as_str().into(), delta };
                self.command(Deed::Adjust(sku, delta), action)
            }
        }
    }

    /// An order of its own, mostly one of the newest, or one of everybody's.
    fn some_order(&mut self) -> OrderId {
        if self.lots.below(4) == 0
            && let Some(id) = self.world.any_order(&mut self.lots)
        {
            return id;
        }
        let some = self.orders.len() as u64;
        let newest = self.lots.skewed(0, some - 1);
        self.orders[(some - 1 - newest) as usize]
    }

    /// A step on an order, perhaps only in the version that was seen last.
    fn step(&mut self, lot: u64) -> Request {
        let id = self.some_order();
        let name = id.to_string();
        let one = || Some(vec![LineUnits { line: 0, units: 1 }]);
        let (deed, step) = match lot {
            25..33 => (Deed::Authorize(name, 100), Step::Pay(PaymentStep::Authorize(100), None)),
            33..39 => (Deed::Capture(name, 50), Step::Pay(PaymentStep::Capture(50), None)),
            39..50 => (Deed::Fulfil(name, 1), Step::Fulfil { lines: one(), tracking: None }),
            50..55 => {
                let restock = self.lots.below(2) == 0;
                (Deed::Return(name, 1), Step::Return { lines: one(), restock, reason: None })
            }
            _ => (Deed::Cancel(name), Step::Cancel { reason: None }),
        };
        let seen = self.versions.get(&id.to_string()).copied();
        let if_version = seen.filter(|_| self.lots.below(3) == 0);
        let deed = if_version.map_or(deed.clone(), |version| Deed::If(version, Box::new(deed)));
        self.command(deed, Action::Step { id, if_version, step })
    }

    /// Sets an item that it has seen, if nobody else has since.
    fn put(&mut self) -> Request {
        let sku = sku(self.lots.below(self.world.items));
        let Some((version, on_hand)) = self.shelves.get(&sku).copied() else {
            return Request { deed: Deed::ReadItem(sku.clone()), send: Send::Item(sku) };
        };
        let on_hand = (on_hand + self.lots.below(8)).saturating_sub(2);
        let deed = Deed::If(version, Box::new(Deed::Put(sku.clone(), on_hand)));
        let backorder = self.lots.below(3) == 0;
        self.command(deed, Action::PutItem { sku: sku.into(), on_hand, backorder, if_version: Some(version) })
    }

    fn place(&mut self) -> Request {
        let reference = format!("{}", self.requests + 1);
        let identity = identity("", Class::Reference, &self.name, &reference);
        let lines = (0..=self.lots.skewed(0, 3)).map(|_| NewLine {
            sku: sku(self.lots.below(self.world.items)).into(),
            quantity: self.lots.skewed(1, 4),
            unit_price: 100,
        });
        let lines: Vec<_> = lines.collect();
        let name = format!("{}/{reference}", self.name);
        let expires_in_ms = (self.lots.below(4) == 0).then(|| self.lots.skewed(1_000, 25_000));
        if let Some(expires_in_ms) = expires_in_ms {
            self.world.expires(&name, Duration::from_millis(expires_in_ms));
        }
        let prepaid = expires_in_ms.is_some() && self.lots.below(2) == 0;
        let new = NewOrder {
            partition: Partition::of("", Class::Customer, &self.name),
            customer: Some(self.name.as_str().into()),
            reference: Some((reference.as_str().into(), identity)),
            lines,
            currency: *b"GBP",
            terms: if prepaid { Terms::Prepaid } else { Terms::OnAccount },
            expires_in_ms,
            fulfilled: false,
            placed_ms: None,
        };
        self.command(Deed::Place(name), Action::Create(Box::new(new)))
    }

    /// Sends a request until its outcome is known, or it is given up.
    async fn call(&mut self, request: Request) {
        let begin = self.world.log.instant();
        let (mut outcome, mut perhaps) = (Came::Unknown, false);
        for attempt in 0..TRIES {
            if attempt > 0 {
                sleep(Duration::from_millis(self.lots.skewed(10, 3_000))).await;
            }
            let Some(machine) = self.world.any_machine(&mut self.lots) else { continue };
            let log = &self.world.log;
            let (who, node) = (&self.name, machine.node);
            if attempt == 0 {
                log.tell(format_args!("{who} asks {node}: {:?}", request.deed));
            }
            match attempted(&self.world, &machine, &request.send, ANSWER).await {
                Tried::Came(came) => {
                    log.tell(format_args!("{who} hears from {node}: {came:?}"));
                    outcome = came;
                    break;
                }
                Tried::Lost(why) => {
                    log.tell(format_args!("{who} hears nothing from {node}: {why}"));
                    perhaps = true;
                }
                Tried::NotNow(why) => log.tell(format_args!("{who} is put off by {node}: {why}")),
            }
        }
        // An earlier attempt may come to something yet.
        if perhaps && outcome == Came::Refused {
            outcome = Came::Unknown;
        }
        if let (Deed::Place(_), Came::Order { order, .. }) = (&request.deed, &outcome)
            && let Ok(id) = order.id.parse()
        {
            self.orders.push(id);
            self.world.share(id);
        }
        match &outcome {
            Came::Order { order, .. } => drop(self.versions.insert(order.id.clone(), order.version)),
            Came::Item { item, .. } => drop(self.shelves.insert(item.sku.clone(), (item.version, item.on_hand))),
            _ => {}
        }
        if let Deed::If(..) = &request.deed {
            match &outcome {
                Came::Order { changed: true, .. } | Came::Item { changed: true, .. } => {
                    self.world.log.happened("conditional changes");
                }
                Came::Mismatch(_) => self.world.log.happened("mismatches"),
                _ => {}
            }
        }
        self.world.log.count(|counts| match &outcome {
            Came::Order { changed: true, .. } if matches!(request.deed, Deed::Place(_)) => {
                counts.changes += 1;
                counts.orders += 1;
            }
            Came::Order { changed: true, .. } | Came::Item { changed: true, .. } => counts.changes += 1,
            Came::Order { .. } | Came::Item { .. } | Came::Absent => counts.reads += 1,
            Came::Refused | Came::Mismatch(_) => counts.refused += 1,
            Came::Unknown => counts.unknown += 1,
        });
        let end = self.world.log.instant();
        self.world.log.called(Call { begin, end, deed: request.deed, outcome });
    }
}
