//! The first record of a journal that begins behind a number: for data that come from elsewhere, whose own
//! numbers shall mean nothing here.
//!
//! To every reader it looks as if records had been there and were trimmed. Only for shards that nobody has
//! served yet.

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error, ShardId};

use crate::append::check_size;
use crate::settle::Step;
use crate::stored::{Guard, Mark};
use crate::{Inner, Transactional};

impl Transactional {
    /// Lets the journal of `shard` begin with `record` as number `after` + 1, if it has not begun yet.
    /// Broken off it may be called again, with another record.
    pub async fn found(&self, shard: ShardId, after: u64, record: Bytes) -> Result<(), Error> {
        self.open()?.found(shard, after, &record).await
    }
}

impl Inner {
    async fn found(&self, shard: ShardId, after: u64, record: &Bytes) -> Result<(), Error> {
        check_size(after + 1, record)?;
        let mut patience = self.calls.patience("found", limits::STORE_EVIDENCE);
        self.settle(&self.keys.guard(shard), &mut patience, |found| {
            let guard = Guard::decode(found)?;
            if guard.checkpoint >= after {
                return Ok(Step::Done(()));
            }
            Ok(Step::Write(Guard { epoch: guard.epoch.max(after), checkpoint: after }.encode()))
        })
        .await?;
        self.settle(&self.keys.trim(shard), &mut patience, |found| {
            let mark = Mark::decode(found)?;
            if mark.through >= after {
                return Ok(Step::Done(()));
            }
            Ok(Step::Write(Mark { through: after, gone: after }.encode()))
        })
        .await?;
        // Mine, or that of an earlier call: both are a beginning.
        self.place(shard, after + 1, (self.nonce(), record), None, &mut patience).await.map(drop)
    }
}
