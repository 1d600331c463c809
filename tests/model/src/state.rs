//! One state of the world: what the store holds, what is on its way to it, and what each member believes.
//!
//! Holds no rule of the protocol. Time is not in it: a pause is any number of other steps in between.

use crate::journal::{Entry, Held, Slot};
use crate::seal::NOBODY;
use crate::snapshot::Snapshot;
use crate::{MemberId, Number};

/// The most numbers that any bounds reach.
pub(crate) const NUMBERS: usize = 6;
/// The most rows.
pub(crate) const ROWS: usize = 2;
/// The most puts of different images on their way to one row.
const PUTS: usize = 4;

/// The after-image of a row: the number and content of the record that it comes from.
pub(crate) type Image = Option<(Number, Entry)>;

/// The images of all rows.
pub(crate) type Images = [Image; ROWS];

/// The guard key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    /// The number of the fence of the newest owner.
    pub epoch: Number,
    /// Records up to here are contained in the rows.
    pub mark: Number,
}

impl Guard {
    /// Whether the journal has ended, with the record that is its mark.
    pub fn is_sealed(self) -> bool {
        self.epoch == NOBODY
    }
}

/// A change of the guard on its way that ends the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seal {
    /// The guard as its transaction has read it.
    pub read: Guard,
    /// The last record.
    pub last: Number,
}

/// A row in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// What a read shows.
    pub image: Image,
    /// Puts on their way, in the order of their timestamps, all of them younger than what the row shows: a put that
    /// is older conflicts and is not kept.
    puts: [Image; PUTS],
}

impl Row {
    /// Sends a put with a timestamp taken now. One that only repeats what is shown or on its way before it adds
    /// nothing: whether it lands makes no difference.
    pub fn send(&mut self, image: Image) {
        let Some(free) = self.puts.iter().position(Option::is_none) else { return };
        let before = if free == 0 { self.image } else { self.puts[free - 1] };
        if before != image {
            self.puts[free] = image;
        }
    }

    /// How many puts may land.
    pub fn flying(&self) -> usize {
        self.puts.iter().flatten().count()
    }

    /// A put lands; it and all with an older timestamp are gone.
    pub fn land(&mut self, which: usize) {
        self.image = self.puts[which];
        let mut rest = [None; PUTS];
        rest[..PUTS - which - 1].copy_from_slice(&self.puts[which + 1..]);
        self.puts = rest;
    }
}

/// What a member is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Member {
    /// Nothing: not begun, stopped, or stopped by a fence.
    #[default]
    Idle,
    /// Has sent its fence, and waits.
    Fencing {
        /// Where the fence shall be.
        number: Number,
        /// What it saw of the journal before; only a planted fault uses it.
        early: Option<Snapshot>,
    },
    /// Knows that its fence is written; next it raises the guard.
    Raising {
        /// Its epoch.
        epoch: Number,
        /// As in `Fencing`.
        early: Option<Snapshot>,
    },
    /// Has a timestamp to read the journal at.
    Reading {
        /// Its epoch.
        epoch: Number,
        /// The mark it read when it raised the guard.
        mark: Number,
        /// What was there at the timestamp.
        taken: Snapshot,
        /// Whether the guard carried its epoch at the timestamp.
        own: bool,
    },
    /// Believes to be the owner.
    Owning(Owner),
}

/// What an owner believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The number of its fence.
    pub epoch: Number,
    /// Its last committed record: the next has the number after it.
    pub committed: Number,
    /// The commands in its state, one bit each.
    pub view: u8,
    /// The rows as it would answer them.
    pub rows: Images,
    /// Rows that are not known to be flushed, one bit each.
    pub dirty: u8,
    /// The append under way.
    pub append: Append,
    /// The flush under way.
    pub flush: Flush,
    /// Whether, at the moment from which the age of an append is counted, its number was already another's. Never
    /// so by the rules; only a planted fault sets it.
    pub late: bool,
    /// Whether a proof of the tail is at hand that began before anybody asked; only a planted fault sets it.
    pub proven: bool,
}

/// An append of one command at the number after the last committed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Append {
    /// None is under way.
    None,
    /// Sent; no answer yet.
    Sent(u8),
    /// An answer came. `ok` is what it said, which proves nothing.
    Answered {
        /// The command.
        command: u8,
        /// Whether the answer was Ok, or an error or nothing in time.
        ok: bool,
    },
    /// Read back as written, but more than 10 s went by: the trim mark has to be read before it counts.
    Aged(u8),
}

/// A flush of all changed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flush {
    /// None is under way.
    None,
    /// The guard was read ahead of the timestamp; only a planted fault does that.
    Cleared,
    /// Puts are sent and not yet read back.
    Put {
        /// The last record contained.
        upto: Number,
        /// What was put, where the row was changed.
        images: Images,
        /// Rows not read back yet, one bit each.
        open: u8,
    },
    /// All read back equal: the mark may move.
    Marking(Number),
}

