//! How large a world is checked: the one place that says how many members, takeovers and commands there are.
//!
//! Every number here bounds what may happen, never how far the checker looks: within the bounds it sees all states.

/// What there is in a model, and which parts of the protocol take part.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Members, at most 3. A member is an incarnation that may own the shard several times.
    pub members: u8,
    /// Takeovers that may be begun, all members together.
    pub takeovers: u8,
    /// Commands of clients, at most 3. A client may send its command again to whoever owns the shard.
    pub commands: u8,
    /// Rows that the commands change, at most 2; 0 leaves the guard, flushes and the mark out.
    pub rows: u8,
    /// Whether records are trimmed. Needs rows.
    pub trim: bool,
    /// Whether a client reads.
    pub reads: bool,
    /// Whether a reader follows the journal.
    pub feed: bool,
    /// Whether the shard may be split. Needs rows.
    pub seal: bool,
    /// Whether a member may give up, and one that stopped may take over again. Without it each takes over once, and
    /// giving up is no more than never going on.
    pub again: bool,
    /// Whether the answers of the store to an insert are told apart. They prove nothing, so that a member which keeps
    /// rule 3 goes on in the same way after each.
    pub answers: bool,
}

impl Bounds {
    /// Three members fight for the journal while a client reads; nothing is flushed.
    pub const JOURNAL: Self = Self {
        members: 3,
        takeovers: 3,
        commands: 2,
        rows: 0,
        trim: false,
        reads: true,
        feed: false,
        seal: false,
        again: true,
        answers: true,
    };
    /// A reader follows the journal while members append to it and take it over.
    pub const FEED: Self = Self { members: 2, takeovers: 2, commands: 3, reads: false, feed: true, ..Self::JOURNAL };
    /// Three owners after one another flush one row that every command changes.
    pub const FLUSH: Self = Self { rows: 1, reads: false, again: false, answers: false, ..Self::JOURNAL };
    /// Two rows, one of which a command changes alone: a flush may be done by half.
    pub const ROWS: Self = Self { members: 2, takeovers: 2, commands: 3, rows: 2, reads: false, ..Self::JOURNAL };
    /// Records are trimmed while two late members still try to write.
    pub const TRIM: Self = Self { commands: 1, trim: true, ..Self::FLUSH };
    /// Records are trimmed while a late member still tries to write and to read, and takes over again.
    pub const TRIM_READ: Self = Self { members: 2, takeovers: 2, commands: 2, reads: true, again: true, ..Self::TRIM };

    /// Records are trimmed before the reader of the journal, and a late member writes behind the trim mark.
    pub const TRIM_FEED: Self = Self { members: 2, takeovers: 2, feed: true, ..Self::TRIM };

    /// The shard is split while a late member still tries to write, to read and to take over.
    pub const SEAL: Self =
        Self { members: 2, takeovers: 2, commands: 2, reads: true, again: true, seal: true, ..Self::FLUSH };

    /// The highest number that a journal within these bounds can reach: each takeover writes one fence, each command
    /// is written once.
    pub fn numbers(&self) -> u8 {
        self.takeovers + self.commands
    }

    /// The rows that `command` changes, one bit each.
    pub fn touched(&self, command: u8) -> u8 {
        match self.rows {
            0 => 0,
            1 => 0b01,
            _ => [0b01, 0b11, 0b10][usize::from(command)],
        }
    }
}
