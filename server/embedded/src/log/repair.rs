//! Dropping what is damaged, when that was asked for: the smallest end or beginning of the journal
//! that leaves a whole one. Everything that goes is copied or renamed to `<file>.corrupt` first.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ordermill_store::Error;

use super::recovery::{Cure, Damage};
use super::segment::{self, Header, UNFINISHED, sync_dir};
use super::{Config, Marks, Raise};
use crate::lock::unavailable;

/// The segment files, oldest first; removes what was left unfinished.
pub(super) fn list(config: &Config) -> Result<Vec<PathBuf>, Error> {
    let io = |error: io::Error| unavailable(&config.dir, &error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&config.dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            std::fs::remove_file(&path).map_err(io)?;
        } else if segment::generation_of(&path).is_some() {
            files.push(path);
        }
    }
    // All names have the same length.
    files.sort_unstable();
    Ok(files)
}

/// A generation that no segment has or had, as far as the directory tells.
pub(super) fn next_generation(config: &Config) -> Result<u64, Error> {
    let io = |error: io::Error| unavailable(&config.dir, &error);
    let mut highest = 0;
    for entry in std::fs::read_dir(&config.dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let stem = name.to_str().and_then(|name| name.get(..16));
        highest = highest.max(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()).unwrap_or(0));
    }
    Ok(highest + 1)
}

/// Drops the journal from the damage on; or up to the damage, when the rows contain all of that.
pub(super) fn accept(
    config: &Config,
    files: &[PathBuf],
    damage: &Damage,
    marks: &mut [Marks],
    raise: Raise<'_>,
) -> Result<(), Error> {
    let io = |error: io::Error| unavailable(&config.dir, &error);
    match damage.cure {
        Cure::TrimShard(only) => {
            return raise_to(marks, raise, |shard, mark| if shard == only { mark.checkpoint } else { mark.trimmed });
        }
        Cure::TrimAll => return raise_to(marks, raise, |_, mark| mark.checkpoint),
        Cure::TrimBefore => {
            if let Some(first) = contained_before(config, files, 0, marks) {
                return raise_to(marks, raise, |shard, _| first[shard] - 1);
            }
        }
        Cure::Drop => {}
    }
    if let Some(first) = contained_before(config, files, damage.segment + 1, marks) {
        // History only: a reader of the feed misses it, no row does.
        raise_to(marks, raise, |shard, _| first[shard] - 1)?;
        for file in &files[..=damage.segment] {
            set_aside(file).map_err(io)?;
        }
        return sync_dir(&config.dir).map_err(io);
    }
    let whole = usize::from(damage.offset >= segment::header_bytes(marks.len()));
    for file in files.iter().skip(damage.segment + whole) {
        set_aside(file).map_err(io)?;
    }
    if let Some(file) = files.get(damage.segment).filter(|_| whole == 1) {
        std::fs::copy(file, aside(file)).map_err(io)?;
        let kept = OpenOptions::new().write(true).open(file).map_err(io)?;
        kept.set_len(damage.offset).and_then(|()| kept.sync_all()).map_err(io)?;
    }
    sync_dir(&config.dir).map_err(io)
}

/// The first numbers of a segment, if the rows contain all before them.
fn contained_before(config: &Config, files: &[PathBuf], segment: usize, marks: &[Marks]) -> Option<Vec<u64>> {
    let shards = config.shards as usize;
    let mut bytes = vec![0; segment::header_bytes(shards) as usize];
    File::open(files.get(segment)?).and_then(|file| file.read_exact_at(&mut bytes, 0)).ok()?;
    let first = Header::decode(&bytes, shards).ok()?.first;
    first.iter().zip(marks).all(|(&first, mark)| first - 1 <= mark.checkpoint).then_some(first)
}

fn raise_to(marks: &mut [Marks], raise: Raise<'_>, to: impl Fn(usize, &Marks) -> u64) -> Result<(), Error> {
    for (shard, mark) in marks.iter_mut().enumerate() {
        let trimmed = to(shard, mark);
        if trimmed > mark.trimmed {
            raise(shard as u32, trimmed)?;
            mark.trimmed = trimmed;
        }
    }
    Ok(())
}

fn set_aside(file: &Path) -> io::Result<()> {
    tracing::error!(file = %file.display(), aside = %aside(file).display(), "a journal segment is set aside");
    std::fs::rename(file, aside(file))
}

/// A name for what is dropped of `file` that no file has yet.
fn aside(file: &Path) -> PathBuf {
    let name = |count: u32| {
        let mut name = OsString::from(file);
        name.push(if count == 0 { ".corrupt".to_owned() } else { format!(".corrupt.{count}") });
        PathBuf::from(name)
    };
    (0..1_000).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}
