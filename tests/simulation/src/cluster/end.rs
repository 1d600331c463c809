//! The beginning and the end of a simulation: items are set; everything settles; all of it is looked at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ordermill_history::{Beside, Item, check_with};
use ordermill_members::State;
use ordermill_order::{Action, Command, Order, Refusal, Reservation};
use ordermill_routing::{Error, OrderFilter, Router, Status};
use ordermill_store::ShardId;
use ordermill_transactional::keys::Keys;
use ordermill_transactional::stored::Mark;
use tokio::time::{Instant, sleep};

use super::follower::Follower;
use super::log::Ended;
use super::seen::{item_of, order_of};
use super::world::World;
use super::{CLUSTER, Report, panics};
use crate::Lots;

/// Longest time until everything has settled once nothing goes wrong any more.
const SETTLED: Duration = Duration::from_mins(3);
/// Until what was still under way has arrived, or never will.
const LATE: Duration = Duration::from_millis(2 * super::faults::LATE_MS);
/// Empty pages in a row that end the feed.
const EMPTY_PAGES: u32 = 5;
/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_mins(1);

/// Sets an item for the first time, whatever it takes.
pub(super) async fn set_item(world: &World, sku: &str, on_hand: u64, backorder: bool, lots: &mut Lots) {
    loop {
        if let Some(machine) = world.any_machine(lots) {
            let action = Action::PutItem { sku: sku.into(), on_hand, backorder, if_version: Some(0) };
            let command = Command { tenant: "".into(), idempotency: None, action };
            match machine.ask(ANSWER, machine.router.apply(command)).await {
                Ok(Ok(_) | Err(Error::Refused(Refusal::VersionMismatch { .. }))) => break,
                other => world.log.tell(format_args!("{sku} is not set yet: {other:?}")),
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
    world.log.tell(format_args!("{sku} has {on_hand}, backorder: {backorder}"));
    world.log.set(sku, on_hand as i64);
}

/// Waits until all is at rest; tells what is not when that takes too long. Says whether events are missing at
/// the end.
pub(super) async fn settle(world: &Arc<World>, mut follower: Follower, lots: &mut Lots) -> bool {
    if panics::any() {
        return true;
    }
    sleep(LATE).await;
    let deadline = Instant::now() + SETTLED;
    loop {
        let restless = restless(world, lots).await;
        let Some(why) = restless else { break };
        if panics::any() {
            return true;
        }
        if Instant::now() >= deadline {
            world.log.wrong(format!("nothing goes wrong any more, and it does not settle: {why}"));
            return true;
        }
        sleep(Duration::from_millis(500)).await;
    }
    world.log.tell(format_args!("-- everything has settled"));
    // An empty page says that there is nothing new as far as the member that was asked knows.
    let mut empty = 0;
    while Instant::now() < deadline {
        empty = if follower.read(500).await == Some(0) { empty + 1 } else { 0 };
        if empty == EMPTY_PAGES {
            return follower.gone;
        }
        sleep(Duration::from_millis(500)).await;
    }
    world.log.wrong("the feed does not end".to_owned());
    true
}

/// Why not all is at rest.
async fn restless(world: &World, lots: &mut Lots) -> Option<String> {
    let machines = world.machines();
    let alive: BTreeSet<u64> = machines.values().map(|machine| machine.node).collect();
    for machine in machines.values() {
        let node = machine.node;
        if machine.router.status() != Status::Serving {
            return Some(format!("{node} is {:?}", machine.router.status()));
        }
        let Some(members) = machine.router.members() else { continue };
        let map = members.current();
        for shard in &map.shards {
            let at_rest = shard.state == State::Settled && shard.owner.is_some_and(|owner| alive.contains(&owner.0));
            if shard.split.is_some() {
                return Some(format!("{node} knows shard {} as one that is to be split", shard.id));
            }
            if !at_rest {
                return Some(format!("{node} knows shard {} as {:?} of {:?}", shard.id, shard.state, shard.owner));
            }
        }
    }
    let machine = world.any_machine(lots)?;
    let orders = match machine.ask(ANSWER, orders(&machine.router)).await {
        Ok(Ok(orders)) => orders,
        other => return Some(format!("{} does not list orders: {other:?}", machine.node)),
    };
    let busy = |order: &Arc<Order>| {
        order.reservation == Reservation::Undecided
            || order.expires_ms.is_some()
            || order.lines.iter().any(|line| line.in_flight.is_some())
    };
    orders.iter().find(|order| busy(order)).map(|order| format!("order {} is not settled: {order:?}", order.id))
}

async fn orders(router: &Router) -> Result<Vec<Arc<Order>>, Error> {
    let (mut all, mut token) = (Vec::new(), None::<String>);
    loop {
        let page = router.orders("".into(), &OrderFilter::default(), 50, token.as_deref()).await?;
        all.extend(page.orders);
        match page.next {
            Some(next) => token = Some(next),
            None => return Ok(all),
        }
    }
}

/// Looks at all that is there and checks it with all that was told. `gone`: events are missing, and may be.
pub(super) async fn look(world: &World, skus: &[String], gone: bool, lots: &mut Lots) -> Report {
    let (mut found, mut items) = (None, Vec::new());
    if panics::any() {
        return end(world, None, items, gone);
    }
    if let Some(machine) = world.any_machine(lots) {
        match machine.ask(ANSWER, orders(&machine.router)).await {
            Ok(Ok(orders)) => found = Some(orders),
            other => world.log.wrong(format!("{} does not list orders at the end: {other:?}", machine.node)),
        }
        for sku in skus {
            match machine.ask(ANSWER, machine.router.item("".into(), sku)).await {
                Ok(Ok(Some(item))) => items.push(item_of(sku, &item)),
                other => world.log.wrong(format!("{} does not read {sku} at the end: {other:?}", machine.node)),
            }
        }
    } else {
        world.log.wrong("no member runs at the end".to_owned());
    }
    world.parts.written.check(&world.parts.service).into_iter().for_each(|wrong| world.log.wrong(wrong));
    end(world, found, items, gone)
}

/// How far the journals were trimmed, in records: as their marks say, and as far as they were seen to be gone.
fn trimmed(world: &World) -> (u64, u64) {
    let keys = Keys { cluster: CLUSTER };
    let marks = (0..world.parts.settings.shards).map(|shard| {
        let stored = world.parts.service.latest(&keys.trim(ShardId(shard)));
        Mark::decode(stored.as_ref()).unwrap_or_default()
    });
    marks.fold((0, 0), |(through, gone), mark| (through + mark.through, gone + mark.gone))
}

fn end(world: &World, orders: Option<Vec<Arc<Order>>>, items: Vec<Item>, gone: bool) -> Report {
    let Ended { mut wrong, mut history, mut lines, counts, mut happened } = world.log.end();
    let parts = &world.parts;
    happened.extend(parts.service.tally().all());
    let (through, deleted) = trimmed(world);
    happened.extend(parts.written.happened());
    happened.extend([("late ways", parts.net.late()), ("trimmed records", through), ("deleted records", deleted)]);
    if let Some(orders) = orders {
        let expired = orders.iter().filter(|order| order.reservation == Reservation::Expired);
        let expired: BTreeSet<String> = expired.map(|order| order.id.to_string()).collect();
        happened.insert("orders run out", expired.len() as u64);
        (history.orders, history.items) = (orders.iter().map(|order| order_of(order)).collect(), items);
        lines.extend(history.orders.iter().map(|order| format!("at the end: {order:?}")));
        lines.extend(history.items.iter().map(|item| format!("at the end: {item:?}")));
        // Where it has not settled, that is what is wrong.
        if wrong.is_empty() {
            wrong = check_with(&history, &Beside { gone, expiring: world.expiring(), expired });
        }
    }
    lines.extend(wrong.iter().map(|wrong| format!("!! {wrong}")));
    Report { wrong, log: lines, counts, happened, calls: 0, digest: 0 }
}
