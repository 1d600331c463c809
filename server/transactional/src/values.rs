//! Coordination values: small, replaced as a whole, by one writer among many.
//!
//! Each carries who wrote it and who wrote the one before, so that a writer whose answer was lost finds
//! out what became of its write.

use bytes::Bytes;
use ordermill_station::limits;
use ordermill_store::Error;

use crate::Inner;
use crate::call::Trouble;
use crate::measure::{Found, What, resolved};
use crate::service::{Failure, Timestamp};
use crate::stored::{Nonce, Value};

impl Inner {
    pub(crate) async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let key = self.keys.value(check(name, &[])?);
        let mut patience = self.calls.patience("load", limits::STORE_PATIENCE);
        loop {
            let value = async { self.value(self.calls.timestamp().await?, &key).await };
            match value.await {
                Ok(found) => return Ok(found.map(|value| value.bytes)),
                Err(trouble) => patience.again(trouble).await?,
            }
        }
    }

    async fn value(&self, at: Timestamp, key: &Bytes) -> Result<Option<Value>, Trouble> {
        let found = self.calls.get(at, key.clone()).await?;
        Ok(found.map(Value::decode).transpose()?)
    }

    pub(crate) async fn compare_and_set(
        &self,
        name: &str,
        expected: Option<&Bytes>,
        new: Bytes,
    ) -> Result<bool, Error> {
        let key = self.keys.value(check(name, &new)?);
        let mut patience = self.calls.patience("compare_and_set", limits::STORE_EVIDENCE);
        let nonce = self.nonce();
        // What stood there when the value was sent first.
        let mut sent: Option<Nonce> = None;
        let mut failed: Option<Failure> = None;
        // Whether the last write's call did not say what became of it.
        let mut uncertain = false;
        loop {
            let look = async {
                let at = self.calls.begin().await?;
                Ok((at, self.value(at, &key).await?))
            };
            let (at, found) = match look.await {
                Ok(found) => found,
                Err(trouble) => {
                    let again = patience.again::<Trouble>(trouble).await;
                    if again.is_err() && uncertain {
                        resolved(What::Value, Found::Never);
                    }
                    again.map_err(|error| unclear(sent.is_some(), error))?;
                    continue;
                }
            };
            let now = found.as_ref().map_or(Nonce::default(), |value| value.nonce);
            if let Some(before) = sent
                && now != before
            {
                let became = became(nonce, before, found.as_ref(), name);
                if uncertain {
                    resolved(
                        What::Value,
                        match &became {
                            Ok(true) => Found::Mine,
                            Ok(false) => Found::Another,
                            Err(_) => Found::Never,
                        },
                    );
                }
                return became;
            }
            if sent.is_none() && found.as_ref().map(|value| &value.bytes) != expected {
                return Ok(false);
            }
            if std::mem::take(&mut uncertain) {
                resolved(What::Value, Found::Absent);
            }
            if let Some(failure) = failed.take() {
                let again = patience.again(failure).await;
                again.map_err(|error| unclear(true, error))?;
                continue;
            }
            sent = Some(now);
            let value = Value { nonce, before: now, bytes: new.clone() };
            let hint = self.calls.write(at, vec![(key.clone(), Some(value.encode()))]).await;
            uncertain = hint.is_err();
            failed = Some(hint.err().unwrap_or_else(|| Failure::Unavailable("nothing was written".to_owned())));
        }
    }
}

/// What became of the write `mine` over the value `before`, now that another value stands there.
fn became(mine: Nonce, before: Nonce, found: Option<&Value>, name: &str) -> Result<bool, Error> {
    match found {
        Some(value) if value.nonce == mine || value.before == mine => Ok(true),
        Some(value) if value.before == before => Ok(false),
        _ => Err(Error::Unknown(format!("{name} was replaced several times; by whom in between is not known"))),
    }
}

fn unclear(sent: bool, error: Error) -> Error {
    match error {
        Error::Unavailable(text) if sent => Error::Unknown(text),
        error => error,
    }
}

fn check<'a>(name: &'a str, value: &[u8]) -> Result<&'a str, Error> {
    if name.len() <= limits::STORE_NAME_BYTES && value.len() <= limits::STORE_VALUE_BYTES {
        return Ok(name);
    }
    let (name, value) = (limits::STORE_NAME_BYTES, limits::STORE_VALUE_BYTES);
    Err(Error::Invalid(format!("a value has at most {value} bytes, and its name {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_there_now_says_what_became_of_a_write() {
        let nonce = |batch| Nonce { incarnation: 1, batch };
        let value = |at, before| Value { nonce: nonce(at), before: nonce(before), bytes: Bytes::new() };
        let told = |found: Option<Value>| became(nonce(5), nonce(1), found.as_ref(), "map").ok();
        assert_eq!(told(Some(value(5, 1))), Some(true), "mine stands there");
        assert_eq!(told(Some(value(6, 5))), Some(true), "mine was replaced");
        assert_eq!(told(Some(value(6, 1))), Some(false), "another one replaced what was there before");
        assert_eq!(told(Some(value(7, 6))), None);
        assert_eq!(told(None), None);
    }
}
