//! What this store keeps around the bytes that it was given: documented bytes, nothing else.
//!
//! Knows neither where these stand nor how they got there.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ordermill_store::Error;

/// Who wrote something, and with which of its writes: no two writes ever have the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce {
    /// The run of the store that wrote.
    pub incarnation: u64,
    /// Counts the writes of that run, from 1.
    pub batch: u64,
}

/// Bytes of a stored [`Nonce`].
const NONCE_BYTES: usize = 16;

impl Nonce {
    fn put(self, out: &mut BytesMut) {
        out.put_u64(self.incarnation);
        out.put_u64(self.batch);
    }

    fn take(bytes: &mut Bytes) -> Option<Self> {
        (bytes.len() >= NONCE_BYTES).then(|| Self { incarnation: bytes.get_u64(), batch: bytes.get_u64() })
    }
}

fn damaged(what: &str) -> Error {
    Error::Corrupt(format!("{what} is not what this store writes"))
}

/// A record: `nonce | bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it.
    pub nonce: Nonce,
    /// What was appended.
    pub bytes: Bytes,
}

impl Record {
    /// The stored bytes.
    pub fn encode(nonce: Nonce, bytes: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(NONCE_BYTES + bytes.len());
        nonce.put(&mut out);
        out.put_slice(bytes);
        out.freeze()
    }

    /// Reads stored bytes back; `Corrupt` when they are no record.
    pub fn decode(mut bytes: Bytes) -> Result<Self, Error> {
        let nonce = Nonce::take(&mut bytes).ok_or_else(|| damaged("a record"))?;
        Ok(Self { nonce, bytes })
    }
}

/// A row's value: the value, behind a zero byte if it is empty or begins with one. The service knows no
/// empty values; those of rows are messages, which begin with no zero byte, and are not copied.
pub fn encode_row(value: Bytes) -> Bytes {
    if value.first().is_some_and(|first| *first != 0) {
        return value;
    }
    let mut out = BytesMut::with_capacity(1 + value.len());
    out.put_u8(0);
    out.put_slice(&value);
    out.freeze()
}

/// The value of a row from its stored bytes.
pub fn decode_row(stored: Bytes) -> Bytes {
    if stored.first() == Some(&0) { stored.slice(1..) } else { stored }
}

/// The guard of a shard: `epoch u64 | checkpoint u64`. Both only ever rise; none: both are 0.
///
/// The highest epoch there is belongs to nobody: it says that the journal has ended, at the checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// Number of the record with which the owner that may flush began.
    pub epoch: u64,
    /// All records up to here are contained in the rows.
    pub checkpoint: u64,
}

impl Guard {
    /// The guard of a journal that has ended with record `last`.
    pub fn sealed_at(last: u64) -> Self {
        Self { epoch: u64::MAX, checkpoint: last }
    }

    /// The last record of a journal that has ended.
    pub fn sealed(self) -> Option<u64> {
        (self.epoch == u64::MAX).then_some(self.checkpoint)
    }

    /// The stored bytes.
    pub fn encode(self) -> Bytes {
        two(self.epoch, self.checkpoint)
    }

    /// Reads stored bytes back; `Corrupt` when they are no guard.
    pub fn decode(bytes: Option<&Bytes>) -> Result<Self, Error> {
        let [epoch, checkpoint] = pair("a guard", bytes)?;
        Ok(Self { epoch, checkpoint })
    }
}

/// The trim mark of a shard: `through u64 | gone u64`. Both only ever rise; none: both are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Records up to here may be gone: nobody reads them, and nobody may write there.
    pub through: u64,
    /// Records up to here were seen to be gone when the mark was written: where to look for the first
    /// one that is left.
    pub gone: u64,
}

impl Mark {
    /// The stored bytes.
    pub fn encode(self) -> Bytes {
        two(self.through, self.gone)
    }

    /// Reads stored bytes back; `Corrupt` when they are no trim mark.
    pub fn decode(bytes: Option<&Bytes>) -> Result<Self, Error> {
        let [through, gone] = pair("a trim mark", bytes)?;
        Ok(Self { through, gone })
    }
}

/// The flush number of a slot, `u64`: when the transaction began that wrote rows of the slot last. It only
/// ever rises: a transaction that began earlier than it was written fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlushNumber(pub u64);

impl FlushNumber {
    /// Bytes of a stored one.
    pub const BYTES: usize = 8;

    /// The stored bytes.
    pub fn encode(self) -> Bytes {
        Bytes::copy_from_slice(&self.0.to_be_bytes())
    }

