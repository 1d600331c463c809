//! What the process asks of the system: room before it begins, and how busy it is.

use std::sync::Arc;

use ordermill_routing::Busy;
use ordermill_station::clock;
use parking_lot::Mutex;
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

/// Says how much of the machine's processors this process has used since it was asked last, in
/// thousandths; 0 where the system does not tell.
pub(crate) fn busy(clock: clock::Shared) -> Busy {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let last = Mutex::new((clock.elapsed(), used_ms().unwrap_or_default()));
    Arc::new(move || {
        let Some(used) = used_ms() else { return 0 };
        let mut last = last.lock();
        let now = clock.elapsed();
        let (passed, spent) = (now.saturating_sub(last.0).as_millis() as u64, used.saturating_sub(last.1));
        *last = (now, used);
        (spent * 1_000 / (passed.max(1) * processors)).min(1_000) as u32
    })
}

/// Processor time of this process so far, milliseconds: fields 14 and 15 of proc(5)'s `stat`, in
/// hundredths of a second.
fn used_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before the fields may hold anything, a closing parenthesis too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) * 10)
}
