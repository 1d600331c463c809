//! Customers: they place orders and take steps on them, read, and adjust items, at whichever member.
//!
//! A request whose answer is lost is sent again with the same idempotency key, often to another member.

use std::sync::Arc;
use std::time::Duration;

use ordermill_history::{Call, Deed, Outcome as Came};
use ordermill_order::id::{Class, Partition, fingerprint, identity};
use ordermill_order::order::LineUnits;
use ordermill_order::payment::{PaymentStep, Terms};
use ordermill_order::{Action, Command, IdempotencyKey, NewLine, NewOrder, OrderId, Step};
use ordermill_routing::{Error, Router};
use tokio::time::sleep;

use super::machine::Machine;
use super::seen::{came_of, item_of, order_of};
use super::world::World;
use crate::Lots;

/// Longest wait for one answer: longer than most members take to find an owner.
const ANSWER: Duration = Duration::from_secs(12);
/// How often a request is sent before its client gives up.
const TRIES: u64 = 6;
/// How long a create waits for its decision.
const DECISION: Duration = Duration::from_secs(8);

/// The name of an item.
pub(super) fn sku(index: u64) -> String {
    format!("item-{index}")
}

/// A customer.
pub(super) struct Customer {
    pub(super) name: String,
    pub(super) world: Arc<World>,
    pub(super) lots: Lots,
    /// Orders that it knows.
    pub(super) orders: Vec<OrderId>,
    pub(super) requests: u64,
}

/// A request as it is sent, again and again if need be.
struct Request {
    deed: Deed,
    send: Send,
}

enum Send {
    Command(Command),
    Order(OrderId),
    Item(String),
}

/// What one attempt ended with.
enum Tried {
    Came(Came),
    /// It may have happened.
    Lost(String),
    /// It has not happened.
    NotNow(String),
}

impl Customer {
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
        let some = self.orders.len() as u64;
        if some == 0 || lot < 25 {
            return self.place();
        }
        let newest = self.lots.skewed(0, some - 1);
        let id = self.orders[(some - 1 - newest) as usize];
        let name = id.to_string();
        let step = |step| Action::Step { id, if_version: None, step };
        let one = || Some(vec![LineUnits { line: 0, units: 1 }]);
        match lot {
            25..33 => self.command(Deed::Authorize(name, 100), step(Step::Pay(PaymentStep::Authorize(100), None))),
            33..39 => self.command(Deed::Capture(name, 50), step(Step::Pay(PaymentStep::Capture(50), None))),
            39..50 => self.command(Deed::Fulfil(name, 1), step(Step::Fulfil { lines: one(), tracking: None })),
            50..55 => {
                let restock = self.lots.below(2) == 0;
                self.command(Deed::Return(name, 1), step(Step::Return { lines: one(), restock, reason: None }))
            }
            55..60 => self.command(Deed::Cancel(name), step(Step::Cancel { reason: None })),
            60..80 => Request { deed: Deed::ReadOrder(name), send: Send::Order(id) },
            80..92 => {
                let sku = sku(self.lots.below(self.world.items));
                Request { deed: Deed::ReadItem(sku.clone()), send: Send::Item(sku) }
            }
            _ => {
                let (sku, delta) = (sku(self.lots.below(self.world.items)), self.lots.below(12) as i64 - 3);
                let action = Action::AdjustItem { sku: sku.as_str().into(), delta };
                self.command(Deed::Adjust(sku, delta), action)
            }
        }
    }

    fn place(&mut self) -> Request {
        let reference = format!("{}", self.requests + 1);
        let identity = identity("", Class::Reference, &self.name, &reference);
        let lines = (0..=self.lots.skewed(0, 3)).map(|_| NewLine {
            sku: sku(self.lots.below(self.world.items)).into(),
            quantity: self.lots.skewed(1, 4),
            unit_price: 100,
        });
        let new = NewOrder {
            partition: Partition::of("", Class::Customer, &self.name),
            customer: Some(self.name.as_str().into()),
            reference: Some((reference.as_str().into(), identity)),
            lines: lines.collect(),
            currency: *b"GBP",
            terms: Terms::OnAccount,
            expires_in_ms: None,
            fulfilled: false,
            placed_ms: None,
        };
        self.command(Deed::Place(format!("{}/{reference}", self.name)), Action::Create(Box::new(new)))
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
            match attempted(&machine, &request.send).await {
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

async fn attempted(machine: &Machine, send: &Send) -> Tried {
    let answered = machine.ask(ANSWER, send_to(&machine.router, send)).await;
    match answered {
        Ok(tried) => tried,
        Err(lost) => Tried::Lost(format!("{lost:?}")),
    }
}

async fn send_to(router: &Router, send: &Send) -> Tried {
    let read = matches!(send, Send::Order(_) | Send::Item(_));
    let answered = match send {
        Send::Command(command) => {
            let Command { tenant, idempotency, action } = command.clone();
            let done = match action {
                Action::Create(new) => router.create(tenant, idempotency, *new, DECISION).await,
                action => router.apply(Command { tenant, idempotency, action }).await,
            };
            done.map(|outcome| came_of(outcome, &command.action))
        }
        Send::Order(id) => router.order("".into(), *id).await.map(|order| match order {
            Some(order) => Came::Order { order: order_of(&order), changed: false },
            None => Came::Absent,
        }),
        Send::Item(sku) => router.item("".into(), sku).await.map(|item| match item {
            Some(item) => Came::Item { item: item_of(sku, &item), changed: false },
            None => Came::Absent,
        }),
    };
    match answered {
        Ok(came) => Tried::Came(came),
        Err(Error::Refused(_)) => Tried::Came(Came::Refused),
        Err(Error::Busy | Error::Full(_)) => Tried::NotNow("busy".to_owned()),
        Err(error) if read => Tried::NotNow(error.to_string()),
        Err(error) => Tried::Lost(error.to_string()),
    }
}