    /// Reads stored bytes back; `Corrupt` when they are no flush number.
    pub fn decode(bytes: Option<&Bytes>) -> Result<Self, Error> {
        let Some(bytes) = bytes else { return Ok(Self::default()) };
        let bytes = bytes[..].try_into().map_err(|_| damaged("a flush number"))?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

fn two(a: u64, b: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(16);
    out.put_u64(a);
    out.put_u64(b);
    out.freeze()
}

fn pair(what: &str, bytes: Option<&Bytes>) -> Result<[u64; 2], Error> {
    let Some(bytes) = bytes else { return Ok([0, 0]) };
    let mut bytes = &bytes[..];
    if bytes.len() != 16 {
        return Err(damaged(what));
    }
    Ok([bytes.get_u64(), bytes.get_u64()])
}

/// A coordination value: `nonce | nonce of the value before | bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Who wrote it.
    pub nonce: Nonce,
    /// Who wrote the value that it replaced; zeros when there was none.
    pub before: Nonce,
    /// What the caller gave.
    pub bytes: Bytes,
}

impl Value {
    /// The stored bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(2 * NONCE_BYTES + self.bytes.len());
        self.nonce.put(&mut out);
        self.before.put(&mut out);
        out.put_slice(&self.bytes);
        out.freeze()
    }

    /// Reads stored bytes back; `Corrupt` when they are no coordination value.
    pub fn decode(mut bytes: Bytes) -> Result<Self, Error> {
        let nonces = Nonce::take(&mut bytes).zip(Nonce::take(&mut bytes));
        let (nonce, before) = nonces.ok_or_else(|| damaged("a coordination value"))?;
        Ok(Self { nonce, before, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = Nonce { incarnation: 0x0102, batch: 3 };

    #[test]
    fn golden_bytes() {
        let record = Record::encode(NONCE, b"ab");
        assert_eq!(record[..], [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3, b'a', b'b']);
        let guard = Guard { epoch: 5, checkpoint: 0x0607 };
        assert_eq!(guard.encode()[..], [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 6, 7]);
        assert_eq!(Guard::sealed_at(7).encode()[..], [255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 7]);
        let mark = Mark { through: 5, gone: 4 };
        assert_eq!(mark.encode()[..], [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 4]);
        assert_eq!(FlushNumber(0x0607).encode()[..], [0, 0, 0, 0, 0, 0, 6, 7]);
        let value = Value { nonce: NONCE, before: Nonce::default(), bytes: "ab".into() };
        assert_eq!(value.encode()[16..32], [0; 16]);
        assert_eq!((&value.encode()[..16], &value.encode()[32..]), (&record[..16], &record[16..]));
    }

    #[test]
    fn round_trip() {
        let record = Record { nonce: NONCE, bytes: "ab".into() };
        assert_eq!(Record::decode(Record::encode(NONCE, b"ab")).unwrap(), record);
        let guard = Guard { epoch: 5, checkpoint: 9 };
        assert_eq!(Guard::decode(Some(&guard.encode())).unwrap(), guard);
        assert_eq!(Guard::decode(None).unwrap(), Guard::default());
        assert_eq!((guard.sealed(), Guard::sealed_at(9).sealed()), (None, Some(9)));
        let number = FlushNumber(9);
        assert_eq!(FlushNumber::decode(Some(&number.encode())).unwrap(), number);
        assert_eq!(FlushNumber::decode(None).unwrap(), FlushNumber::default());
        let mark = Mark { through: 5, gone: 4 };
        assert_eq!(Mark::decode(Some(&mark.encode())).unwrap(), mark);
        let value = Value { nonce: NONCE, before: NONCE, bytes: Bytes::new() };
        assert_eq!(Value::decode(value.encode()).unwrap(), value);
    }

    #[test]
    fn no_stored_row_is_empty_and_none_is_another() {
        let values: [&[u8]; 5] = [b"", b"\0", b"\0a", b"a", b"a\0"];
        let stored = values.map(|value| encode_row(Bytes::from_static(value)));
        assert_eq!(stored, [&b"\0"[..], b"\0\0", b"\0\0a", b"a", b"a\0"]);
        assert_eq!(stored.map(decode_row), values);
    }

    #[test]
    fn what_is_too_short_is_corrupt() {
        assert!(matches!(Record::decode(Bytes::from_static(&[0; 15])), Err(Error::Corrupt(_))));
        assert!(matches!(Value::decode(Bytes::from_static(&[0; 31])), Err(Error::Corrupt(_))));
        assert!(matches!(Guard::decode(Some(&Bytes::from_static(&[0; 15]))), Err(Error::Corrupt(_))));
        assert!(matches!(FlushNumber::decode(Some(&Bytes::from_static(&[0; 7]))), Err(Error::Corrupt(_))));
        assert!(matches!(Mark::decode(Some(&Bytes::from_static(&[0; 17]))), Err(Error::Corrupt(_))));
    }
}
