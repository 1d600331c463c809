//! Steps of the protocol that a test can leave out, to see that its checks notice.
//!
//! Without the feature `planted-faults` nothing can be left out, and no code for it is built.

/// A step that is left out, or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "planted-faults"), expect(unreachable_pub, reason = "exported with the feature only"))]
pub enum Planted {
    /// An insert that answers Ok is believed without reading it back.
    BelieveOk,
    /// A new owner begins without a record of its own.
    NoFence,
    /// A write whose outcome is not known counts as one that was never made.
    UnknownIsUnavailable,
    /// A key that is said to be there counts as another owner's.
    KeyErrorIsFenced,
    /// An append that took long does not look at the trim mark.
    NoTrimMark,
    /// A flush does not read the guard before it writes rows.
    NoGuard,
    /// A reader goes on behind a gap.
    SkipGap,
    /// A proof does not look.
    NoProof,
    /// A proof after a long time does not look at the trim mark.
    NoTrimMarkInProof,
    /// Records are deleted as soon as the trim mark is there.
    DeleteAtOnce,
    /// Rows that are said to be written are not read back.
    NoReadBack,
    /// Rows are written without the number of their flush, and a row that is not there counts as deleted.
    NoFlushNumber,
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
