//! Whose directory this is: the lock that keeps a second process out, and the file that says how
//! the store was created.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use ordermill_store::Error;

use crate::log::{is_no_room, sync_dir};

/// Version of everything inside the data directory.
const FORMAT_VERSION: u32 = 1;
const LOCK: &str = "LOCK";
const FORMAT: &str = "FORMAT";

/// What an input or output error of the store's own files means: nothing was written.
pub(crate) fn unavailable(path: &Path, error: &std::io::Error) -> Error {
    let what = format!("{}: {error}", path.display());
    if is_no_room(error) { Error::Full(what) } else { Error::Unavailable(what) }
}

/// Locks the directory until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(|error| unavailable(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Without the number the message is still right.
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "another process".to_owned() } else { holder.trim().to_owned() };
            return Err(Error::Unavailable(format!(
                "{} is in use by {holder}: stop it, or choose another data directory",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(unavailable(&path, &error)),
    }
    let write = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
    if let Err(error) = write {
        // The lock holds all the same; a full disk must not keep the store from being read.
        tracing::debug!(%error, "the lock file does not say who holds it");
    }
    Ok(file)
}

/// Checks that the directory was created for this cluster with this many shards; says so in a new
/// directory.
pub(crate) fn check_format(dir: &Path, cluster: u32, shards: u32) -> Result<(), Error> {
    let path = dir.join(FORMAT);
    let wanted = format!("ordermill-embedded {FORMAT_VERSION}\ncluster {cluster}\nshards {shards}\n");
    match std::fs::read_to_string(&path) {
        Ok(found) if found == wanted => Ok(()),
        Ok(found) => Err(Error::Invalid(format!(
            "{} was created as \"{}\" and cannot be opened as \"{}\"",
            dir.display(),
            found.trim().replace('\n', ", "),
            wanted.trim().replace('\n', ", ")
        ))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if dir.join("journal").exists() {
                return Err(Error::Corrupt(format!(
                    "{} is missing in a directory that holds a journal",
                    path.display()
                )));
            }
            write_whole(dir, FORMAT, wanted.as_bytes()).map_err(|error| unavailable(&path, &error))
        }
        Err(error) => Err(unavailable(&path, &error)),
    }
}

/// The cluster and the number of shards that the directory was created for; `None` when it holds no data.
pub(crate) fn made_for(dir: &Path) -> Result<Option<(u32, u32)>, Error> {
    let path = dir.join(FORMAT);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unavailable(&path, &error)),
    };
    let number = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    let made = number("cluster ").zip(number("shards "));
    made.map(Some).ok_or_else(|| Error::Corrupt(format!("{} at byte 0: it is not what was written", path.display())))
}

/// Replaces a small file durably: after a crash it is the old one or the new one.
pub(crate) fn write_whole(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = dir.join(format!("{name}.tmp"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, dir.join(name))?;
    sync_dir(dir)
}
