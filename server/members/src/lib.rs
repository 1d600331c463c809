//! Who is in the cluster, who coordinates it, and which member owns which shard.
//!
//! Members beat to one coordinator; only the coordinator's election and the map live in the store. The
//! coordinator plans with a pure function and writes the map; whoever meets a newer one follows it.
//! Ownership is an optimisation: the store's insert is the judge. So nothing here is needed for orders to be
//! safe, and a wrong guess costs time, never data. No two machines' clocks are ever compared.

mod admin;
mod attention;
mod beat;
mod beating;
mod board;
mod channel;
mod coordinating;
mod election;
mod error;
mod founding;
mod handle;
mod inner;
mod map;
mod overview;
mod plan;
mod report;
mod roster;
mod service;
mod split;
mod stored;
pub mod times;
mod watch;
mod wire;

pub use admin::{Request, Response};
pub use channel::{Channel, ChannelError};
pub use election::Coordinator;
pub use error::Error;
pub use founding::{found, is_founded};
pub use handle::{Drained, Handle, Status};
pub use map::{
    Formats, Incarnation, Levelling, Map, Member, Parent, Rebalancing, Shard, Split, State, WasSplit, range_of,
};
pub use overview::{Heard, Overview};
pub use plan::{MemberView, Move, Plan, Policy, Reason, ShardView, plan};
pub use report::{ProcessReport, Report, ShardReport, ShardState};
pub use service::{Config, Service};
