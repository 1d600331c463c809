//! Moves everything of an embedded store into a cluster on TiKV that nobody serves yet.
//!
//! ```text
//! source   what its journal has and its rows have not is flushed; it is not changed otherwise
//! target   a marker says that it is being filled, from where, and how far that has come
//! copy     slot by slot: what the target's rows differ in is written, and read back
//! verify   all rows of both are read once more and compared, slot by slot
//! found    the cluster's first map is written, and the marker says that it is done
//! ```
//!
//! Broken off at any instant it goes on: nothing is believed to be there that was not read. Rows move and
//! history does not: a cluster's journals begin behind the numbers of the source's, so that a cursor of the
//! old feed has expired. Decides nothing about orders, and reads no clock.

mod copy;
mod marker;
mod source;
mod verify;

use std::fmt;
use std::sync::Arc;

use ordermill_journal::FORMAT;
use ordermill_store::{Error as StoreError, Store};
use ordermill_transactional::Transactional;

use self::marker::Marker;

pub use self::marker::unfinished;

/// What is moved, and to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster of the source: the first part of its keys.
    pub source_cluster: u32,
    /// Shards of the source.
    pub source_shards: u32,
    /// The cluster of the target.
    pub cluster: u32,
    /// Shards of the target; another number than the source's where that is wanted: rows go by their slots.
    pub shards: u32,
    /// Drawn at random for each run: names the source if it has no name yet, and this run.
    pub incarnation: u64,
}

/// Why nothing, or not everything, was moved. What was moved stays, and the next run goes on there.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source cannot be read, or cannot be brought up to date.
    #[error("the source: {0}")]
    Source(StoreError),
    /// The target cannot be read or written.
    #[error("the target: {0}")]
    Target(StoreError),
    /// The target holds other data.
    #[error("{0}")]
    Taken(String),
    /// What was copied does not read back as it was.
    #[error("{0}")]
    Differs(String),
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Goes on with this slot, where an earlier run has ended.
    Resumed(u32),
    /// Slots before this one are copied; so many rows of them have been written by this run.
    Copied {
        /// The first slot that is not copied.
        slot: u32,
        /// Rows that were written.
        written: u64,
    },
    /// Slots before this one were compared, in both stores.
    Compared {
        /// The first slot that was not compared.
        slot: u32,
        /// Rows that were compared.
        rows: u64,
    },
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// An earlier run had done everything.
    pub done_before: bool,
    /// Rows of the source, all of which are in the target.
    pub rows: u64,
    /// Rows that this run wrote.
    pub written: u64,
    /// Rows that were in the target and not in the source, and were deleted: of an earlier run, before the
    /// source was served again.
    pub deleted: u64,
    /// XXH3-64 over the checksums of all slots: the same for both stores.
    pub checksum: u64,
}

/// Hears how far it has come.
pub type Listener<'a> = dyn Fn(Progress) + Send + Sync + 'a;

/// A move from one store to the other.
pub(crate) struct Migration<'a> {
    config: Config,
    source: Arc<dyn Store>,
    target: Transactional,
    tell: &'a Listener<'a>,
}

impl fmt::Debug for Migration<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Moves everything, or the rest of it. Nobody serves the source, which is open here, nor the target.
///
/// `Taken` when the target is served, holds what no unfinished move from this source has left there, or is
/// being filled from another source.
pub async fn run(
    config: Config,
    source: Arc<dyn Store>,
    target: Transactional,
    tell: &Listener<'_>,
) -> Result<Report, Error> {
    let migration = Migration { config, source, target, tell };
    let state = migration.settle_source().await?;
    let mut marker = migration.begin(&state).await?;
    if marker.done {
        return Ok(Report { done_before: true, ..Report::default() });
    }
    let mut report = Report::default();
    migration.copy(&state, &mut marker, &mut report).await?;
    migration.verify(&mut report).await?;
    ordermill_members::found(&migration.target, config.shards, FORMAT).await.map_err(Error::Target)?;
    migration.replace(&mut marker, |marker| marker.done = true).await?;
    Ok(report)
}

impl Migration<'_> {
    /// Claims the target, or finds the claim of an earlier run.
    async fn begin(&self, state: &source::State) -> Result<Marker, Error> {
        let fresh = Marker::new(state.name, state.position, self.config.shards);
        let Some(found) = Marker::load(&self.target).await? else {
            self.check_empty().await?;
            if fresh.create(&self.target).await? {
                return Ok(fresh);
            }
            return Err(Error::Taken("another move into this cluster has begun at the same time".to_owned()));
        };
        if found.source != state.name {
            return Err(Error::Taken(format!(
                "cluster {} {} from another data directory (its source is {:016x}, this one is {:016x})",
                self.config.cluster,
                if found.done { "was filled" } else { "is being filled" },
                found.source,
                state.name
            )));
        }
        if found.done {
            return Ok(found);
        }
        if found.shards != self.config.shards {
            return Err(Error::Taken(format!(
                "the move into cluster {} was begun with {} shards: go on with --shards {}",
                self.config.cluster, found.shards, found.shards
            )));
        }
        let mut marker = found;
        if marker.position != state.position {
            tracing::warn!("the source was served since the last run: everything is compared from the beginning");
            self.replace(&mut marker, |marker| (marker.position, marker.next_slot) = (state.position, 0)).await?;
        }
        if marker.next_slot > 0 {
            (self.tell)(Progress::Resumed(marker.next_slot));
        }
        Ok(marker)
    }

    /// Sees that nothing was ever kept under the target's cluster.
    async fn check_empty(&self) -> Result<(), Error> {
        let taken = |what: &str| {
            Err(Error::Taken(format!(
                "cluster {} {what}: choose another --cluster-id; nothing was changed",
                self.config.cluster
            )))
        };
        if ordermill_members::is_founded(&self.target).await.map_err(Error::Target)? {
            return taken("is served by members, or was");
        }
        let rows = self.target.scan(std::ops::Bound::Unbounded, std::ops::Bound::Unbounded, 1).await;
        if !rows.map_err(Error::Target)?.rows.is_empty() {
            return taken("holds other data");
        }
        Ok(())
    }
}
