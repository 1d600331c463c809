//! What everybody in a simulation shares: the members that run, and how new ones are started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ordermill_members::Formats;
use parking_lot::Mutex;
use tokio::time::sleep;

use super::log::Log;
use super::machine::{Machine, Parts};
use super::network::Node;
use crate::{Lots, Plan};

/// Where a member runs; it is restarted there as another run.
pub(super) type Seat = u64;

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

    /// Starts a member at `seat`, which was reserved for it, again and again until one has joined.
    pub(super) async fn start(&self, seat: Seat, lots: &mut Lots, formats: Formats) {
        loop {
            let node: Node = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
            let skew_ms = lots.below(1_000) as i64 - 500;
            let faults = (*self.plan.lock(), lots.next());
            match Machine::start(&self.parts, node, faults, skew_ms, formats).await {
                Ok(machine) => {
                    self.log.tell(format_args!("-- {node} has joined at seat {seat}"));
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
