//! Whether this process's clock agrees with the store's, and whether the process was away for too long.
//!
//! What shards write is never further from the store's time than it may be: their clock is held. A clock
//! that is further away than that is a machine that nobody looks after: its process refuses what clients
//! ask, and asks for its shards to be served elsewhere until the clock is right. Compares with the store
//! only, never with another member.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use ordermill_members::{Handle, Request};
use ordermill_station::clock::{Clock as _, Held};
use ordermill_station::{clock, limits};
use ordermill_store::{Error, Store};
use tokio::sync::watch;
use tokio::time::sleep;

/// What is known of this process's time.
#[derive(Debug)]
pub(crate) struct Timing {
    store: Arc<dyn Store>,
    clock: Arc<Held>,
    /// How far the clock is ahead of the store's, milliseconds, where that is too far; else 0.
    off_ms: AtomicI64,
    /// True once the process was away for so long that it must not go on.
    away: watch::Sender<bool>,
}

impl Timing {
    /// The time of `clock`, to be compared with that of `store`.
    pub(crate) fn of(store: Arc<dyn Store>, clock: clock::Shared) -> Arc<Self> {
        describe_gauge!("ordermill_clock_off_seconds", "How far this process's clock is ahead of the store's");
        let clock = Held::new(clock, limits::CLOCK_OFF);
        Arc::new(Self { store, clock, off_ms: AtomicI64::new(0), away: watch::channel(false).0 })
    }

    /// The clock that everything else goes by.
    pub(crate) fn clock(&self) -> clock::Shared {
        self.clock.clone()
    }

    /// What is wrong with this process's clock, if anything is.
    pub(crate) fn fault(&self) -> Option<String> {
        let off_ms = self.off_ms.load(Ordering::Relaxed);
        let (seconds, most) = (off_ms.unsigned_abs() as f64 / 1_000.0, limits::CLOCK_OFF.as_secs());
        let side = if off_ms > 0 { "ahead of" } else { "behind" };
        (off_ms != 0).then(|| {
            format!("this machine's clock is {seconds:.1} s {side} the store's, {most} s are allowed: set it right")
        })
    }

    /// Returns when the process was away for so long that it must not go on.
    pub(crate) async fn away(&self) {
        let mut away = self.away.subscribe();
        // The sender lives as long as this.
        let _ = away.wait_for(|away| *away).await;
    }

    /// Compares the clock with the store's.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        let (before_ms, begun) = (self.clock.shown_ms(), self.clock.elapsed());
        let Some(store_ms) = self.store.time_ms().await? else { return Ok(()) };
        let (after_ms, ended) = (self.clock.shown_ms(), self.clock.elapsed());
        // The store's time is one between the two looks at the clock: however long the call took, what is
        // told here is certain.
        let off_ms = match store_ms {
            _ if store_ms < before_ms => (before_ms - store_ms) as i64,
            _ if store_ms > after_ms => -((store_ms - after_ms) as i64),
            _ => 0,
        };
        if ended.saturating_sub(begun) <= limits::CLOCK_LOOK {
            self.clock.tell(store_ms, ended);
        }
        gauge!("ordermill_clock_off_seconds").set(off_ms as f64 / 1_000.0);
        let wrong = off_ms.unsigned_abs() > limits::CLOCK_OFF.as_millis() as u64;
        let before = self.off_ms.swap(if wrong { off_ms } else { 0 }, Ordering::Relaxed);
        match self.fault() {
            Some(fault) if before == 0 => tracing::error!(off_ms, "{fault}; until then this process serves nobody"),
            None if before != 0 => tracing::info!(off_ms, "this machine's clock is right again"),
            _ => {}
        }
        Ok(())
    }

    /// Looks again and again, as long as anybody holds `timing`; has the shards of this member moved away
    /// while its clock is wrong.
    pub(crate) async fn watch(timing: Weak<Self>, members: Handle) {
        let me = members.me().incarnation;
        let (mut drained, mut last) = (false, None);
        loop {
            sleep(limits::CLOCK_LOOK).await;
            let Some(timing) = timing.upgrade() else { return };
            let now = timing.clock.elapsed();
            let away = last.replace(now).map_or(Duration::ZERO, |last| now.saturating_sub(last));
            if away > limits::STORE_GARBAGE_LAG / 2 {
                tracing::error!(seconds = away.as_secs(), "this process stood still for too long to go on");
                timing.away.send_replace(true);
                return;
            }
            if let Err(error) = timing.look().await {
                tracing::debug!(%error, "the store does not tell the time");
                continue;
            }
            let wrong = timing.fault().is_some();
            if wrong == drained {
                continue;
            }
            let request = if wrong { Request::Drain(me) } else { Request::Uncordon(me) };
            match members.admin(request).await {
                Ok(_) => drained = wrong,
                Err(error) => tracing::warn!(%error, ?request, "not done yet"),
            }
        }
    }
}
