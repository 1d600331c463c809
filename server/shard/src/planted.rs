//! Steps of a shard that a test can leave out or do wrong, to see that its checks notice.
//!
//! Without the feature `planted-faults` nothing can be left out, and no code for it is built.

#[cfg(feature = "planted-faults")]
use {
    crate::convert::Row,
    crate::handle::{Sink, Work},
    crate::keys::hold_of,
    crate::rows::decoded,
    crate::sweep::Attendant,
    ordermill_order::hold::{Claim, Units},
    ordermill_order::{Action, Command},
    ordermill_station::limits,
    ordermill_store::keys::{self, Kind},
    std::ops::Bound,
};

/// A step that is left out, or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "planted-faults"), expect(unreachable_pub, reason = "exported with the feature only"))]
pub enum Planted {
    /// Callers are answered before their record is appended.
    AcknowledgeEarly,
    /// Rows are flushed before their record is appended.
    FlushEarly,
    /// A read is answered without a proof that nobody else has written.
    ReadWithoutProof,
    /// Records are written in the newest format that the build knows, whatever the store's is.
    NewestFormat,
    /// A journal ends although not all of its rows are flushed.
    SealUnflushed,
    /// The event feed goes on from a shard that was split without reading it to its end.
    #[cfg(feature = "planted-faults")]
    PassOverParent,
    /// An item's shard releases by itself what it has held for long.
    #[cfg(feature = "planted-faults")]
    ReleaseByItself,
}

impl crate::Config {
    /// Whether a test has left `step` out.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn leaves_out(&self, step: Planted) -> bool {
        self.planted == Some(step)
    }

    /// Nothing is left out.
    #[cfg(not(feature = "planted-faults"))]
    #[expect(clippy::unused_self, reason = "it is what the other one is")]
    pub(crate) const fn leaves_out(&self, _: Planted) -> bool {
        false
    }
}

#[cfg(feature = "planted-faults")]
impl Attendant {
    /// Releases what was held for long.
    pub(crate) async fn release_old_holds(&self) -> Result<(), crate::Error> {
        /// How long a hold lasts then, milliseconds.
        const LONG_MS: u64 = 20_000;
        let range = self.handle.range();
        let end = keys::after_prefix(&self.keys.prefix(range.last, Kind::Hold));
        let to = end.map_or(Bound::Unbounded, Bound::Excluded);
        let mut from = Bound::Included(self.keys.prefix(range.first, Kind::Item));
        loop {
            let page = self.handle.look(from, to.clone(), limits::PAGE_MAX).await?;
            for (key, value) in page.rows {
                let Some(parts) = keys::decode(&key) else { continue };
                let (Row::Hold(hold), Some((order, line))) = (decoded(&key, &value), hold_of(&parts)) else { continue };
                if hold.held == 0 || hold.updated_ms + LONG_MS > self.clock.now_ms() {
                    continue;
                }
                let to = Units { open: 0, fulfilled: hold.fulfilled, restocked: hold.restocked };
                let from = Units { open: hold.held, ..to };
                let (sku, operation, revision) = (hold.sku.clone(), hold.operation + 1, hold.revision);
                let action = Action::Claim(Claim { order, line, sku, operation, revision, from, to });
                let command = Command { tenant: parts.tenant.into(), idempotency: None, action };
                self.handle.post_own(Work::One(Box::new(command), Sink::None)).await;
            }
            match page.next {
                Some(next) => from = Bound::Excluded(next),
                None => return Ok(()),
            }
        }
    }
}
