//! Whole clusters in one process, on simulated time: who coordinates, who owns what, and how soon.
//!
//! Members speak over channels that can be cut each way, and share one store of a few values that can be
//! away or lose its answers. A run follows from its seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod administration;
mod failures;
mod moves;
mod partitions;
mod store;
mod world;
