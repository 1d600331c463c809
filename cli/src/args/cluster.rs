//! Commands about the cluster.

use clap::Subcommand;
use ordermill_api::RebalancingPolicy;
use ordermill_station::limits;

use super::{Pages, values};

/// What can be done with the cluster.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Show who coordinates, the map's version and age, and how much there is.
    Status,
    /// List the members: how each stands, when it was heard, and its load.
    Members,
    /// List the shards: who serves each, and how far its journal is.
    Shards(Pages),
    /// Move all shards away from a member, and give it none.
    Drain {
        /// The member: its incarnation, or a name that only one has.
        member: String,
    },
    /// Give a member no more shards; those that it has stay.
    Cordon {
        /// The member: its incarnation, or a name that only one has.
        member: String,
    },
    /// Let shards go to a member again: ends a cordon and a drain.
    Uncordon {
        /// The member: its incarnation, or a name that only one has.
        member: String,
    },
    /// Move a shard to a member; another may move in exchange, so that the numbers stay even.
    Move {
        /// The shard's number.
        shard: u32,
        /// The member: its incarnation, or a name that only one has.
        #[arg(long, value_name = "MEMBER")]
        to: String,
    },
    /// Split a shard in two; rows do not move, and the event feed goes on.
    Split {
        /// The shard's number.
        shard: u32,
        /// The first slot of the upper of the two [default: the middle].
        #[arg(long, value_name = "SLOT")]
        at: Option<u16>,
    },
    /// Level loads now, although no member is overloaded.
    Rebalance,
    /// Change what shards move for by themselves, and how many at once; `status` shows it.
    Rebalancing {
        /// What for: the same number of shards at all members, and less load where one is overloaded (load), the same
        /// number alone (count), or not at all (paused); those of members that are gone or drained always move.
        #[arg(long, value_parser = values::rebalancing_policy(), required_unless_present = "moves_at_once")]
        policy: Option<RebalancingPolicy>,
        /// How many at once, those of members that are drained included.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=limits::MOVES_AT_ONCE_MAX as i64))]
        moves_at_once: Option<u32>,
    },
    /// Show the store's format and those that each member's build knows, or raise it.
    Format {
        /// Raise it to this one, after an upgrade has finished everywhere; it never goes back.
        #[arg(long, value_name = "FORMAT")]
        raise: Option<u32>,
    },
}
