//! Who is in the cluster, who coordinates it, and which member owns which shard.

mod board;
mod error;
mod map;
mod plan;
mod stored;

pub use error::Error;
pub use map::{Formats, Incarnation, Map, Member, Parent, Shard, State, range_of};
pub use plan::{MemberView, Move, Plan, Policy, Reason, ShardView, plan};
