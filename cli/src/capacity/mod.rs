//! What a load needs: members, shards, stores, network, disk and money, computed from what an order was measured to cost.
//!
//! A model with few terms, each of which docs/capacity.md explains and holds against the measurement. Asks no server.
//! What was not measured (what one store bears, prices) is a variable with a default that says so.

mod bounds;
mod costs;
pub mod page;

use ordermill_station::limits;
use serde::Serialize;

pub use bounds::Bound;
pub use costs::{Costs, Lines};

/// The load, and what it shall run on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// New orders per second at the peak.
    pub orders_per_s: f64,
    /// New orders per second over the whole day.
    pub average_per_s: f64,
    /// Lines of an order on average.
    pub lines: f64,
    /// Share of all orders that want the item which most want, 0 to 1.
    pub hottest: f64,
    /// Shards; as many as there should be when not given.
    pub shards: Option<u32>,
    /// Processors of a member.
    pub member_cpus: f64,
    /// Share of its processors that a member may use at the peak, 0 to 1.
    pub utilization: f64,
    /// How much faster its processors are than the ones of the measurement.
    pub cpu_factor: f64,
    /// From an append's start to its answer, read-back included, milliseconds.
    pub append_ms: f64,
    /// How long journals are kept, hours.
    pub retention_h: f64,
    /// How long settled orders are kept, days.
    pub keep_days: f64,
    /// Copies of everything in TiKV.
    pub replicas: f64,
    /// Raft writes per second that one store bears, those of followers included.
    pub store_writes_per_s: f64,
    /// Bytes per second that one store writes to its disk, MiB.
    pub store_disk_mib_per_s: f64,
    /// How often a store writes a byte to its disk: its raft log, its write-ahead log, levels of its tree.
    pub write_amplification: f64,
    /// Room of a store's disk that may be used, GiB.
    pub store_gib: f64,
    /// Processors of a store.
    pub store_cpus: f64,
    /// Timestamps per second that PD's leader gives out.
    pub pd_timestamps_per_s: f64,
    /// What things cost; nothing is said of money without.
    pub prices: Option<Prices>,
}

/// Prices in whatever currency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// One processor for an hour.
    pub cpu_hour: f64,
    /// A GiB on a store's disk for a month.
    pub gib_month: f64,
    /// A GiB between machines.
    pub traffic_gib: f64,
}

impl Default for Question {
    fn default() -> Self {
        Self {
            orders_per_s: 36_000.0,
            average_per_s: 12_000.0,
            lines: 2.0,
            hottest: 0.001,
            shards: None,
            member_cpus: 4.0,
            utilization: 0.6,
            cpu_factor: 1.0,
            append_ms: 10.0,
            retention_h: limits::JOURNAL_RETENTION.as_secs_f64() / 3_600.0,
            keep_days: 90.0,
            replicas: 3.0,
            store_writes_per_s: 20_000.0,
            store_disk_mib_per_s: 200.0,
            write_amplification: 10.0,
            store_gib: 2_000.0,
            store_cpus: 8.0,
            pd_timestamps_per_s: 200_000.0,
            prices: None,
        }
    }
}

/// What the load needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Shards.
    pub shards: u32,
    /// Commands that one order is, those of its holds and their answers included.
    pub commands_per_order: f64,
    /// Commands that share an append at the peak.
    pub commands_per_append: f64,
    /// Appends of an order at the peak.
    pub appends_per_order: f64,
    /// Raft writes of an order at the peak, flushes included.
    pub raft_writes_per_order: f64,
    /// Reads of TiKV for an order at the peak.
    pub reads_per_order: f64,
    /// Processor time of members for an order at the peak, microseconds.
    pub cpu_us_per_order: f64,
    /// Members.
    pub members: u64,
    /// Processors of all members in use at the peak.
    pub member_cpus_used: f64,
    /// Raft writes per second at the peak, each counted once; what members do at rest included.
    pub raft_writes_per_s: f64,
    /// Timestamps per second at the peak.
    pub timestamps_per_s: f64,
    /// Bytes that members send to stores per second at the peak, MiB.
    pub to_stores_mib_per_s: f64,
    /// Bytes that members read from stores per second at the peak, MiB.
    pub from_stores_mib_per_s: f64,
    /// Bytes between members per second at the peak, MiB: requests that are handed on, holds and their answers.
    pub between_members_mib_per_s: f64,
    /// Bytes that leaders send to followers per second at the peak, MiB.
    pub between_stores_mib_per_s: f64,
    /// Journals as long as they are kept, all copies, GiB.
    pub journal_gib: f64,
    /// Rows of the orders that are kept, all copies, GiB.
    pub rows_gib: f64,
    /// Stores that the raft writes want.
    pub stores_for_writes: u64,
    /// Stores that the bytes written want.
    pub stores_for_bytes: u64,
    /// Stores that the room wants.
    pub stores_for_room: u64,
    /// Stores.
    pub stores: u64,
    /// A million orders, in the currency of the prices, at the average rate, all that stands by for the peak included.
    pub price_per_million: Option<f64>,
    /// What ends first as the rate rises, with the rate.
    pub bounds: Vec<Bound>,
}

const SECONDS_PER_DAY: f64 = 86_400.0;
const HOURS_PER_MONTH: f64 = 730.0;
const KIB_PER_MIB: f64 = 1_024.0;
const KIB_PER_GIB: f64 = KIB_PER_MIB * 1_024.0;

