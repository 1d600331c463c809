//! What ends first as the rate rises, and at which rate.

use ordermill_station::limits;
use serde::Serialize;

use super::{Costs, Plan, Question};

/// Something that bears so much and no more.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// What it is.
    pub what: String,
    /// Orders per second at which it is used up.
    pub orders_per_s: f64,
    /// What can be done then.
    pub then: String,
}

/// All bounds, the lowest rate first.
pub(super) fn bounds(question: &Question, costs: &Costs, plan: &Plan) -> Vec<Bound> {
    let append_s = question.append_ms / 1e3;
    // A batch holds so many commands, and the next waits for it.
    let shard = (limits::BATCH_COMMANDS as f64 / append_s).min(costs.shard_commands_per_s * question.cpu_factor);
    let bound = |what: String, orders_per_s: f64, then: &str| Bound { what, orders_per_s, then: then.to_owned() };
    let of_shards = |shards: u32| shard * f64::from(shards) / plan.commands_per_order;
    let cpus = limits::MEMBERS as f64 * question.member_cpus * question.utilization;
    let mut bounds = vec![
        bound(
            format!("the shard of the item that {} % of all orders want", question.hottest * 100.0),
            shard / question.hottest,
            "sell it under several SKUs, one per warehouse say",
        ),
        bound(format!("{} shards", plan.shards), of_shards(plan.shards), "split shards: `orderctl cluster split`"),
        bound(
            format!("{} shards, as many as there can be", limits::SHARDS_SHARED_MAX),
            of_shards(limits::SHARDS_SHARED_MAX),
            "several clusters, customers divided among them",
        ),
        bound(
            format!("{} members of {} processors", limits::MEMBERS, question.member_cpus),
            cpus * 1e6 / plan.cpu_us_per_order,
            "larger members",
        ),
        bound(
            format!("timestamps: {} per second from PD", question.pd_timestamps_per_s),
            question.pd_timestamps_per_s * question.orders_per_s / plan.timestamps_per_s,
            "more commands per append: fewer shards; or several clusters",
        ),
    ];
    bounds.sort_by(|one, other| one.orders_per_s.total_cmp(&other.orders_per_s));
    bounds
}
