//! The source: named, brought up to date, and asked where its journals end.

use std::collections::BTreeMap;

use bytes::Bytes;
use ordermill_journal::{FORMAT, Record, decode};
use ordermill_station::limits;
use ordermill_store::{Error as StoreError, ShardId};
use twox_hash::XxHash3_64;

use crate::{Error, Migration};

/// The source's value that holds its name.
const NAME: &str = "name";

/// What the target has to know of the source.
#[derive(Clone, Debug)]
pub(crate) struct State {
    /// Drawn at random when the directory was moved from first.
    pub(crate) name: u64,
    /// A hash of where its journals end: another one once it has been served again.
    pub(crate) position: u64,
    /// The greatest number of its records.
    pub(crate) last: u64,
    /// The latest time of its shards, and the greatest number of a next order: ids go on behind them.
    pub(crate) time_ms: u64,
    pub(crate) sequence: u64,
}

impl Migration<'_> {
    /// Flushes what the journals have and the rows have not. A server would do the same as it starts.
    pub(crate) async fn settle_source(&self) -> Result<State, Error> {
        self.settle().await.map_err(Error::Source)
    }

    async fn settle(&self) -> Result<State, StoreError> {
        let mut state = State { name: self.name().await?, position: 0, last: 0, time_ms: 0, sequence: 1 };
        for shard in (0..self.config.source_shards).map(ShardId) {
            let last = self.settle_shard(shard, &mut state).await?;
            state.position = XxHash3_64::oneshot_with_seed(state.position, &last.to_be_bytes());
            state.last = state.last.max(last);
        }
        Ok(state)
    }

    async fn settle_shard(&self, shard: ShardId, state: &mut State) -> Result<u64, StoreError> {
        let extent = self.source.extent(shard).await?;
        // The last record is read even where all have been flushed: time and sequence go on from it.
        let mut after = extent.checkpoint.min(extent.last.saturating_sub(1)).max(extent.trimmed);
        while after < extent.last {
            let records = self.source.read(shard, after, limits::FEED_PAGE_BYTES).await?;
            let mut rows: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
            let Some(page_end) = records.last().map(|record| record.number) else {
                let missing = format!("records of shard {shard} end at {after}, not {}", extent.last);
                return Err(StoreError::Corrupt(missing));
            };
            for stored in records {
                let record = read(shard, stored.number, stored.bytes)?;
                state.time_ms = state.time_ms.max(record.time_ms);
                state.sequence = state.sequence.max(record.sequence);
                if stored.number > extent.checkpoint {
                    rows.extend(record.changes.into_iter().map(|change| (change.key, change.value)));
                }
            }
            if page_end > extent.checkpoint {
                self.source.flush(shard, rows.into_iter().collect(), page_end).await?;
            }
            after = page_end;
        }
        Ok(extent.last)
    }

    /// The source's name; it gets one if it has none.
    async fn name(&self) -> Result<u64, StoreError> {
        if let Some(found) = self.source.load(NAME).await? {
            let name = found.as_ref().try_into().map(u64::from_be_bytes);
            return name.map_err(|_| StoreError::Corrupt("the name of the data directory is none".to_owned()));
        }
        let name = self.config.incarnation;
        if self.source.compare_and_set(NAME, None, Bytes::copy_from_slice(&name.to_be_bytes())).await? {
            return Ok(name);
        }
        Err(StoreError::Unavailable("the data directory was named by somebody else".to_owned()))
    }
}

fn read(shard: ShardId, number: u64, bytes: Bytes) -> Result<Record, StoreError> {
    let record: Record = decode("a record", bytes)
        .map_err(|error| StoreError::Corrupt(format!("record {number} of shard {shard}: {error}")))?;
    if record.format > FORMAT {
        let format = record.format;
        return Err(StoreError::Invalid(format!(
            "record {number} of shard {shard} has format {format}, this build knows {FORMAT}: use a newer one"
        )));
    }
    Ok(record)
}
