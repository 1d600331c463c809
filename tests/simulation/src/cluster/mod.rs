//! A whole cluster in one thread and in simulated time: members on a store that fails, customers, one who
//! follows the feed, and everything that goes wrong, all of it drawn from one seed.
//!
//! Every part of the server runs as it does in a process: the store's protocol, membership, connections,
//! routing, shards. What stands in is the service below, the network and the clocks. What the clients
//! were told is checked as that of real processes is; when the faults are over, everything has to settle.

mod build;
mod customer;
mod end;
mod faults;
mod follower;
mod log;
mod machine;
mod network;
mod panics;
mod request;
mod seen;
mod settings;
mod splits;
mod upgrade;
mod watcher;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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
use self::watcher::Watcher;
use self::world::World;
use crate::{Lots, Mvcc};

/// The cluster that all keys belong to.
const CLUSTER: u32 = 7;
/// Longer than any simulation takes.
const FOR_EVER: Duration = Duration::from_hours(24);

/// How a simulation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is wrong; nothing, if every promise was kept.
    pub wrong: Vec<String>,
    /// What happened, line by line.
    pub log: Vec<String>,
    /// How much of what.
    pub counts: Counts,
    /// What went wrong with the store, the members and their network, and what the cluster was made to do, by
    /// name: how often.
    pub happened: BTreeMap<&'static str, u64>,
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
    let retention = [Duration::from_secs(15), Duration::from_secs(25), Duration::from_hours(1)];
    let parts = Parts {
        service: service.clone(),
        net,
        origin: Instant::now(),
        settings: settings.clone(),
        retention: retention[lots.below(3) as usize],
        written: Arc::default(),
    };
    let plan = if settings.faults { faults::plan(&mut lots) } else { crate::Plan::calm() };
    let size = (2 + lots.below(7), [200, 600, 600, 2_500][lots.below(4) as usize]);
    let world = Arc::new(World::new(Log::new(), parts, plan, size));
    for seat in 1..=settings.members {
        world.reserve(seat);
        world.start(seat, &mut lots).await;
    }
    let items: Vec<String> = (0..world.items).map(sku).collect();
    for sku in &items {
        end::set_item(&world, sku, lots.skewed(5, 60), lots.below(3) == 0, &mut lots).await;
    }
    let gone = live(&world, (seed, settings), &mut lots).await;
    let mut report = end::look(&world, &items, gone, &mut lots).await;
    (report.calls, report.digest) = (service.calls(), service.digest());
    report
}

/// Everybody does what they do, and things go wrong, until the time is over; then all settles. Says whether
/// events are missing at the end because their records were trimmed.
async fn live(world: &Arc<World>, (seed, settings): (u64, &Settings), lots: &mut Lots) -> bool {
    let restarts = tokio::spawn(upgrade::restart(world.clone(), lots.branch()));
    let mut clients = Vec::new();
    for index in 0..settings.customers {
        let customer = Customer::new(format!("customer-{index}"), world.clone(), lots.branch());
        clients.push(tokio::spawn(customer.run()));
    }
    for _ in 0..settings.watchers {
        clients.push(tokio::spawn(Watcher { world: world.clone(), lots: lots.branch() }.run()));
    }
    let follower = tokio::spawn(Follower::new(world.clone(), lots.branch()).run());
    let mut breaking = Vec::new();
    if settings.faults {
        breaking.push(tokio::spawn(faults::run(world.clone(), lots.branch())));
    }
    if !settings.faults || lots.below(2) == 0 {
        breaking.push(tokio::spawn(upgrade::run(world.clone(), lots.branch())));
    }
    if settings.splits {
        breaking.push(tokio::spawn(splits::run(world.clone(), Lots::of(!seed))));
    }
    let end = Instant::now() + settings.time;
    while Instant::now() < end && !panics::any() {
        sleep(Duration::from_secs(1)).await;
    }
    world.stop();
    for breaking in breaking {
        let _ = breaking.await;
    }
    world.calm();
    world.log.tell(format_args!("-- nothing goes wrong from now on"));
    for client in clients {
        let _ = client.await;
    }
    let Ok(follower) = follower.await else { return true };
    let gone = end::settle(world, follower, lots).await;
    restarts.abort();
    gone
}
