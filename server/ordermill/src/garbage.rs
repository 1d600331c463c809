//! Old versions in the store's service, let go by the member that coordinates.
//!
//! Two members that both believe to coordinate do no harm: the service keeps the later one of what it is
//! told. Never decides how long versions are needed: the store does.

use std::time::Duration;

use ordermill_members::Handle;
use ordermill_station::{clock, limits};
use ordermill_transactional::Transactional;
use tokio::time::sleep;

/// Whose turn it is, and since when.
#[derive(Debug, Default)]
struct Turn {
    /// When it was done here last, in this turn.
    done: Option<Duration>,
}

impl Turn {
    /// Whether it is time to collect, at `now`: at once for whoever begins to coordinate.
    fn is_due(&mut self, coordinates: bool, now: Duration) -> bool {
        if !coordinates {
            self.done = None;
            return false;
        }
        self.done.is_none_or(|done| now.saturating_sub(done) >= limits::STORE_GARBAGE_INTERVAL)
    }
}

/// Lets old versions go now and then, while this member coordinates.
pub(crate) async fn collect(store: Transactional, members: Handle, clock: clock::Shared) {
    let mut turn = Turn::default();
    loop {
        sleep(limits::STORE_GARBAGE_LOOK).await;
        if !turn.is_due(members.status().coordinating, clock.elapsed()) {
            continue;
        }
        match store.collect_garbage(limits::STORE_GARBAGE_LAG).await {
            Ok(()) => {
                turn.done = Some(clock.elapsed());
                tracing::info!("old versions in the store were let go");
            }
            Err(error) => tracing::warn!(%error, "old versions in the store were not let go; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_coordinates_collects_at_once_and_then_now_and_then() {
        let mut turn = Turn::default();
        let at = Duration::from_secs;
        assert!(!turn.is_due(false, at(0)));
        assert!(turn.is_due(true, at(5)));
        turn.done = Some(at(6));
        let next = at(6) + limits::STORE_GARBAGE_INTERVAL;
        assert!(!turn.is_due(true, next.saturating_sub(at(1))));
        assert!(turn.is_due(true, next));
        assert!(!turn.is_due(false, at(20)), "somebody else coordinates");
        assert!(turn.is_due(true, at(25)), "a new turn");
    }
}
