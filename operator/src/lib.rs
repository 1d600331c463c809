//! The Kubernetes operator: one `OrderCluster` in, the objects that run it out.
//!
//! A reconciliation goes straight: `observe` what is there, `validate` what is asked, `stage` and `advance` say what may
//! change at once, `build` what should be (pure), `apply` the difference, `status` of it all (pure). What is decided is
//! decided by pure functions: `upgrade`, `autoscale`, `pace`. The members serve, fail over and hand over without it. Reads
//! no Secret but those that a cluster names, and writes nothing when nothing has changed.

pub mod advance;
pub mod apply;
pub mod ask;
pub mod autoscale;
pub mod build;
pub mod controller;
pub mod crd;
pub mod credentials;
pub mod leader;
pub mod limits;
pub mod manifest;
pub mod members;
pub mod observe;
pub mod pace;
pub mod pd;
pub mod pulse;
pub mod reconcile;
pub mod regions;
pub mod rights;
pub mod rolling;
pub mod scaling;
pub mod stage;
pub mod status;
pub mod stores;
pub mod tenure;
pub mod upgrade;
pub mod validate;
pub mod web;

pub use crd::{OrderCluster, OrderClusterSpec, OrderClusterStatus};

/// Who writes: the one field manager, the label on everything that is owned, and the reporter of events.
pub const MANAGER: &str = "ordermill-operator";
