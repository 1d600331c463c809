//! Reading journals, whoever writes them.
//!
//! A snapshot may show a record and not the one before it: where the two stand in different regions, the
//! later one may have been given the earlier time. So a reader that meets a gap stops there and looks
//! again at a new timestamp. It never skips.

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error, Extent, Record, ShardId};

use crate::Inner;
use crate::call::{Patience, Trouble};
use crate::keys;
use crate::planted::Planted;
use crate::service::Timestamp;
use crate::shards::{Shard, Term};
use crate::stored::{self, Guard, Mark};

/// How far a journal was, by one look.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) guard: Guard,
    pub(crate) mark: Mark,
    /// The last number (0: none).
    pub(crate) last: u64,
    /// What stands there; none where the journal is empty.
    pub(crate) record: Option<Bytes>,
}

/// How many records to ask for.
#[derive(Debug)]
struct PageSize {
    limit: u32,
    largest: usize,
    /// An answer may have been too large: ask for few.
    careful: bool,
}

impl PageSize {
    fn new(careful: bool) -> Self {
        Self { limit: limits::STORE_PAGE_RECORDS, largest: 0, careful }
    }

    fn saw(&mut self, bytes: usize) {
        self.largest = self.largest.max(bytes);
        if !self.careful {
            let fit = (limits::STORE_PAGE_BYTES / self.largest.max(1)) as u32;
            self.limit = fit.clamp(limits::STORE_PAGE_RECORDS, limits::STORE_PAGE_RECORDS_MAX);
        }
    }
}

fn gap(shard: ShardId, number: u64) -> Trouble {
    Trouble::Gap(format!("record {number} of shard {shard} is missing, and later ones are not"))
}

impl Inner {
    /// Records of `shard` from `from` on as of `at`, at most as many as `size` says. Says whether that
    /// was all there is.
    async fn page(
        &self,
        at: Timestamp,
        shard: ShardId,
        from: u64,
        size: &mut PageSize,
    ) -> Result<(Vec<(u64, stored::Record)>, bool), Trouble> {
        let limit = size.limit;
        let rows = self.calls.scan(at, self.keys.records(shard, from..=u64::MAX), limit).await?;
        let mut page = Vec::with_capacity(rows.len());
        for (key, value) in rows {
            size.saw(value.len());
            let number = keys::number_of(&key)
                .ok_or_else(|| Error::Corrupt(format!("a key in the journal of shard {shard} is no record's")))?;
            page.push((number, stored::Record::decode(value)?));
        }
        let whole = page.len() < limit as usize;
        Ok((page, whole))
    }

    pub(crate) async fn read(&self, shard: ShardId, after: u64, max_bytes: usize) -> Result<Vec<Record>, Error> {
        let shard = self.shard(shard)?;
        let mut patience = self.calls.patience("read", limits::STORE_PATIENCE);
        loop {
            match self.read_once(&shard, after, max_bytes, patience.tries() > 0).await {
                Ok(records) => return Ok(records),
                Err(trouble) => patience.again(trouble).await?,
            }
        }
    }

    async fn read_once(
        &self,
        shard: &Shard,
        after: u64,
        max_bytes: usize,
        careful: bool,
    ) -> Result<Vec<Record>, Trouble> {
        // Behind its last record an owner knows of nothing; but one that has handed the shard over does not know
        // that either, and others have gone on.
        let term = shard.term().ok().filter(|term| after < term.last);
        if let Some(Term { trimmed, .. }) = term
            && after < trimmed
        {
            return Err(too_late(shard.id, after, trimmed).into());
        }
        let at = self.calls.timestamp().await?;
        if term.is_none() || careful {
            let mark = self.mark(at, shard.id).await?;
            if after < mark.through {
                return Err(too_late(shard.id, after, mark.through).into());
            }
        }
        let records = self.run(at, shard.id, after, max_bytes, careful).await?;
        match (records.last(), term) {
            (Some(last), _) => shard.saw(last.number),
            (None, Some(_)) => return Err(gap(shard.id, after + 1)),
            (None, None) => {}
        }
        Ok(records)
    }

