//! Steps of a shard that a test can leave out or do wrong, to see that its checks notice.
//!
//! Without the feature `planted-faults` nothing can be left out, and no code for it is built.

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
    /// An item's shard releases by itself what it has held for long.
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
