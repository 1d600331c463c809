//! When a shard's next timer may be due: so that a shard at rest asks its store for nothing.
//!
//! A memory, never the truth: the rows are. It may name a time that is too early, which costs a look, and
//! never one that is too late.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use ordermill_store::keys::{self, Kind, RowKey};

use crate::keys::timer_of;

/// A time at which, or before which, the next timer is due, milliseconds since the Unix epoch. At first the
/// beginning of time: nobody has looked yet.
#[derive(Debug, Default)]
pub(crate) struct NextTimer(AtomicU64);

impl NextTimer {
    /// Whether a timer may be due at `now_ms`.
    pub(crate) fn may_be_due(&self, now_ms: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now_ms
    }

    /// Forgets the time, before somebody looks: what is committed from now on is noted again, and what was
    /// committed before is seen by the look.
    pub(crate) fn forget(&self) {
        self.0.store(u64::MAX, Ordering::SeqCst);
    }

    /// There may be a timer that is due at `due_ms`.
    pub(crate) fn note(&self, due_ms: u64) {
        self.0.fetch_min(due_ms, Ordering::SeqCst);
    }

    /// Notes a committed row, if it is a timer.
    pub(crate) fn note_row(&self, key: &RowKey, value: Option<&Bytes>) {
        if key.get(keys::HEAD_BYTES - 1) == Some(&(Kind::Timer as u8))
            && value.is_some()
            && let Some(timer) = keys::decode(key).as_ref().and_then(timer_of)
        {
            self.note(timer.due_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use ordermill_order::rows::{Timer, TimerKind};

    use super::*;
    use crate::Keys;

    #[test]
    fn the_earliest_timer_counts_and_nothing_else() {
        let next = NextTimer::default();
        assert!(next.may_be_due(0), "nobody has looked yet");
        next.forget();
        assert!(!next.may_be_due(u64::MAX - 1));
        let keys = Keys { cluster: 1 };
        let key = |due_ms| keys.timer("t", &Timer { due_ms, slot: 3, what: TimerKind::Fill("tea".into()) });
        next.note_row(&key(70), Some(&Bytes::new()));
        next.note_row(&key(50), Some(&Bytes::new()));
        next.note_row(&key(60), Some(&Bytes::new()));
        next.note_row(&key(10), None);
        next.note_row(&keys.item("t", "tea"), Some(&Bytes::new()));
        assert!(next.may_be_due(50) && !next.may_be_due(49));
    }
}
