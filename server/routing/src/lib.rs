//! From a partition key to the shard that owns it: the one way into the shards.
//!
//! Decides nothing about orders; knows no HTTP and no files.

mod error;
mod feed;
mod list;
mod router;

pub use error::Error;
pub use feed::{FeedEvent, FeedPage, Subject};
pub use list::{ItemList, OrderFilter, OrderList};
pub use router::{Config, Router, Status};
