//! What lies on the disk under a server: its journal's blocks, copies of its directory, and small
//! file systems that can be filled.
//!
//! Knows of the journal's format only where blocks begin and how long they are.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Bytes before a block's frames, and what they begin with.
const HEAD: (usize, &[u8]) = (32, b"omBK");
/// A segment's header takes whole pages.
const PAGE: usize = 4096;

/// Where a block lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its first byte.
    pub begin: usize,
    /// The byte behind it.
    pub end: usize,
}

/// The newest segment of the journal in a data directory.
pub fn newest_segment(data_dir: &Path) -> PathBuf {
    let mut files = files(&data_dir.join("journal"));
    files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.pop().expect("a journal has a segment")
}

/// The blocks of a segment's file, as far as one follows the other.
pub fn blocks(segment: &[u8]) -> Vec<Block> {
    let begins = |at: usize| segment.get(at..at + HEAD.0).is_some_and(|head| head.starts_with(HEAD.1));
    let first = (0..segment.len()).step_by(PAGE).skip(1).find(|&at| begins(at));
    let mut blocks = Vec::new();
    let mut at = first.unwrap_or(segment.len());
    while begins(at) {
        let payload = segment[at + 8..at + 12].try_into().map(u32::from_le_bytes).expect("four bytes are four bytes");
        let end = at + HEAD.0 + payload as usize;
        blocks.push(Block { begin: at, end });
        at = end;
    }
    blocks
}

/// All files below a directory, in the order of their paths.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("the directory can be read") {
        let path = entry.expect("the directory can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Copies a directory with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("the file lies below the directory"));
        std::fs::create_dir_all(target.parent().expect("a file lies in a directory")).expect("it can be made");
        std::fs::copy(&file, &target).expect("the file can be copied");
    }
}

/// Turns one bit of a file over.
pub fn flip(file: &Path, at: usize) {
    let opened = File::options().read(true).write(true).open(file).expect("the file can be opened");
    let mut byte = [0];
    opened.read_exact_at(&mut byte, at as u64).expect("the byte can be read");
    opened.write_all_at(&[byte[0] ^ 0x10], at as u64).expect("the byte can be written");
}

/// A small file system of its own, unmounted when it is dropped. Needs root.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
    _dir: TempDir,
}

impl SmallDisk {
    /// Mounts one with room for so much.
    ///
    /// # Panics
    ///
    /// When that is not allowed.
    pub fn mount(mib: u32) -> Self {
        let dir = TempDir::new().expect("a directory can be made");
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).expect("a directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(&path)
            .output()
            .expect("this test runs the program `mount`");
        let why = String::from_utf8_lossy(&mounted.stderr);
        assert!(
            mounted.status.success(),
            "this test mounts a small file system to fill it, which needs root (and CAP_SYS_ADMIN): {why}"
        );
        Self { path, _dir: dir }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes are free.
    pub fn free_bytes(&self) -> u64 {
        let found = rustix::fs::statvfs(&self.path).expect("the file system can be asked");
        found.f_bavail * found.f_frsize
    }

    /// Takes room away until no more than `left` bytes are free.
    pub fn fill(&self, left: u64) -> Ballast {
        let path = self.path.join("ballast");
        let file = File::create(&path).expect("a file can be made");
        let zeros = vec![0; 64 << 10];
        let mut length = 0;
        loop {
            let more = self.free_bytes().saturating_sub(left).min(zeros.len() as u64) as usize;
            if more == 0 || file.write_all_at(&zeros[..more], length).is_err() {
                return Ballast(path);
            }
            length += more as u64;
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server may still hold a file when a test has failed.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.path.display());
        }
    }
}

/// A file that takes room away; gone when it is dropped.
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            eprintln!("{} takes up room still: {error}", self.0.display());
        }
    }
}
