//! One request of a client's, sent once, and what one attempt ends with.

use std::time::Duration;

use ordermill_history::{Deed, Outcome as Came};
use ordermill_order::{Action, Command, Order, OrderId, Outcome, Refusal, Reservation};
use ordermill_routing::{Error, Router};

use super::machine::Machine;
use super::seen::{came_of, item_of, order_of};
use super::world::World;

/// How long a create waits for its decision.
const DECISION: Duration = Duration::from_secs(8);

/// A request as it is sent, again and again if need be.
pub(super) struct Request {
    pub(super) deed: Deed,
    pub(super) send: Send,
}

pub(super) enum Send {
    Command(Command),
    Order(OrderId),
    Item(String),
}

/// What one attempt ended with.
pub(super) enum Tried {
    Came(Came),
    /// It may have happened.
    Lost(String),
    /// It has not happened.
    NotNow(String),
}

/// Sends a request to a machine, and waits for its answer for so long.
pub(super) async fn attempted(world: &World, machine: &Machine, send: &Send, longest: Duration) -> Tried {
    let answered = machine.ask(longest, send_to(world, &machine.router, send)).await;
    match answered {
        Ok(tried) => tried,
        Err(lost) => Tried::Lost(format!("{lost:?}")),
    }
}

async fn send_to(world: &World, router: &Router, send: &Send) -> Tried {
    let read = matches!(send, Send::Order(_) | Send::Item(_));
    let answered = match send {
        Send::Command(command) => {
            let Command { tenant, idempotency, action } = command.clone();
            let done = match action {
                Action::Create(new) => router.create(tenant, idempotency, *new, DECISION).await,
                action => router.apply(Command { tenant, idempotency, action }).await,
            };
            done.map(|outcome| {
                if let Outcome::Order { order, .. } | Outcome::Cancelled { order, .. } = &outcome {
                    check_expiry(world, order);
                }
                came_of(outcome, &command.action)
            })
        }
        Send::Order(id) => router.order("".into(), *id).await.map(|order| match order {
            Some(order) => {
                check_expiry(world, &order);
                Came::Order { order: order_of(&order), changed: false }
            }
            None => Came::Absent,
        }),
        Send::Item(sku) => router.item("".into(), sku).await.map(|item| match item {
            Some(item) => Came::Item { item: item_of(sku, &item), changed: false },
            None => Came::Absent,
        }),
    };
    match answered {
        Ok(came) => Tried::Came(came),
        Err(Error::Refused(Refusal::VersionMismatch { current })) => Tried::Came(Came::Mismatch(current)),
        Err(Error::Refused(_)) => Tried::Came(Came::Refused),
        Err(Error::Busy | Error::Full(_)) => Tried::NotNow("busy".to_owned()),
        Err(error) if read => Tried::NotNow(error.to_string()),
        Err(error) => Tried::Lost(error.to_string()),
    }
}

/// An order does not run out before its time.
fn check_expiry(world: &World, order: &Order) {
    if order.reservation == Reservation::Expired {
        world.check_expiry(&order_of(order).name);
    }
}
