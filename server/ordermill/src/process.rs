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

/// Says how much of the processors that it may use this process has used since it was asked last, in
/// thousandths; 0 where the system does not tell.
pub(crate) fn busy(clock: clock::Shared) -> Busy {
    let allowed = allowed_permille();
    let last = Mutex::new((clock.elapsed(), used_ms().unwrap_or_default()));
    Arc::new(move || {
        let Some(used) = used_ms() else { return 0 };
        let mut last = last.lock();
        let now = clock.elapsed();
        let (passed, spent) = (now.saturating_sub(last.0).as_millis() as u64, used.saturating_sub(last.1));
        *last = (now, used);
        (spent * 1_000_000 / (passed.max(1) * allowed)).min(1_000) as u32
    })
}

/// Processors that this process may use, in thousandths: a container may be given half of one, and would never look busy
/// beside a whole one.
fn allowed_permille() -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64 * 1_000;
    // In a container this is its own: control groups of the second version, then those of the first.
    let read = |file: &str| std::fs::read_to_string(format!("/sys/fs/cgroup/{file}"));
    let quota = read("cpu.max").or_else(|_| {
        let [quota, period] = [read("cpu/cpu.cfs_quota_us")?, read("cpu/cpu.cfs_period_us")?];
        Ok::<_, std::io::Error>(format!("{} {}", quota.trim(), period.trim()))
    });
    quota.ok().and_then(|quota| quota_permille(&quota)).map_or(processors, |quota| quota.min(processors))
}

/// A quota as control groups tell it, "QUOTA PERIOD" in microseconds; None where there is none: `max`, or -1.
fn quota_permille(told: &str) -> Option<u64> {
    let (quota, period) = told.trim().split_once(' ')?;
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    Some((quota * 1_000 / period.max(1)).max(1))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_processor_is_half_a_processor() {
        assert_eq!(quota_permille("50000 100000\n"), Some(500));
        assert_eq!(quota_permille("400000 100000"), Some(4_000));
        assert_eq!((quota_permille("max 100000"), quota_permille("-1 100000"), quota_permille("")), (None, None, None));
        assert!(allowed_permille() > 0);
    }
}
