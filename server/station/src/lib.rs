//! What every station of an order's way shares: the clock, the limits and the measurements.
//!
//! Knows no orders, no storage and no HTTP.

pub mod aside;
pub mod clock;
pub mod limits;
pub mod measure;
