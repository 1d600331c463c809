//! Looking at a row, and at the time, without owning anything.
//!
//! Guard, row and journal are read at one timestamp, so that what the guard says of the row holds. Never
//! waits for an owner, and never says that a row is the newest.

use ordermill_station::limits;
use ordermill_store::{Error, Known, Peek, Record, ShardId};

use crate::Inner;
use crate::call::Trouble;
use crate::keys;
use crate::stored::{self, decode_row};

impl Inner {
    pub(crate) async fn peek(&self, shard: ShardId, key: &[u8], known: Known) -> Result<Peek, Error> {
        let shard = self.shard(shard)?.id;
        let mut patience = self.calls.patience("peek", limits::STORE_CALL);
        loop {
            match self.peek_once(shard, key, known).await {
                Ok(peek) => return Ok(peek),
                Err(trouble) => patience.again(trouble).await?,
            }
        }
    }

    async fn peek_once(&self, shard: ShardId, key: &[u8], known: Known) -> Result<Peek, Trouble> {
        let at = self.calls.timestamp().await?;
        let guard = self.guard(at, shard).await?;
        if let Some(last) = guard.sealed() {
            return Err(Error::Sealed(last).into());
        }
        let checkpoint = guard.checkpoint;
        let row = self.calls.get(at, keys::row(key)).await?.map(decode_row);
        let mut behind = None;
        if known.first <= checkpoint {
            let number = checkpoint.max(known.quiet) + 1;
            let found = self.calls.get(at, self.keys.record(shard, number)).await?;
            let found = found.map(stored::Record::decode).transpose()?;
            behind = found.map(|found| Record { number, bytes: found.bytes });
        }
        Ok(Peek { row, at_ms: at.physical_ms(), checkpoint, behind })
    }

    pub(crate) async fn time_ms(&self) -> Result<u64, Error> {
        let unavailable = |failure| Error::Unavailable(format!("the service does not tell the time: {failure}"));
        Ok(self.calls.timestamp().await.map_err(unavailable)?.physical_ms())
    }
}