/// A linearizable read that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// Who was asked.
    pub member: MemberId,
    /// The commands that were acknowledged when it arrived, one bit each: it must see them.
    pub floor: u8,
    /// Whether the append under way began after the read arrived, and so proves the tail for it.
    pub append_counts: bool,
}

/// A reader that follows the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Follower {
    /// The last number it has handed on.
    pub position: Number,
    /// Its snapshot, while it has one.
    pub snapshot: Option<Snapshot>,
    /// Whether it was told that its position is no longer kept.
    pub gone: bool,
}

/// What was seen to go wrong in the step that led here. A state with a break in it is never left again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Broken {
    /// An acknowledged record is not in the journal.
    AcknowledgedNothing,
    /// An acknowledged number belongs to another record.
    AcknowledgedAnother,
    /// A caller was told that nothing was written, and it was.
    DeniedWritten,
    /// A command is in the journal twice.
    Twice,
    /// A new owner misses what was acknowledged before.
    Missed,
    /// A read missed what was acknowledged before it arrived.
    StaleRead,
    /// A read showed what is not committed.
    DirtyRead,
    /// A sound journal was called corrupt.
    FalseAlarm,
    /// The reader of the journal passed over a record.
    Skipped,
    /// The reader of the journal handed on what landed on a tombstone.
    FollowedStray,
    /// A record was acknowledged in a journal that others go on from.
    AfterTheEnd,
}

/// One state of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The journal: number 1 stands at index 0.
    pub journal: [Slot; NUMBERS],
    /// The guard key.
    pub guard: Guard,
    /// The trim mark: records up to here may be gone.
    pub trim: Number,
    /// The rows.
    pub rows: [Row; ROWS],
    /// The members.
    pub members: [Member; 3],
    /// Members that have begun a takeover at least once. They begin in order: which is which makes no difference.
    pub begun: u8,
    /// Takeovers that have begun.
    pub takeovers: u8,
    /// Commands that were acknowledged, one bit each.
    pub acknowledged: u8,
    /// The read that waits, if one does.
    pub read: Option<Read>,
    /// The reader of the journal.
    pub follower: Follower,
    /// The change that ends the journal, once one was sent; it may land as long as the guard is as it has read it.
    pub seal: Option<Seal>,
    /// The commands in the state of the shards that this one was split into, one bit each, once they have begun.
    pub children: Option<u8>,
    /// What went wrong.
    pub broken: Option<Broken>,
}

impl State {
    /// An empty store and members that have not begun.
    pub fn new() -> Self {
        Self {
            journal: [Slot::default(); NUMBERS],
            guard: Guard::default(),
            trim: 0,
            rows: [Row::default(); ROWS],
            members: [Member::Idle; 3],
            begun: 0,
            takeovers: 0,
            acknowledged: 0,
            read: None,
            follower: Follower::default(),
            seal: None,
            children: None,
            broken: None,
        }
    }

    /// A number of the journal.
    pub fn slot(&self, number: Number) -> &Slot {
        &self.journal[usize::from(number) - 1]
    }

    /// A number of the journal, to change it.
    pub fn slot_mut(&mut self, number: Number) -> &mut Slot {
        &mut self.journal[usize::from(number) - 1]
    }

    /// The numbers that show a record now, one bit each.
    pub fn there(&self) -> u8 {
        self.numbers(|slot| slot.shown().is_some())
    }

    /// The numbers that show a record which landed on a tombstone, one bit each.
    pub fn stray(&self) -> u8 {
        self.numbers(|slot| matches!(slot.held, Held::Stray(_)))
    }

    /// The numbers whose record was deleted, one bit each.
    pub fn trimmed(&self) -> u8 {
        self.numbers(Slot::trimmed)
    }

    fn numbers(&self, are: impl Fn(Slot) -> bool) -> u8 {
        (1..=NUMBERS as u8).filter(|number| are(*self.slot(*number))).map(bit).sum()
    }

    /// The next free number: after the last record, the mark and the trim mark.
    pub fn next_free(&self) -> Number {
        let last = (u8::BITS - self.there().leading_zeros()) as u8;
        last.max(self.guard.mark).max(self.trim) + 1
    }

    /// Notes what went wrong; the first one stays.
    pub fn breaks(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// `member` stops: its requests stay on their way, the read that it held is given up.
    pub fn stop(&mut self, member: MemberId) {
        self.members[usize::from(member)] = Member::Idle;
        self.read.take_if(|read| read.member == member);
    }

    /// What `member` believes as an owner.
    pub fn owner(&self, member: MemberId) -> Option<&Owner> {
        match &self.members[usize::from(member)] {
            Member::Owning(owner) => Some(owner),
            _ => None,
        }
    }

    /// What `member` believes as an owner, to change it.
    pub fn owner_mut(&mut self, member: MemberId) -> Option<&mut Owner> {
        match &mut self.members[usize::from(member)] {
            Member::Owning(owner) => Some(owner),
            _ => None,
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// The bit of a number of the journal.
pub(crate) fn bit(number: Number) -> u8 {
    1 << (number - 1)
}
