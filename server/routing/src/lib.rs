//! From a partition key to the shard that owns it: the one way into the shards, served here or by
//! another member.
//!
//! Decides nothing about orders, nor who owns what; knows no HTTP and no files.

mod cluster;
mod error;
mod feed;
mod import;
mod list;
mod member;
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
pub use router::{Config, Router, Status};
pub use stale::Stale;
