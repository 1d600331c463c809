//! From a partition key to the shard that owns it: the one way into the shards, served here or by
//! another member.
//!
//! Decides nothing about orders, nor who owns what; knows no HTTP and no files.

mod cluster;
mod cursor;
mod error;
mod feed;
mod import;
mod list;
mod member;
mod overview;
mod retention;
mod router;
mod served;
mod shards;
mod stale;
mod timing;
mod view;

pub use error::Error;
pub use feed::{FeedEvent, FeedPage, Subject};
pub use list::{ItemList, OrderFilter, OrderList};
pub use member::Busy;
pub use overview::AdminError;
pub use router::{Config, Router, Status};
pub use stale::Stale;

/// What administrators see and ask for, in the words of the members.
pub mod administration {
    pub use ordermill_members::{
        Heard, Incarnation, Levelling, Map, Member, Overview, Rebalancing, Request, Shard, ShardReport, ShardState,
        State,
    };
}
