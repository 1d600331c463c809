//! The journal's keys as TiKV keeps them: an insert that is on its way lands only where nothing is, one key at a time.
//!
//! Knows nothing of who owns the shard, and never looks at two numbers at once.

use std::fmt;

use crate::MemberId;

/// What a record says: who wrote it, and what it is. Stands for (incarnation, batch id).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry(u8);

/// Entries per member: a fence and three commands.
const KINDS: u8 = 4;

impl Entry {
    /// The record with which a takeover begins.
    pub fn fence(member: MemberId) -> Self {
        Self(member * KINDS)
    }

    /// A batch of one command.
    pub fn command(member: MemberId, command: u8) -> Self {
        Self(member * KINDS + 1 + command)
    }

    /// Who wrote it.
    pub fn member(self) -> MemberId {
        self.0 / KINDS
    }

    /// The command in it; a fence has none.
    pub fn of_command(self) -> Option<u8> {
        (self.0 % KINDS).checked_sub(1)
    }

    fn bit(self) -> u16 {
        1 << self.0
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of_command() {
            None => write!(f, "fence of member {}", self.member()),
            Some(command) => write!(f, "command {command} by member {}", self.member()),
        }
    }
}

/// What the key of a number holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Held {
    /// Nothing yet.
    #[default]
    Nothing,
    /// The record that was the first to land here.
    Record,
    /// A tombstone: trimmed, and so free again for an insert that begins from now on.
    Tombstone,
    /// A record that landed on the tombstone; to the protocol it is not there.
    Stray(Entry),
}

/// One number of the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// The record that landed here first: the truth, also once it is trimmed.
    pub first: Option<Entry>,
    /// What the key holds now.
    pub held: Held,
    /// Inserts on their way, one bit per entry. A bit stays until the key refuses it: the request may land now, later
    /// or never, and sending the same bytes again changes nothing.
    flying: u16,
    /// Entries that a caller was told are not written, though they still may be.
    denied: u16,
}

/// What landing did, where it broke something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// The first record of this number.
    First,
    /// The first record of this number, and somebody was told that it was not written.
    Denied,
    /// A record on a tombstone.
    Stray,
}

impl Slot {
    /// What a read of the key shows.
    pub fn shown(self) -> Option<Entry> {
        match self.held {
            Held::Nothing | Held::Tombstone => None,
            Held::Record => self.first,
            Held::Stray(entry) => Some(entry),
        }
    }

    /// Whether the record was deleted once. It takes the retention time for that, far more than 10 s.
    pub fn trimmed(self) -> bool {
        matches!(self.held, Held::Tombstone | Held::Stray(_))
    }

    /// Sends an insert. Where a record stands it is refused for good: also once the record is trimmed, the tombstone
    /// is younger than the insert.
    pub fn send(&mut self, entry: Entry) {
        if self.shown().is_none() {
            self.flying |= entry.bit();
        }
    }

    /// Inserts that may land here.
    pub fn flying(self) -> impl Iterator<Item = Entry> + use<> {
        let flying = self.flying;
        (0..u16::BITS as u8).map(Entry).filter(move |entry| flying & entry.bit() != 0)
    }

    /// An insert lands; all others are refused from now on.
    pub fn land(&mut self, entry: Entry) -> Landing {
        self.flying = 0;
        if self.first.is_some() {
            self.held = Held::Stray(entry);
            return Landing::Stray;
        }
        self.first = Some(entry);
        self.held = Held::Record;
        if self.denied & entry.bit() == 0 { Landing::First } else { Landing::Denied }
    }

    /// The key is deleted.
    pub fn delete(&mut self) {
        self.held = Held::Tombstone;
    }

    /// Somebody is told that `entry` is not written here. Returns false where it is. Nothing is kept once the number
    /// is taken: then it is settled.
    pub fn deny(&mut self, entry: Entry) -> bool {
        if self.first.is_none() {
            self.denied |= entry.bit();
        }
        self.first != Some(entry)
    }
}
