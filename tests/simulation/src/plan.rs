//! What goes wrong with the store, and how often. Draws nothing and does nothing by itself.

/// What goes wrong how often: times in a thousand, and milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How long each way takes at most; mostly less. 0: no time at all.
    pub latency_ms: u64,
    /// A call that takes up to a hundred times as long.
    pub slow: u64,
    /// A call of any kind that fails and has done nothing.
    pub fails: u64,
    /// A write that has happened and is said to have failed.
    pub lost_reply: u64,
    /// A write that is said to have failed, and happens later.
    pub late: u64,
    /// How much later at most; mostly less.
    pub late_ms: u64,
    /// A write that is said to have happened, and has not.
    pub silent: u64,
    /// A write that has happened and meets itself as a conflict.
    pub own_conflict: u64,
    /// A write that needs two phases.
    pub two_phases: u64,
    /// A write in two phases that ends between or before them, and leaves its locks.
    pub orphan: u64,
    /// A call without an answer. A write may happen all the same.
    pub hang: u64,
    /// A call with which a time begins in which all calls of this client fail.
    pub outage: u64,
    /// How long that is at most; mostly less.
    pub outage_ms: u64,
    /// A write that finds the boundaries between regions moved.
    pub moved: u64,
}

impl Plan {
    /// Nothing goes wrong, and nothing takes any time.
    pub const fn calm() -> Self {
        Self {
            latency_ms: 0,
            slow: 0,
            fails: 0,
            lost_reply: 0,
            late: 0,
            late_ms: 0,
            silent: 0,
            own_conflict: 0,
            two_phases: 0,
            orphan: 0,
            hang: 0,
            outage: 0,
            outage_ms: 0,
            moved: 0,
        }
    }

    /// What a store has to hide from whoever calls it.
    pub const fn mild() -> Self {
        Self {
            fails: 10,
            lost_reply: 10,
            silent: 10,
            own_conflict: 10,
            two_phases: 10,
            orphan: 10,
            outage: 1,
            outage_ms: 100,
            ..Self::calm()
        }
    }

    /// Everything, often.
    pub const fn rough() -> Self {
        Self {
            latency_ms: 8,
            slow: 20,
            fails: 20,
            lost_reply: 30,
            late: 20,
            late_ms: 60_000,
            silent: 20,
            own_conflict: 30,
            two_phases: 40,
            orphan: 20,
            hang: 4,
            outage: 2,
            outage_ms: 60_000,
            moved: 10,
        }
    }

    /// The same with other likelihoods, and another latency: what `times` makes of each, one after the other.
    #[must_use]
    pub fn scaled(self, mut times: impl FnMut(u64) -> u64) -> Self {
        Self {
            latency_ms: 1 + times(self.latency_ms),
            slow: times(self.slow),
            fails: times(self.fails),
            lost_reply: times(self.lost_reply),
            late: times(self.late),
            silent: times(self.silent),
            own_conflict: times(self.own_conflict),
            two_phases: times(self.two_phases),
            orphan: times(self.orphan),
            hang: times(self.hang),
            outage: times(self.outage),
            moved: times(self.moved),
            ..self
        }
    }
}