    /// Records behind `after` as of `at` up to the first gap, about `max_bytes` of them.
    async fn run(
        &self,
        at: Timestamp,
        shard: ShardId,
        after: u64,
        max_bytes: usize,
        careful: bool,
    ) -> Result<Vec<Record>, Trouble> {
        let mut size = PageSize::new(careful);
        let (mut records, mut bytes): (Vec<Record>, usize) = (Vec::new(), 0);
        loop {
            let from = records.last().map_or(after, |last| last.number) + 1;
            let (page, whole) = self.page(at, shard, from, &mut size).await?;
            let mut expected = from;
            for (number, found) in page {
                if number != expected && !self.config.leaves_out(Planted::SkipGap) {
                    return if records.is_empty() { Err(gap(shard, expected)) } else { Ok(records) };
                }
                bytes += found.bytes.len();
                records.push(Record { number, bytes: found.bytes });
                if bytes >= max_bytes {
                    return Ok(records);
                }
                expected = number + 1;
            }
            if whole {
                return Ok(records);
            }
        }
    }

    /// How far the journal of `shard` is, whoever owns it.
    pub(crate) async fn tail(&self, shard: &Shard, patience: &mut Patience<'_>) -> Result<Seen, Error> {
        loop {
            match self.tail_once(shard, patience.tries() > 0).await {
                Ok(seen) => {
                    shard.saw(seen.last);
                    return Ok(seen);
                }
                Err(trouble) => patience.again(trouble).await?,
            }
        }
    }

    async fn tail_once(&self, shard: &Shard, careful: bool) -> Result<Seen, Trouble> {
        let at = self.calls.timestamp().await?;
        let (guard, mark) = self.marks(at, shard.id).await?;
        // Everything up to there was committed. What was trimmed is gone, except the last record. The epoch of a
        // journal that has ended is nobody's record.
        let epoch = if guard.sealed().is_some() { 0 } else { guard.epoch };
        let start = shard.known().max(guard.checkpoint).max(epoch).max(mark.through);
        let may_be_gone = start == mark.through;
        let mut size = PageSize::new(careful);
        let (mut last, mut record) = (0, None);
        let mut expected = start.max(1);
        loop {
            let (page, whole) = self.page(at, shard.id, expected, &mut size).await?;
            for (number, found) in page {
                let gone = may_be_gone && last == 0 && number == start + 1;
                if number != expected && !gone && !self.config.leaves_out(Planted::SkipGap) {
                    return Err(gap(shard.id, expected));
                }
                (last, record, expected) = (number, Some(found.bytes), number + 1);
            }
            if whole {
                break;
            }
        }
        if last < start {
            return Err(gap(shard.id, start));
        }
        Ok(Seen { guard, mark, last, record })
    }

    /// Guard and trim mark as of `at`.
    pub(crate) async fn marks(&self, at: Timestamp, shard: ShardId) -> Result<(Guard, Mark), Trouble> {
        let (guard, mark) = futures::future::join(self.guard(at, shard), self.mark(at, shard)).await;
        Ok((guard?, mark?))
    }

    /// The guard as of `at`.
    pub(crate) async fn guard(&self, at: Timestamp, shard: ShardId) -> Result<Guard, Trouble> {
        let found = self.calls.get(at, self.keys.guard(shard)).await?;
        Ok(Guard::decode(found.as_ref())?)
    }

    pub(crate) async fn extent(&self, shard: ShardId) -> Result<Extent, Error> {
        let shard = self.shard(shard)?;
        let mut patience = self.calls.patience("extent", limits::STORE_PATIENCE);
        let Seen { guard, mark, last, .. } = self.tail(&shard, &mut patience).await?;
        // Whoever met the end of the journal on his way to take it over may have left a record behind it.
        let last = guard.sealed().unwrap_or(last);
        Ok(Extent { checkpoint: guard.checkpoint, trimmed: mark.through, last })
    }
}

fn too_late(shard: ShardId, after: u64, trimmed: u64) -> Error {
    Error::Invalid(format!("records of shard {shard} after {after}: those up to {trimmed} may be gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_large_as_its_largest_record_allows() {
        let mut size = PageSize::new(false);
        assert_eq!(size.limit, limits::STORE_PAGE_RECORDS);
        size.saw(16);
        assert_eq!(size.limit, limits::STORE_PAGE_RECORDS_MAX);
        size.saw(100 << 10);
        assert_eq!(size.limit, 10);
        size.saw(limits::RECORD_BYTES);
        assert_eq!(size.limit, limits::STORE_PAGE_RECORDS);
        let mut size = PageSize::new(true);
        size.saw(16);
        assert_eq!(size.limit, limits::STORE_PAGE_RECORDS);
    }
}
