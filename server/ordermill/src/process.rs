//! What the process asks of the system before it begins.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::disable_transparent_huge_pages;

/// Many files, small pages.
pub(crate) fn prepare() {
    raise_open_files();
    // The heap is returned in pieces and taken again in pieces. With pages of 2 MiB each piece taken costs the
    // clearing of a whole page: a sixth of a bulk import's time, and a third more resident memory.
    if let Err(error) = disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages stay as the system has them");
    }
}

/// Raises the limit as far as it goes: every connection is a file, and so is every table.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, ?limit, "the limit of open files could not be raised");
    }
}
