//! Delivery of what was committed: messages to other shards, at least once, in no order.
//!
//! Nothing here is durable and nothing has to be: the outbox rows are. Decides nothing.

mod outstanding;
mod peers;

pub use outstanding::{Entry, Outstanding};
pub use peers::{Mail, Peers};
