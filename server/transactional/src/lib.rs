//! The store on a transactional key-value service that several processes share.
//!
//! What makes an append happen exactly once, whoever else writes and whatever the service leaves
//! unsaid, stands here; how the service is called stands behind [`Service`]. Knows no orders.

mod service;

pub use service::{Failure, Mutation, Service, Timestamp};
