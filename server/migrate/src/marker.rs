//! The marker in the target: who fills it, and how far that has come. Nobody serves a cluster before it says
//! that everything is there.

use bytes::Bytes;
use ordermill_journal::{MigrationValue, decode};
use ordermill_store::{Error as StoreError, Store};
use ordermill_transactional::Transactional;
use prost::Message as _;

use crate::{Error, Migration};

/// The store's value that holds the marker.
const MARKER: &str = "migration";

/// How far a move has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The source's name.
    pub(crate) source: u64,
    /// How far the source's journals were when the move began.
    pub(crate) position: u64,
    /// Shards of the target.
    pub(crate) shards: u32,
    /// Slots before this one are copied.
    pub(crate) next_slot: u32,
    /// Everything is there.
    pub(crate) done: bool,
}

fn decoded(bytes: Bytes) -> Result<Marker, StoreError> {
    let value: MigrationValue =
        decode("the marker of a move", bytes).map_err(|e| StoreError::Corrupt(e.to_string()))?;
    let MigrationValue { source, position, shards, next_slot, done } = value;
    Ok(Marker { source, position, shards, next_slot, done })
}

impl Marker {
    pub(crate) fn new(source: u64, position: u64, shards: u32) -> Self {
        Self { source, position, shards, next_slot: 0, done: false }
    }

    fn encode(&self) -> Bytes {
        let Self { source, position, shards, next_slot, done } = *self;
        MigrationValue { source, position, shards, next_slot, done }.encode_to_vec().into()
    }

    pub(crate) async fn load(target: &Transactional) -> Result<Option<Self>, Error> {
        let found = target.load(MARKER).await.and_then(|found| found.map(decoded).transpose());
        found.map_err(Error::Target)
    }

    /// Says whether nobody else was faster.
    pub(crate) async fn create(&self, target: &Transactional) -> Result<bool, Error> {
        target.compare_and_set(MARKER, None, self.encode()).await.map_err(Error::Target)
    }
}

impl Migration<'_> {
    /// Changes the marker.
    pub(crate) async fn replace(&self, marker: &mut Marker, change: impl FnOnce(&mut Marker)) -> Result<(), Error> {
        let before = marker.encode();
        change(marker);
        let replaced = self.target.compare_and_set(MARKER, Some(before), marker.encode()).await;
        if replaced.map_err(Error::Target)? {
            return Ok(());
        }
        Err(Error::Taken("another process moves data into this cluster at the same time".to_owned()))
    }
}

/// Whether a cluster is being filled and nobody may serve it yet: how far that is, in hundredths of its slots.
pub async fn unfinished(store: &dyn Store) -> Result<Option<u32>, StoreError> {
    let marker = store.load(MARKER).await?.map(decoded).transpose()?;
    Ok(marker.filter(|marker| !marker.done).map(|marker| marker.next_slot * 100 / ordermill_station::limits::SLOTS))
}
