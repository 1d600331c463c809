//! A whole cluster in one thread and in simulated time: members on a store that fails, customers, one who
//! follows the feed, and everything that goes wrong, all of it drawn from one seed.
//!
//! Every part of the server runs as it does in a process: the store's protocol, membership, connections,
//! routing, shards. What stands in is the service below, the network and the clocks. What the clients
//! were told is checked as that of real processes is; when the faults are over, everything has to settle.

mod customer;
mod end;
mod faults;
mod follower;
mod log;
mod machine;
mod network;
mod panics;
mod seen;
mod settings;
mod splits;
mod world;

use std::sync::Arc;
use std::time::Duration;

use ordermill_journal::FORMAT;
use ordermill_members::Formats;
use tokio::time::{Instant, sleep};

use self::customer::{Customer, sku};
use self::follower::Follower;
pub use self::log::Counts;
use self::log::Log;
use self::machine::Parts;
use self::network::Net;
#[cfg(feature = "planted-faults")]
pub use self::settings::Planted;
pub use self::settings::Settings;
use self::world::World;
use crate::{Lots, Mvcc};

/// The cluster that all keys belong to.
const CLUSTER: u32 = 7;
/// Longer than any simulation takes.
const FOR_EVER: Duration = Duration::from_hours(24);
/// What every member can read and write.
const FORMATS: Formats = Formats { min: FORMAT, max: FORMAT };

/// How a simulation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is wrong; nothing, if every promise was kept.
    pub wrong: Vec<String>,
    /// What happened, line by line.
    pub log: Vec<String>,
    /// How much of what.
    pub counts: Counts,
    /// Calls of the store's service.
    pub calls: u64,
    /// Depends on every call of the service, its time and its outcome.
    pub digest: u64,
}

/// The simulation of `seed`.
pub fn run(seed: u64, settings: &Settings) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread needs nothing that can be missing");
    panics::watch();
    let mut report = runtime.block_on(simulate(seed, settings));
    drop(runtime);
    report.wrong.extend(panics::seen().into_iter().map(|panic| format!("something has panicked: {panic}")));
    report
}

async fn simulate(seed: u64, settings: &Settings) -> Report {
    let mut lots = Lots::of(seed);
    let service = Arc::new(Mvcc::new(lots.below(5) as usize));
    let (way_us, slow) = (100 + lots.skewed(0, 8_000), lots.below(3) * 10);
    let net = Net::new(lots.branch(), way_us, slow);
    let parts = Parts { service: service.clone(), net, origin: Instant::now(), settings: settings.clone() };
    let plan = if settings.faults { faults::plan(&mut lots) } else { crate::Plan::calm() };
    let size = (2 + lots.below(7), [200, 600, 600, 2_500][lots.below(4) as usize]);
    let world = Arc::new(World::new(Log::new(), parts, plan, size));
    for seat in 1..=settings.members {
        world.reserve(seat);
        world.start(seat, &mut lots, FORMATS).await;
    }
    let items: Vec<String> = (0..world.items).map(sku).collect();
    for sku in &items {
        end::set_item(&world, sku, lots.skewed(5, 60), lots.below(3) == 0, &mut lots).await;
    }
    let customers = (0..settings.customers).map(|index| Customer {
        name: format!("customer-{index}"),
        world: world.clone(),
        lots: lots.branch(),
        orders: Vec::new(),
        requests: 0,
    });
    let customers: Vec<_> = customers.map(|customer| tokio::spawn(customer.run())).collect();
    let follower = Follower { world: world.clone(), lots: lots.branch(), cursor: None };
    let follower = tokio::spawn(follower.run());
    let breaking = settings.faults.then(|| tokio::spawn(faults::run(world.clone(), lots.branch())));
    let splitting = settings.splits.then(|| tokio::spawn(splits::run(world.clone(), Lots::of(!seed))));
    let end = Instant::now() + settings.time;
    while Instant::now() < end && !panics::any() {
        sleep(Duration::from_secs(1)).await;
    }
    world.stop();
    if let Some(breaking) = breaking {
        let _ = breaking.await;
    }
    if let Some(splitting) = splitting {
        let _ = splitting.await;
    }
    world.calm();
    world.log.tell(format_args!("-- nothing goes wrong from now on"));
    for customer in customers {
        let _ = customer.await;
    }
    if let Ok(follower) = follower.await {
        end::settle(&world, follower, &mut lots).await;
    }
    let (wrong, history, log, counts) = end::look(&world, &items, &mut lots).await;
    let _ = history;
    Report { wrong, log, counts, calls: service.calls(), digest: service.digest() }
}
