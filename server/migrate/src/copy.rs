//! Copying: a shard of the target is taken over, and its slots are made equal to the source's.
//!
//! What is written is what differs. So a run that goes on where another was broken off, or after the source
//! was served again, doubles nothing and leaves nothing behind.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Bytes, BytesMut};
use ordermill_journal::{FORMAT, Record};
use ordermill_members::range_of;
use ordermill_station::limits;
use ordermill_store::{Change, Error as StoreError, Page, ShardId, Store};
use prost::Message as _;

use crate::marker::Marker;
use crate::source::State;
use crate::{Error, Migration, Progress, Report};

/// Bytes of the cluster in a row's key.
const CLUSTER_BYTES: usize = 4;

/// What all keys behind those of the slots before `slot` begin with; `None` behind the last slot.
pub(crate) fn first_key(cluster: u32, slot: u32) -> Option<Bytes> {
    let slot = u16::try_from(slot).ok()?;
    let mut key = cluster.to_be_bytes().to_vec();
    key.extend(slot.to_be_bytes());
    Some(key.into())
}

/// The bound before which the keys of all slots before `slot` lie.
pub(crate) fn end_of(cluster: u32, slot: u32) -> Bound<Bytes> {
    let end = first_key(cluster, slot).or_else(|| Some(Bytes::copy_from_slice(&cluster.checked_add(1)?.to_be_bytes())));
    end.map_or(Bound::Unbounded, Bound::Excluded)
}

/// The same row's key in another cluster.
pub(crate) fn moved(key: &[u8], cluster: u32) -> Bytes {
    let mut moved = BytesMut::with_capacity(key.len());
    moved.extend_from_slice(&cluster.to_be_bytes());
    moved.extend_from_slice(&key[CLUSTER_BYTES..]);
    moved.freeze()
}

impl Migration<'_> {
    /// Copies all slots that are not copied yet.
    pub(crate) async fn copy(&self, state: &State, marker: &mut Marker, report: &mut Report) -> Result<(), Error> {
        for shard in (0..self.config.shards).map(ShardId) {
            let range = range_of(shard.0, self.config.shards);
            let (first, end) = (u32::from(range.first), u32::from(range.last) + 1);
            if end <= marker.next_slot {
                continue;
            }
            self.copy_shard(shard, (first, end), state, report).await?;
            self.replace(marker, |marker| marker.next_slot = end).await?;
            (self.tell)(Progress::Copied { slot: end, written: report.written });
        }
        Ok(())
    }

    async fn copy_shard(
        &self,
        shard: ShardId,
        (first, end): (u32, u32),
        state: &State,
        report: &mut Report,
    ) -> Result<(), Error> {
        let fence = |last: Option<&[u8]>| self.fence(state, last);
        // Behind every number of the source, so that no place in its feed is a place in this one.
        self.target.found(shard, state.last + 1, fence(None).map_err(Error::Target)?).await.map_err(Error::Target)?;
        let extent = self.target.take_over(shard, &fence).await.map_err(Error::Target)?;
        let mut from = first_key(self.config.source_cluster, first).map_or(Bound::Unbounded, Bound::Included);
        let to = end_of(self.config.source_cluster, end);
        loop {
            let page = self.source.scan(from.clone(), to.clone(), limits::MIGRATE_ROWS).await.map_err(Error::Source)?;
            // Up to where this page says what the source holds.
            let until = match page.rows.last().filter(|_| page.more) {
                Some((last, _)) => Bound::Included(last.clone()),
                None => to.clone(),
            };
            let changes = self.differences(&page, from, until.clone()).await?;
            for (_, value) in &changes {
                *(if value.is_some() { &mut report.written } else { &mut report.deleted }) += 1;
            }
            if !changes.is_empty() {
                self.target.flush(shard, changes, extent.last).await.map_err(Error::Target)?;
            }
            if !page.more {
                return Ok(());
            }
            let Bound::Included(last) = until else { return Ok(()) };
            from = Bound::Excluded(last);
        }
    }

    /// What has to be written so that the target holds, from `from` to `to`, what `page` does.
    async fn differences(&self, page: &Page, from: Bound<Bytes>, to: Bound<Bytes>) -> Result<Vec<Change>, Error> {
        let cluster = self.config.cluster;
        let mut changes: BTreeMap<Bytes, Option<Bytes>> =
            page.rows.iter().map(|(key, value)| (moved(key, cluster), Some(value.clone()))).collect();
        let (mut from, to) = (moved_bound(from, cluster), moved_bound(to, cluster));
        loop {
            let found = self.target.scan(from, to.clone(), limits::MIGRATE_ROWS).await.map_err(Error::Target)?;
            let last = found.rows.last().map(|(key, _)| key.clone());
            for (key, value) in found.rows {
                match changes.get(&key) {
                    Some(Some(wanted)) if *wanted == value => drop(changes.remove(&key)),
                    Some(_) => {}
                    None => drop(changes.insert(key, None)),
                }
            }
            match last.filter(|_| found.more) {
                Some(last) => from = Bound::Excluded(last),
                None => return Ok(changes.into_iter().collect()),
            }
        }
    }

    /// The record with which a journal of the target begins, or goes on: time and order numbers are behind
    /// all of the source.
    fn fence(&self, state: &State, last: Option<&[u8]>) -> Result<Bytes, StoreError> {
        let last = match last {
            Some(bytes) => Record::decode(bytes).map_err(|error| StoreError::Corrupt(error.to_string()))?,
            None => Record::default(),
        };
        let record = Record {
            format: FORMAT,
            time_ms: last.time_ms.max(state.time_ms),
            sequence: last.sequence.max(state.sequence),
            incarnation: self.config.incarnation,
            ..Record::default()
        };
        Ok(record.encode_to_vec().into())
    }
}

/// A bound of the source's keys as one of the target's. The end of all rows is no row's key.
fn moved_bound(bound: Bound<Bytes>, cluster: u32) -> Bound<Bytes> {
    match bound {
        Bound::Included(key) | Bound::Excluded(key) if key.len() <= CLUSTER_BYTES => Bound::Unbounded,
        bound => bound.map(|key| moved(&key, cluster)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_cluster_is_the_end_of_the_other() {
        let bound = |bytes: &'static [u8]| Bound::Excluded(Bytes::from_static(bytes));
        assert_eq!(end_of(1, 2), bound(&[0, 0, 0, 1, 0, 2]));
        assert_eq!(end_of(1, 65_536), bound(&[0, 0, 0, 2]));
        assert_eq!(end_of(u32::MAX, 65_536), Bound::Unbounded);
        assert_eq!(moved_bound(end_of(1, 2), 9), bound(&[0, 0, 0, 9, 0, 2]));
        assert_eq!(moved_bound(end_of(1, 65_536), 9), Bound::Unbounded);
        assert_eq!(moved(&[0, 0, 0, 1, 5, 6, 7], 9)[..], [0, 0, 0, 9, 5, 6, 7]);
    }
}
