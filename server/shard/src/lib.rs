//! The shard: one task that is the only writer of its rows.
//!
//! It takes what has queued, applies it, appends one record and answers all; the next batch
//! collects meanwhile. Never waits for another shard, never answers from what is not committed,
//! and knows neither HTTP nor files.

mod ahead;
mod apply;
mod batch;
mod build;
mod commit;
pub mod convert;
mod encode;
mod flush;
mod format;
mod generation;
mod handle;
mod keys;
mod planted;
mod proof;
mod recover;
mod rows;
mod state;
mod sweep;
mod task;
mod timers;
mod unflushed;

pub use convert::{Row, decode_row, status_of};
pub use format::Formats;
pub use handle::{Error, Handle, Pending, Reply, Scan, Vitals};
pub use keys::Keys;
#[cfg(feature = "planted-faults")]
pub use planted::Planted;
pub use task::{Config, Parent, Service};
pub use unflushed::Unflushed;
