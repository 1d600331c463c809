//! One file of the journal: its header, how it is made, how it is written and read.
//!
//! `<generation, 16 hex digits>.log`: a header of whole pages with the base table, then blocks,
//! then zeros up to the preallocated length. The base table says for each shard which number comes
//! first in this file, so that a record is found without reading the files before.
//!
//! Never decides whether a block counts: that is `recovery`'s.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::block::{u32_at, u64_at};
use super::index::Index;

/// What a segment file's name ends with.
pub(crate) const EXTENSION: &str = "log";
/// What the name of a segment that is not whole yet ends with.
pub(crate) const UNFINISHED: &str = "tmp";

const MAGIC: [u8; 8] = *b"omSEGLOG";
const VERSION: u32 = 1;
const TABLE_AT: usize = 48;
const ENTRY_BYTES: usize = 16;
const PAGE_BYTES: usize = 4096;

/// What a segment's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The segment's number; the next segment has the next one.
    pub(crate) generation: u64,
    /// Seed of all checksums of the segment's blocks.
    pub(crate) salt: u64,
    /// Sequence of the segment's first block.
    pub(crate) first_block: u64,
    /// For each shard the number of its first record in this segment, were there one.
    pub(crate) first: Vec<u64>,
    /// For each shard the checkpoint when the segment was made: for a human with a hex editor.
    pub(crate) checkpoint: Vec<u64>,
}

/// Bytes of a header with this many shards: where the blocks begin.
pub(crate) fn header_bytes(shards: usize) -> u64 {
    (TABLE_AT + ENTRY_BYTES * shards).next_multiple_of(PAGE_BYTES) as u64
}

/// A number that no other segment carries.
pub(crate) fn new_salt() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; header_bytes(self.first.len()) as usize];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.first_block.to_le_bytes());
        bytes[40..44].copy_from_slice(&(self.first.len() as u32).to_le_bytes());
        for (shard, (first, checkpoint)) in self.first.iter().zip(&self.checkpoint).enumerate() {
            let at = TABLE_AT + ENTRY_BYTES * shard;
            bytes[at..at + 8].copy_from_slice(&first.to_le_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&checkpoint.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header of a segment that has `shards` shards; an error says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8], shards: usize) -> Result<Self, String> {
        if bytes[0..8] != MAGIC {
            return Err("the file does not begin as a segment".to_owned());
        }
        if crc32c::crc32c(&bytes[12..]) != u32_at(bytes, 8) {
            return Err("the header's checksum does not fit".to_owned());
        }
        let (version, stored_shards) = (u32_at(bytes, 12), u32_at(bytes, 40) as usize);
        if version != VERSION {
            return Err(format!("the segment has format {version}, this program reads {VERSION}"));
        }
        if stored_shards != shards {
            return Err(format!("the segment has {stored_shards} shards instead of {shards}"));
        }
        let entry = |shard: usize, at: usize| u64_at(bytes, TABLE_AT + ENTRY_BYTES * shard + at);
        Ok(Self {
            generation: u64_at(bytes, 16),
            salt: u64_at(bytes, 24),
            first_block: u64_at(bytes, 32),
            first: (0..shards).map(|shard| entry(shard, 0)).collect(),
            checkpoint: (0..shards).map(|shard| entry(shard, 8)).collect(),
        })
    }
}

/// A segment: what its header says, and its file while somebody needs it.
#[derive(Debug)]
pub(crate) struct Segment {
    /// What the header says.
    pub(crate) header: Header,
    /// Where the file is.
    pub(crate) path: PathBuf,
    /// The file and where its records are, while in use.
    pub(crate) opened: parking_lot::Mutex<Option<std::sync::Arc<Opened>>>,
}

/// An open segment file and its index.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The file.
    pub(crate) file: File,
    /// Where its durable records are.
    pub(crate) index: parking_lot::RwLock<Index>,
}

/// The path of a segment.
pub(crate) fn path(dir: &Path, generation: u64) -> PathBuf {
    dir.join(format!("{generation:016x}.{EXTENSION}"))
}

/// The generation in a segment file's name; `None` when the name is another file's.
pub(crate) fn generation_of(path: &Path) -> Option<u64> {
    let stem = path.file_stem()?.to_str()?;
    (path.extension()?.to_str()? == EXTENSION && stem.len() == 16).then(|| u64::from_str_radix(stem, 16).ok())?
}

impl Segment {
    /// A segment whose file is there already.
    pub(crate) fn new(dir: &Path, header: Header) -> Self {
        let path = path(dir, header.generation);
        Self { header, path, opened: parking_lot::Mutex::new(None) }
    }

    /// Where the blocks begin.
    pub(crate) fn blocks_at(&self) -> u64 {
        header_bytes(self.header.first.len())
    }

    /// An index without records.
    pub(crate) fn empty_index(&self) -> Index {
        Index::new(&self.header.first)
    }

    /// Makes the file, `bytes` long, and makes it durable. It has its name only once it is whole.
    pub(crate) fn create(dir: &Path, header: Header, bytes: u64) -> io::Result<Self> {
        let segment = Self::new(dir, header);
        let unfinished = segment.path.with_extension(UNFINISHED);
        let made = segment.create_file(dir, &unfinished, bytes);
        if made.is_err() {
            // What is left over is removed at the next attempt or the next open.
            let _ = std::fs::remove_file(&unfinished);
        }
        made.map(|()| segment)
    }

    fn create_file(&self, dir: &Path, unfinished: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(unfinished)?;
        allocate(&file, bytes)?;
        file.write_all_at(&self.header.encode(), 0)?;
        file.sync_all()?;
        std::fs::rename(unfinished, &self.path)?;
        sync_dir(dir)?;
        let opened = Opened { file, index: parking_lot::RwLock::new(self.empty_index()) };
        *self.opened.lock() = Some(std::sync::Arc::new(opened));
        Ok(())
    }
}

/// Reserves `bytes` for a file, so that writing inside them cannot run out of room.
pub(crate) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        // Some file systems reserve nothing: a full disk then shows when a block is written.
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes),
        done => Ok(done?),
    }
}

/// Makes names that were created or removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Says whether an error means that there is no room.
pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_reads_back() {
        let header =
            Header { generation: 3, salt: 9, first_block: 17, first: vec![1, 40, 7], checkpoint: vec![0, 30, 7] };
        let bytes = header.encode();
        assert_eq!(bytes.len() as u64, header_bytes(3));
        assert_eq!(Header::decode(&bytes, 3), Ok(header));
        assert!(Header::decode(&bytes, 4).unwrap_err().contains("3 shards instead of 4"));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(Header::decode(&flipped, 3).is_err(), "byte {at}");
        }
    }

    #[test]
    fn only_segments_have_a_generation() {
        assert_eq!(generation_of(&path(Path::new("/x"), 0xab)), Some(0xab));
        assert_eq!(generation_of(Path::new("/x/00000000000000ab.tmp")), None);
        assert_eq!(generation_of(Path::new("/x/ab.log")), None);
        assert_eq!(generation_of(Path::new("/x/00000000000000ab.log.corrupt")), None);
    }
}
