//! What everybody in a simulation shares: the members that run, and how new ones are started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ordermill_order::OrderId;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::build::{Build, OLDER};
use super::log::Log;
use super::machine::{Machine, Parts};
use super::network::Node;
use crate::{Lots, Plan};

/// Where a member runs; it is restarted there as another run.
pub(super) type Seat = u64;

/// Orders that everybody knows.
const SHARED: usize = 12;
/// How far two clocks may be apart by which an order is made and runs out.
const CLOCKS: Duration = Duration::from_secs(11);

/// What everybody shares.
pub(super) struct World {
    pub(super) log: Log,
    pub(super) parts: Parts,
    /// Items that orders are about.
    pub(super) items: u64,
    /// Longest rest of a customer between two requests; mostly less.
    pub(super) rhythm_ms: u64,
    /// What goes wrong with the store.
    plan: Mutex<Plan>,
    machines: Mutex<BTreeMap<Seat, Arc<Machine>>>,
    /// Seats at which somebody runs, or is about to.
    reserved: Mutex<BTreeSet<Seat>>,
    /// The build that runs at each seat; the older one where nothing was said.
    builds: Mutex<BTreeMap<Seat, Build>>,
    /// The newest orders of everybody.
    orders: Mutex<Vec<OrderId>>,
    /// Orders that shall run out: when they were placed first, and after how long.
    expiring: Mutex<BTreeMap<String, (Instant, Duration)>>,
    runs: AtomicU64,
    stopped: AtomicBool,
}

impl World {
    pub(super) fn new(log: Log, parts: Parts, plan: Plan, (items, rhythm_ms): (u64, u64)) -> Self {
        Self {
            log,
            parts,
            items,
            rhythm_ms,
            plan: Mutex::new(plan),
            machines: Mutex::default(),
            reserved: Mutex::default(),
            builds: Mutex::default(),
            orders: Mutex::default(),
            expiring: Mutex::default(),
            runs: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Nobody asks for anything new.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Members that run, by seat.
    pub(super) fn machines(&self) -> BTreeMap<Seat, Arc<Machine>> {
        self.machines.lock().clone()
    }

    /// One of the members that run.
    pub(super) fn any_machine(&self, lots: &mut Lots) -> Option<Arc<Machine>> {
        let machines = self.machines.lock();
        let place = lots.below(machines.len() as u64) as usize;
        machines.values().nth(place).cloned()
    }

    /// Keeps `seat` for one member; says whether it was free.
    pub(super) fn reserve(&self, seat: Seat) -> bool {
        self.reserved.lock().insert(seat)
    }

    /// Takes the member at `seat` out, whose seat stays reserved: nobody asks it any more.
    pub(super) fn take(&self, seat: Seat) -> Option<Arc<Machine>> {
        self.machines.lock().remove(&seat)
    }

    /// Takes this very member out, if it is still there; says whether it was.
    pub(super) fn take_this(&self, seat: Seat, machine: &Machine) -> bool {
        let mut machines = self.machines.lock();
        let here = machines.get(&seat).is_some_and(|now| now.node == machine.node);
        if here {
            machines.remove(&seat);
        }
        here
    }

    /// Whoever is started at `seat` from now on runs `build`.
    pub(super) fn wants(&self, seat: Seat, build: Build) {
        self.builds.lock().insert(seat, build);
    }

    /// Makes an order everybody's.
    pub(super) fn share(&self, id: OrderId) {
        let mut orders = self.orders.lock();
        if orders.len() == SHARED {
            orders.remove(0);
        }
        orders.push(id);
    }

    /// One of the newest orders of everybody.
    pub(super) fn any_order(&self, lots: &mut Lots) -> Option<OrderId> {
        let orders = self.orders.lock();
        orders.get(lots.below(orders.len() as u64) as usize).copied()
    }

    /// An order that is about to be placed runs out after `time`.
    pub(super) fn expires(&self, name: &str, time: Duration) {
        self.expiring.lock().insert(name.to_owned(), (Instant::now(), time));
    }

    /// Names of orders that run out.
    pub(super) fn expiring(&self) -> BTreeSet<String> {
        self.expiring.lock().keys().cloned().collect()
    }

    /// An order has run out: was it time?
    pub(super) fn check_expiry(&self, name: &str) {
        let due = self.expiring.lock().get(name).map(|(placed, time)| *placed + *time);
        if due.is_some_and(|due| Instant::now() + CLOCKS < due) {
            self.log.wrong(format!("{name} has run out too early"));
        }
    }

    /// Starts a member at `seat`, which was reserved for it, again and again until one has joined.
    pub(super) async fn start(&self, seat: Seat, lots: &mut Lots) {
        loop {
            let build = self.builds.lock().get(&seat).copied().unwrap_or(OLDER);
            let node: Node = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
            let skew_ms = lots.below(1_000) as i64 - 500;
            let faults = (*self.plan.lock(), lots.next());
            match Machine::start(&self.parts, node, faults, skew_ms, build).await {
                Ok(machine) => {
                    self.log.tell(format_args!("-- {node} has joined at seat {seat}, build {build}"));
                    self.machines.lock().insert(seat, machine);
                    return;
                }
                Err(why) => self.log.tell(format_args!("-- {node} cannot join at seat {seat}: {why}")),
            }
            sleep(Duration::from_millis(lots.skewed(100, 2_000))).await;
        }
    }

    /// Nothing goes wrong any more, with those that run and with those that are yet to be started.
    pub(super) fn calm(&self) {
        *self.plan.lock() = Plan::calm();
        self.parts.net.calm();
        self.machines().values().for_each(|machine| machine.calm());
    }
}
