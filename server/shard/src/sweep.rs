//! What a shard does by itself: timers that are due, and rows that may be forgotten.
//!
//! Reads beside the shard's task and hands it commands like any other caller, so that nothing here
//! can hold orders up.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Peers;
use ordermill_order::{Action, Command, SlotRange};
use ordermill_station::{clock, limits};
use ordermill_store::keys::{self, Kind, RowKey};

use crate::convert::Row;
use crate::handle::{Handle, Sink, Work};
use crate::keys::{Keys, bands, hold_of, timer_of};
use crate::rows::decoded;
use crate::timers::NextTimer;

/// The attendant of one shard.
pub(crate) struct Attendant {
    pub(crate) handle: Handle,
    pub(crate) keys: Keys,
    pub(crate) clock: clock::Shared,
    pub(crate) peers: Arc<dyn Peers>,
    /// How long tombstones are kept at least.
    pub(crate) keep: Duration,
    pub(crate) next_timer: Arc<NextTimer>,
    pub(crate) swept: Swept,
    /// What was held for long is released, whatever the order's shard says.
    #[cfg(feature = "planted-faults")]
    pub(crate) releases: bool,
}

/// How far the sweep has come.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// The slot that is next, counted from the shard's first.
    slot: u32,
    /// Where to go on in it, if it had more rows than one look shows.
    after: Option<Bytes>,
    /// What is left of a slot's turn, in slots over [`limits::SWEEP_TICKS`].
    due: u32,
}

impl Attendant {
    /// Attends until the shard stops.
    pub(crate) async fn run(mut self) {
        let mut ticks = tokio::time::interval(limits::TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let done = async {
                self.fire_timers().await?;
                #[cfg(feature = "planted-faults")]
                if self.releases {
                    self.release_old_holds().await?;
                }
                self.sweep().await
            };
            match done.await {
                Ok(()) => {}
                Err(crate::Error::NotServed) => return,
                Err(error) => tracing::warn!(shard = %self.handle.id(), %error, "a tick came to nothing"),
            }
        }
    }

    /// Looks for timers only when one may be due: on a shared store every look is a request.
    async fn fire_timers(&self) -> Result<(), crate::Error> {
        let now_ms = self.clock.now_ms();
        if !self.next_timer.may_be_due(now_ms) {
            return Ok(());
        }
        self.next_timer.forget();
        let fired = self.fire_due(now_ms).await;
        self.next_timer.note(*fired.as_ref().unwrap_or(&0));
        fired.map(drop)
    }

    /// Hands in the timers that are due; says when the first of those that it saw is, a fired one included:
    /// it is looked at again until it is gone.
    async fn fire_due(&self, now_ms: u64) -> Result<u64, crate::Error> {
        let range = self.handle.range();
        let (mut left, mut first_ms) = (limits::TIMERS_PER_TICK, u64::MAX);
        for band in bands(range) {
            let prefix = self.keys.prefix(band, Kind::Timer);
            let to = keys::after_prefix(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
            let mut from = Bound::Included(prefix);
            while left > 0 {
                let page = self.handle.look(from, to.clone(), left.min(limits::PAGE_DEFAULT)).await?;
                let mut next = page.next.map(Bound::Excluded);
                for (key, _) in page.rows {
                    let Some(parts) = keys::decode(&key) else { continue };
                    let Some(timer) = timer_of(&parts) else { continue };
                    first_ms = first_ms.min(timer.due_ms);
                    if timer.due_ms > now_ms {
                        // Timers of one tenant stand by time: on to the next tenant.
                        let tenant = &key[..key.len() - parts.rest.len()];
                        next = keys::after_prefix(tenant).map(Bound::Included);
                        break;
                    }
                    if range.contains(timer.slot) {
                        let tenant: Arc<str> = parts.tenant.into();
                        let command = Command { tenant, idempotency: None, action: Action::Timer(timer) };
                        self.handle.post_own(Work::One(Box::new(command), Sink::None)).await;
                        left = left.saturating_sub(1);
                    }
                }
                match next {
                    Some(next) => from = next,
                    None => break,
                }
            }
        }
        // What lies behind the last that was fired is not known.
        Ok(if left > 0 { first_ms } else { 0 })
    }

    /// Goes over all slots within [`limits::SWEEP_TICKS`], a page at a time.
    async fn sweep(&mut self) -> Result<(), crate::Error> {
        let SlotRange { first, last } = self.handle.range();
        let slots = u32::from(last) - u32::from(first) + 1;
        self.swept.due += slots;
        while self.swept.due >= limits::SWEEP_TICKS {
            self.swept.due -= limits::SWEEP_TICKS;
            self.sweep_page(first + self.swept.slot as u16).await?;
            if self.swept.after.is_none() {
                self.swept.slot = (self.swept.slot + 1) % slots;
            }
        }
        Ok(())
    }

    /// Looks at one page of a slot's holds and idempotency keys, between which only places in queues lie.
    async fn sweep_page(&mut self, slot: u16) -> Result<(), crate::Error> {
        let first = self.keys.prefix(slot, Kind::Hold);
        let to = keys::after_prefix(&self.keys.prefix(slot, Kind::Idempotency));
        let from = self.swept.after.take().map_or(Bound::Included(first), Bound::Excluded);
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        let page = self.handle.look(from, to, limits::SWEEP_ROWS).await?;
        self.swept.after = page.next;
        let mut forget = Vec::new();
        for (key, value) in page.rows {
            if self.may_forget(&key, &value).await {
                forget.push((RowKey::from(&key[..]), value));
            }
        }
        if !forget.is_empty() {
            self.handle.post_own(Work::Forget(forget)).await;
        }
        Ok(())
    }

    async fn may_forget(&self, key: &Bytes, value: &Bytes) -> bool {
        let now_ms = self.clock.now_ms();
        match decoded(key, value) {
            Row::Idempotency(known) => known.expires_ms <= now_ms,
            Row::Hold(hold) if hold.is_tombstone() => {
                let Some(parts) = keys::decode(key) else { return false };
                let Some((order, line)) = hold_of(&parts) else { return false };
                hold.updated_ms + (self.keep.as_millis() as u64) <= now_ms
                    && self.peers.has_heard(parts.tenant, order, line, hold.operation).await
            }
            _ => false,
        }
    }
}
