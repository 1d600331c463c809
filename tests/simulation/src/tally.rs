//! What has gone wrong with the store, counted: a simulation in which something never happens shows nothing
//! about it.

/// How often the store did what. Each was drawn, and took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls that took up to a hundred times as long as others.
    pub slow: u64,
    /// Calls that failed and had done nothing.
    pub failed: u64,
    /// Writes that happened and were said to have failed.
    pub lost_replies: u64,
    /// Writes that were said to have failed, and happened later.
    pub late: u64,
    /// Writes that were said to have failed, arrived later, and found what was written meanwhile: mostly by
    /// their own client's next try.
    pub late_behind_another: u64,
    /// Writes that were said to have happened, and had not.
    pub silent: u64,
    /// Writes that happened and met themselves as a conflict.
    pub own_conflicts: u64,
    /// Writes in two phases.
    pub two_phases: u64,
    /// Writes in two phases that ended half way: their locks stayed.
    pub orphans: u64,
    /// Reads and writes that met a lock of somebody's.
    pub locked: u64,
    /// Calls without an answer.
    pub hung: u64,
    /// Times in which all calls of a client failed.
    pub outages: u64,
    /// Moves of boundaries between regions.
    pub moves: u64,
    /// Commits whose time lies before a timestamp that had been given out already.
    pub early_commits: u64,
    /// Commits whose time lies before that of a commit of another key that had happened already: a snapshot that
    /// was looked at between the two shows the later one alone.
    pub inverted_commits: u64,
}

impl Tally {
    /// All counts by name.
    pub fn all(&self) -> [(&'static str, u64); 15] {
        [
            ("slow", self.slow),
            ("failed", self.failed),
            ("lost replies", self.lost_replies),
            ("late", self.late),
            ("late behind another", self.late_behind_another),
            ("silent", self.silent),
            ("own conflicts", self.own_conflicts),
            ("two phases", self.two_phases),
            ("orphans", self.orphans),
            ("locked", self.locked),
            ("hung", self.hung),
            ("outages", self.outages),
            ("moves", self.moves),
            ("early commits", self.early_commits),
            ("inverted commits", self.inverted_commits),
        ]
    }
}
