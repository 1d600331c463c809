//! Small values that are replaced as a whole: coordination values and trim marks.
//!
//! One file, `VALUES`, written anew with every change; all of it is in memory. For a handful of
//! values of a few kilobytes that change seldom: shard maps, members, marks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ordermill_store::Error;
use parking_lot::{Mutex, RwLock};

use crate::lock::{unavailable, write_whole};

const FILE: &str = "VALUES";
const MAGIC: [u8; 8] = *b"omVALUES";
const HEAD_BYTES: usize = 12;
/// Bytes of one value: what is larger is no coordination value.
const VALUE_BYTES: usize = 1 << 20;
/// Names of trim marks begin with a byte that no caller's name may begin with.
const TRIM_PREFIX: &str = "\0trim/";

/// The values, in memory and in their file.
#[derive(Debug)]
pub(crate) struct Values {
    dir: PathBuf,
    /// Held while the file is written; `current` is not, so that reading never waits for a disk.
    writing: Mutex<()>,
    current: RwLock<BTreeMap<String, Bytes>>,
}

impl Values {
    /// Reads the values of a data directory.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(FILE);
        let current = match std::fs::read(&path) {
            Ok(bytes) => decode(&bytes).ok_or_else(|| {
                Error::Corrupt(format!("{} at byte 0: it is not what was written. Restore a backup", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(unavailable(&path, &error)),
        };
        Ok(Self { dir: dir.to_owned(), writing: Mutex::new(()), current: RwLock::new(current) })
    }

    /// The value under a caller's name.
    pub(crate) fn load(&self, name: &str) -> Option<Bytes> {
        if name.starts_with('\0') { None } else { self.current.read().get(name).cloned() }
    }

    /// Replaces a value if it is still `expected`; blocks until that is durable.
    pub(crate) fn compare_and_set(&self, name: &str, expected: Option<&Bytes>, new: Bytes) -> Result<bool, Error> {
        if name.starts_with('\0') || new.len() > VALUE_BYTES {
            return Err(Error::Invalid(format!(
                "a value has at most {VALUE_BYTES} bytes, and its name does not begin with a zero byte"
            )));
        }
        let _writing = self.writing.lock();
        if self.current.read().get(name) != expected {
            return Ok(false);
        }
        self.put(name, new).map(|()| true)
    }

    /// The trim mark of a shard.
    pub(crate) fn trimmed(&self, shard: u32) -> u64 {
        let stored = self.current.read().get(&trim_name(shard)).and_then(|value| value.as_ref().try_into().ok());
        stored.map_or(0, u64::from_le_bytes)
    }

    /// Raises the trim mark of a shard; blocks until that is durable.
    pub(crate) fn raise_trimmed(&self, shard: u32, through: u64) -> Result<(), Error> {
        let _writing = self.writing.lock();
        if through <= self.trimmed(shard) {
            return Ok(());
        }
        self.put(&trim_name(shard), Bytes::copy_from_slice(&through.to_le_bytes()))
    }

    fn put(&self, name: &str, new: Bytes) -> Result<(), Error> {
        let mut next = self.current.read().clone();
        next.insert(name.to_owned(), new);
        write_whole(&self.dir, FILE, &encode(&next)).map_err(|error| {
            let path = self.dir.join(FILE);
            match std::fs::read(&path).ok().and_then(|bytes| decode(&bytes)) {
                // The old file is in its place.
                Some(found) if found == *self.current.read() => unavailable(&path, &error),
                _ => Error::Unknown(format!("{}: {error}", path.display())),
            }
        })?;
        *self.current.write() = next;
        Ok(())
    }
}

fn trim_name(shard: u32) -> String {
    format!("{TRIM_PREFIX}{shard}")
}

/// `magic | crc u32 | (name length u32 | name | value length u32 | value)*`
fn encode(values: &BTreeMap<String, Bytes>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    for (name, value) in values {
        for part in [name.as_bytes(), value] {
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    let crc = crc32c::crc32c(&bytes[HEAD_BYTES..]);
    bytes[8..HEAD_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<BTreeMap<String, Bytes>> {
    let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let crc = u32::from_le_bytes(head[8..].try_into().ok()?);
    if head[..8] != MAGIC || crc32c::crc32c(rest) != crc {
        return None;
    }
    let mut values = BTreeMap::new();
    while !rest.is_empty() {
        let name = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        values.insert(name, Bytes::copy_from_slice(take(&mut rest)?));
    }
    Some(values)
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(length.try_into().ok()?) as usize)?;
    *bytes = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_and_flipped_bytes_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let values = Values::open(dir.path()).unwrap();
        assert!(values.compare_and_set("map", None, Bytes::from_static(b"one")).unwrap());
        assert!(!values.compare_and_set("map", None, Bytes::from_static(b"two")).unwrap());
        values.raise_trimmed(3, 8).unwrap();
        values.raise_trimmed(3, 7).unwrap();
        let again = Values::open(dir.path()).unwrap();
        assert_eq!(again.load("map").as_deref(), Some(&b"one"[..]));
        assert_eq!((again.trimmed(3), again.trimmed(4)), (8, 0));
        let path = dir.path().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            assert_eq!(Values::open(dir.path()).unwrap_err().kind(), "corrupt", "byte {at}");
        }
    }

    #[test]
    fn a_callers_name_never_reaches_a_mark() {
        let dir = tempfile::tempdir().unwrap();
        let values = Values::open(dir.path()).unwrap();
        values.raise_trimmed(0, 1).unwrap();
        assert_eq!(values.load("\0trim/0"), None);
        let refused = values.compare_and_set("\0trim/0", None, Bytes::new());
        assert_eq!(refused.unwrap_err().kind(), "invalid");
    }
}
