//! A transactional service in memory, for tests: one that keeps every promise of
//! [`Service`](ordermill_transactional::Service), clients of it that keep no more than those, and whole
//! clusters of members on such clients.
//!
//! Everything that is drawn comes from one seed. On tokio's current-thread runtime with a paused clock
//! the same seed gives the same history. Holds nothing that a release would use.

mod clock;
pub mod cluster;
mod detour;
mod faults;
mod lots;
mod mvcc;
mod plan;
mod tally;

pub use clock::Virtual;
pub use detour::{Detour, Via};
pub use faults::Client;
pub use lots::Lots;
pub use mvcc::{Mvcc, Version};
pub use plan::Plan;
pub use tally::Tally;
