//! What a read at a timestamp may show: commit timestamps are not given out in the order in which things happen.
//!
//! A one-phase commit takes the highest timestamp that its region has seen, plus one. So a record that lands after a
//! snapshot's timestamp was taken may still be in it, also when the record before it is not.

use crate::Number;
use crate::state::State;

/// What was there at a timestamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// The numbers that showed a record, one bit each.
    pub there: u8,
    /// Those of them whose record had landed on a tombstone.
    pub stray: u8,
    /// The numbers that showed a tombstone.
    pub gone: u8,
    /// The trim mark.
    pub trim: Number,
}

impl Snapshot {
    /// What is there at a timestamp taken now.
    pub fn now(state: &State) -> Self {
        let (there, stray) = (state.there(), state.stray());
        Self { there, stray, gone: state.trimmed() & !there, trim: state.trim }
    }

    /// Every set of what landed since, and may show. On a number that was free, the record itself: before that is
    /// trimmed, and something lands on its tombstone, the snapshot is long too old to be read.
    pub fn younger(self, state: &State) -> impl Iterator<Item = u8> + use<> {
        let stray = state.stray();
        let since = state.there() & !self.there & (!stray | self.gone);
        (0..=since).filter(move |younger| younger & !since == 0)
    }
}
