//! Reading rows as of the last flush. Knows no slots and no kinds.

use std::ops::Bound;

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::{Error, Page};

use crate::Inner;
use crate::keys;
use crate::stored::decode_row;

impl Inner {
    pub(crate) async fn get(&self, rows: &[Bytes]) -> Result<Vec<Option<Bytes>>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let stored: Vec<Bytes> = rows.iter().map(|key| keys::row(key)).collect();
        let found = self.get_stored(&stored, &mut self.calls.patience("get", limits::STORE_PATIENCE)).await?;
        Ok(found.into_iter().map(|value| value.map(decode_row)).collect())
    }

    pub(crate) async fn scan(&self, from: Bound<Bytes>, to: Bound<Bytes>, limit: usize) -> Result<Page, Error> {
        let mut page = Page::default();
        let Some((mut from, to)) = self.keys.rows_between(from, to) else { return Ok(page) };
        let mut patience = self.calls.patience("scan", limits::STORE_PATIENCE);
        loop {
            // One more than wanted says whether there are more. An answer that was too large is smaller
            // the next time.
            let wanted = limit.saturating_add(1).saturating_sub(page.rows.len());
            let together = wanted.min((limits::STORE_ROWS >> (2 * patience.tries().min(8))).max(1));
            let look = async {
                let at = self.calls.timestamp().await?;
                self.calls.scan(at, (from.clone(), to.clone()), together as u32).await
            };
            let found = match look.await {
                Ok(found) => found,
                Err(failure) => {
                    patience.again(failure).await?;
                    continue;
                }
            };
            patience.prolong();
            let whole = found.len() < together;
            if let Some((last, _)) = found.last() {
                from = keys::after(last);
            }
            for (stored, value) in found.into_iter().filter(|(stored, _)| !keys::is_flush_number(stored)) {
                let key = keys::row_of(&stored).ok_or_else(|| Error::Corrupt("a row's key is none".to_owned()))?;
                page.rows.push((key, decode_row(value)));
            }
            page.more = page.rows.len() > limit;
            if page.more || whole {
                page.rows.truncate(limit);
                return Ok(page);
            }
        }
    }
}
