//! Recovery: the checkpoint mark, then the records after it, then the outbox. No row is loaded that
//! the records do not name.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::{Entry, Mail};
use ordermill_journal::{Record, RecordParent, decode};
use ordermill_station::limits;
use ordermill_store::keys::RowKey;
use ordermill_store::{Error, ShardId, Store, keys};
use prost::Message as _;

use crate::convert::Row;
use crate::format::Formats;
use crate::handle::merge;
use crate::keys::bands;
use crate::rows::decoded;
use crate::task::{Parent, Service};

/// Decodes a record of `shard`; without a number the last one.
fn record_of(formats: &Formats, shard: ShardId, number: Option<u64>, bytes: Bytes) -> Result<Record, Error> {
    let name = number.map_or("the last record".to_owned(), |number| format!("record {number}"));
    let record: Record =
        decode("a record", bytes).map_err(|error| Error::Corrupt(format!("{name} of shard {shard}: {error}")))?;
    formats.check(record.format).map_err(|why| Error::Invalid(format!("{name} of shard {shard} {why}")))?;
    Ok(record)
}

/// The record with which an owner begins: it changes nothing, and carries on time, sequence and format.
fn fence_after(last: Option<&Record>, store_format: u32, incarnation: u64, now_ms: u64) -> Record {
    let (time_ms, sequence, format) = last.map_or((0, 1, 0), |last| (last.time_ms, last.sequence, last.format));
    let (format, time_ms) = (format.max(store_format), time_ms.max(now_ms));
    Record { format, time_ms, sequence, incarnation, ..Record::default() }
}

/// The last record of a shard that was split: the first of its children carries on what it says.
async fn end_of(store: Arc<dyn Store>, formats: &Formats, parent: Parent) -> Result<Record, Error> {
    let Parent { shard, number } = parent;
    let records = store.read(shard, number.saturating_sub(1), 1).await?;
    match records.into_iter().next() {
        Some(last) if last.number == number => record_of(formats, shard, Some(number), last.bytes),
        _ => Err(Error::Corrupt(format!("record {number} of shard {shard}, with which it ended, is missing"))),
    }
}

impl Service {
    /// Takes the shard over and reads back what it was; says what has to be sent again.
    pub(crate) async fn recover(&mut self) -> Result<Vec<Mail>, Error> {
        let (id, incarnation, now_ms) = (self.config.id, self.config.incarnation, self.clock.now_ms());
        let formats = self.config.formats.clone();
        let begun = match self.config.parent {
            Some(parent) => {
                let last = end_of(self.store.clone(), &formats, parent).await?;
                let Parent { shard, number } = parent;
                let parent = Some(RecordParent { shard: shard.0, number });
                Some(Record { parent, ..fence_after(Some(&last), formats.store(), incarnation, now_ms) })
            }
            None => None,
        };
        let fence = move |last: Option<&[u8]>| {
            let last = last.map(|bytes| record_of(&formats, id, None, Bytes::copy_from_slice(bytes))).transpose()?;
            let first = begun.as_ref().filter(|_| last.is_none()).cloned();
            let fence = first.unwrap_or_else(|| fence_after(last.as_ref(), formats.store(), incarnation, now_ms));
            Ok(fence.encode_to_vec().into())
        };
        let extent = self.store.take_over(id, &fence).await?;
        self.number = extent.checkpoint;
        self.gauges.epoch.store(extent.last, Ordering::Relaxed);
        self.gauges.checkpoint.store(extent.checkpoint, Ordering::Relaxed);
        // Time, sequence and format go on from the last record, even where all of it has been flushed.
        let mut after = extent.checkpoint.min(extent.last.saturating_sub(1)).max(extent.trimmed);
        while after < extent.last {
            let records = self.store.read(self.config.id, after, limits::FEED_PAGE_BYTES).await?;
            let Some(last) = records.last() else {
                return Err(Error::Corrupt(format!(
                    "records of shard {} end at {after}, not {}",
                    self.config.id, extent.last
                )));
            };
            after = last.number;
            for record in records {
                self.replay(record.number, record.bytes)?;
            }
        }
        self.number = extent.last;
        self.recover_outbox().await
    }

    fn replay(&mut self, number: u64, bytes: Bytes) -> Result<(), Error> {
        let record = record_of(&self.config.formats, self.config.id, Some(number), bytes)?;
        self.format = self.format.max(record.format);
        self.last_ms = self.last_ms.max(record.time_ms);
        self.sequence = self.sequence.max(record.sequence);
        if number > self.number {
            let changes = record.changes.into_iter().map(|change| (RowKey::from(&change.key[..]), change.value));
            self.committed.commit(changes);
            self.number = number;
        }
        Ok(())
    }

    async fn recover_outbox(&mut self) -> Result<Vec<Mail>, Error> {
        let mut mail = Vec::new();
        let range = self.config.range;
        for band in bands(range) {
            let prefix = self.keys.prefix(band, keys::Kind::Outbox);
            let to = keys::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
            let mut from = Bound::Included(prefix);
            loop {
                let limit = limits::PAGE_MAX;
                let (changed, more) = self.committed.changed(from.clone(), to.clone(), limit);
                let stored = self.store.scan(from, to.clone(), limit).await?;
                let page = merge(changed, more, stored, limit);
                for (key, value) in page.rows {
                    let (Some(parts), Row::Outbox(message)) = (keys::decode(&key), decoded(&key, &value)) else {
                        continue;
                    };
                    let Some((slot, _, _)) = crate::keys::outbox_of(&parts) else { continue };
                    if range.contains(slot) {
                        let entry = Entry { tenant: parts.tenant.into(), from: slot, message };
                        mail.push(self.outstanding.sent(RowKey::from(&key[..]), entry, Duration::ZERO));
                    }
                }
                match page.next {
                    Some(next) => from = Bound::Excluded(next),
                    None => break,
                }
            }
        }
        Ok(mail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_newer_build_has_written_is_neither_read_nor_followed_by_an_older_format() {
        let (older, newer) = (Formats::new(1, 1), Formats::new(2, 1));
        let last = Record { format: 2, ..Record::default() };
        let bytes = Bytes::from(last.encode_to_vec());
        let refused = record_of(&older, ShardId(3), Some(9), bytes.clone()).unwrap_err().to_string();
        assert!(refused.contains("record 9 of shard 3 has format 2, this build knows 1"), "{refused}");
        assert_eq!(record_of(&newer, ShardId(3), None, bytes).unwrap(), last);
        // It may not have heard yet that the store's format was raised.
        assert_eq!(fence_after(Some(&last), newer.store(), 5, 6).format, 2);
        newer.raise(2);
        newer.raise(1);
        assert_eq!(fence_after(Some(&Record { format: 1, ..Record::default() }), newer.store(), 5, 6).format, 2);
        assert_eq!(fence_after(None, older.store(), 5, 6).format, 1);
    }
}