/// Commands per second of one shard above which more shards are wanted: a tenth of what one bears.
const COMMANDS_PER_SHARD: f64 = 500.0;
/// Groups of neighbouring slots whose rows share a transaction when they are flushed, and what one holds (decision 0012).
const FLUSH_GROUPS: f64 = 1_024.0;
const FLUSH_BYTES: f64 = 16_000.0;

impl Question {
    /// Computes the plan from measured costs.
    pub fn plan(&self, costs: &Costs) -> Plan {
        let lines = costs.of_lines(self.lines);
        let shards = self.shards.unwrap_or_else(|| self.advised_shards(&lines));
        let per_shard = self.orders_per_s * lines.commands / f64::from(shards);
        let commands_per_append = (per_shard * self.append_ms / 1e3).max(1.0);
        let appends = lines.commands / commands_per_append;
        let raft_writes = appends + self.flushes(&lines);
        let reads = appends * costs.reads_per_append;
        let cpu_us = (lines.cpu_us + appends * costs.cpu_us_per_append) / self.cpu_factor;
        let cpus = self.orders_per_s * cpu_us / 1e6;
        // Two, so that one may fail.
        let members = ((cpus / (self.member_cpus * self.utilization)).ceil() as u64).max(2);
        let at_rest = members as f64 * costs.raft_writes_at_rest;
        let raft_writes_per_s = self.orders_per_s * raft_writes + at_rest;
        let mib_per_s = |kib_per_order: f64| self.orders_per_s * kib_per_order / KIB_PER_MIB;
        let to_stores = mib_per_s(lines.kib_written);
        let others = (members - 1) as f64 / members as f64;
        let kept_kib = |kib: f64, seconds: f64| self.average_per_s * kib * seconds * self.replicas / KIB_PER_GIB;
        let journal_gib = kept_kib(lines.kib_journal, self.retention_h * 3_600.0);
        let rows_gib = kept_kib(lines.kib_rows(), self.keep_days * SECONDS_PER_DAY);
        let wanted = |amount: f64, of_one: f64| (amount / of_one).ceil() as u64;
        let stores_for_writes = wanted(raft_writes_per_s * self.replicas, self.store_writes_per_s);
        let stores_for_bytes = wanted(to_stores * self.replicas * self.write_amplification, self.store_disk_mib_per_s);
        let stores_for_room = wanted(journal_gib + rows_gib, self.store_gib);
        let stores = stores_for_writes.max(stores_for_bytes).max(stores_for_room).max(self.replicas as u64);
        let mut plan = Plan {
            shards,
            commands_per_order: lines.commands,
            commands_per_append,
            appends_per_order: appends,
            raft_writes_per_order: raft_writes,
            reads_per_order: reads,
            cpu_us_per_order: cpu_us,
            members,
            member_cpus_used: cpus,
            raft_writes_per_s,
            timestamps_per_s: self.orders_per_s * appends * costs.timestamps_per_append,
            to_stores_mib_per_s: to_stores,
            from_stores_mib_per_s: mib_per_s(lines.kib_read),
            between_members_mib_per_s: others * mib_per_s(lines.kib_journal),
            between_stores_mib_per_s: to_stores * (self.replicas - 1.0),
            journal_gib,
            rows_gib,
            stores_for_writes,
            stores_for_bytes,
            stores_for_room,
            stores,
            price_per_million: None,
            bounds: Vec::new(),
        };
        plan.price_per_million = self.prices.map(|prices| self.price(prices, &plan, &lines));
        plan.bounds = bounds::bounds(self, costs, &plan);
        plan
    }

    /// A power of two: at least the default, enough that no shard is busy and that members have four each.
    fn advised_shards(&self, lines: &Lines) -> u32 {
        let wanted = self.orders_per_s * lines.commands / COMMANDS_PER_SHARD;
        let wanted = (wanted.ceil() as u32).next_power_of_two();
        wanted.clamp(limits::SHARDS_DEFAULT_SHARED, limits::SHARDS_SHARED_MAX)
    }

    /// Transactions of an order's rows: neighbouring slots share one, the more the more rows a flush has.
    fn flushes(&self, lines: &Lines) -> f64 {
        let orders = self.orders_per_s * limits::FLUSH_INTERVAL.as_secs_f64();
        let rows = orders * lines.rows;
        // Groups that have one of the rows at all, and what of each lies beyond its first transaction.
        let groups = FLUSH_GROUPS * (1.0 - (-rows / FLUSH_GROUPS).exp());
        (groups + orders * lines.kib_rows() * 1_024.0 / FLUSH_BYTES) / orders
    }

    fn price(&self, prices: Prices, plan: &Plan, lines: &Lines) -> f64 {
        let cpus = plan.members as f64 * self.member_cpus + plan.stores as f64 * self.store_cpus;
        let gib = plan.journal_gib + plan.rows_gib;
        let per_hour = cpus * prices.cpu_hour + gib * prices.gib_month / HOURS_PER_MONTH;
        let copies = self.replicas - 1.0;
        let kib = lines.kib_written * (1.0 + copies) + lines.kib_read + lines.kib_journal;
        let traffic = kib / KIB_PER_GIB * prices.traffic_gib;
        (per_hour / (self.average_per_s * 3_600.0) + traffic) * 1e6
    }
}
