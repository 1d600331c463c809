//! The journal as a log of segment files: one write and one fdatasync per batch.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

const SEGMENT_BYTES: u64 = 64 << 20;
const ZERO_AHEAD_BYTES: usize = 512 << 10;
const RECYCLED: u64 = 2;

/// What a segment is before it is written to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Segments {
    /// Empty: each write makes the file longer.
    Append,
    /// Allocated, not written: each fsync has to say that some of it is written now.
    Fallocate,
    /// Allocated, and zeroed 512 KiB ahead of the records.
    ZeroAhead,
    /// An old segment, or one that was filled with zeros before the run.
    Recycled,
}

pub struct Log {
    dir: PathBuf,
    segments: Segments,
    number: u64,
    file: File,
    at: u64,
    zeroed: u64,
}

impl Log {
    pub fn create(dir: &Path, segments: Segments) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        if segments == Segments::Recycled {
            for number in 0..RECYCLED {
                let file = File::create(dir.join(format!("{number}.log")))?;
                file.write_all_at(&vec![0; SEGMENT_BYTES as usize], 0)?;
                file.sync_all()?;
            }
        }
        let file = open(dir, segments, 0)?;
        Ok(Self { dir: dir.to_owned(), segments, number: 0, file, at: 0, zeroed: 0 })
    }

    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let end = self.at + record.len() as u64;
        if end > SEGMENT_BYTES {
            self.number += 1;
            self.file = open(&self.dir, self.segments, self.number)?;
            (self.at, self.zeroed) = (0, 0);
            return self.append(record);
        }
        if self.segments == Segments::ZeroAhead && end > self.zeroed {
            self.file.write_all_at(&[0; ZERO_AHEAD_BYTES], end)?;
            self.zeroed = end + ZERO_AHEAD_BYTES as u64;
        }
        self.file.write_all_at(record, self.at)?;
        self.at = end;
        self.file.sync_data()
    }
}

fn open(dir: &Path, segments: Segments, number: u64) -> io::Result<File> {
    let number = if segments == Segments::Recycled { number % RECYCLED } else { number };
    let path = dir.join(format!("{number}.log"));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
    if matches!(segments, Segments::Fallocate | Segments::ZeroAhead) {
        fallocate(&file, FallocateFlags::empty(), 0, SEGMENT_BYTES)?;
    }
    file.sync_all()?;
    File::open(dir)?.sync_all()?;
    Ok(file)
}
