//! What must hold in every state, and what must happen in some: a model in which nothing happens keeps every promise.
//!
//! Looks at what happened, never at what a member believes, except where the promise is about that belief.

use stateright::Property;

use crate::bounds::Bounds;
use crate::flush::rows;
use crate::journal::{Entry, Held};
use crate::state::{Append, Broken, Member, NUMBERS, Owner, ROWS, State};
use crate::takeover::commands;
use crate::{Number, Protocol};

/// An acknowledged record is in the journal.
pub const ACKNOWLEDGED_IS_WRITTEN: &str = "an acknowledged record is in the journal";
/// No number is acknowledged with two contents.
pub const ONE_CONTENT: &str = "a number is acknowledged with one content, by one member";
/// What is trimmed is contained in the rows.
pub const TRIMMED_IS_CONTAINED: &str = "a deleted record is contained in the rows as of the mark";
/// What was reported as not written is not.
pub const DENIED_IS_ABSENT: &str = "what was reported as not written is not written";
/// No command is in the journal twice.
pub const ONCE: &str = "a command is in the journal at most once";
/// A new owner has all that was acknowledged.
pub const NOTHING_MISSED: &str = "a new owner's state has all that was acknowledged before its read";
/// An owner's state is what the journal says.
pub const STATE_IS_JOURNAL: &str = "an owner's state is the journal up to its last committed record";
/// A linearizable read is one.
pub const READ_IS_FRESH: &str = "a read sees all that was acknowledged before it arrived";
/// A read shows committed state.
pub const READ_IS_COMMITTED: &str = "a read shows committed records only";
/// The rows never go back behind the mark.
pub const ROWS_HOLD_THE_MARK: &str = "the rows contain every record up to the mark";
/// Rows are made of committed records.
pub const ROWS_ARE_COMMITTED: &str = "a row shows the image of a record in the journal";
/// What the owner takes for flushed is.
pub const CLEAN_IS_FLUSHED: &str = "a row that the current owner takes for flushed shows its image";
/// The mark is at most the journal.
pub const NO_FALSE_ALARM: &str = "a sound journal is never called corrupt";
/// The feed has no gap.
pub const FEED_HAS_NO_GAP: &str = "the reader of the journal passes over no record";

/// The feed shows what the journal says.
pub const FEED_IS_JOURNAL: &str = "the reader of the journal hands on no record that landed on a tombstone";

/// A journal that has ended is nobody's.
pub const NOTHING_AFTER_THE_END: &str = "nothing is acknowledged in a journal that others go on from";

/// The properties that make sense within `bounds`.
pub fn all(bounds: &Bounds) -> Vec<Property<Protocol>> {
    let mut all = vec![
        Property::always(ACKNOWLEDGED_IS_WRITTEN, |_, s: &State| s.broken != Some(Broken::AcknowledgedNothing)),
        Property::always(ONE_CONTENT, |_, s: &State| s.broken != Some(Broken::AcknowledgedAnother)),
        Property::always(DENIED_IS_ABSENT, |_, s: &State| s.broken != Some(Broken::DeniedWritten)),
        Property::always(ONCE, |_, s: &State| s.broken != Some(Broken::Twice)),
        Property::always(NOTHING_MISSED, |_, s: &State| s.broken != Some(Broken::Missed)),
        Property::always(STATE_IS_JOURNAL, owners_have_the_journal),
        Property::always(NO_FALSE_ALARM, |_, s: &State| s.broken != Some(Broken::FalseAlarm)),
        Property::sometimes("two members have taken over", |_, s: &State| fences(s) >= 2),
        Property::sometimes("an error came, and the record is written", |_, s: &State| unsure(s, true)),
        Property::sometimes("an error came, and another's record is there", |_, s: &State| unsure(s, false)),
    ];
    if bounds.again {
        all.push(Property::sometimes("an insert is on its way after its member stopped", outlives));
    }
    if bounds.answers {
        all.push(Property::sometimes("an Ok came that wrote nothing", hollow));
    }
    if bounds.rows > 0 {
        all.extend([
            Property::always(ROWS_HOLD_THE_MARK, |p: &Protocol, s: &State| {
                (0..ROWS).all(|row| p.contains(s, row, s.guard.mark))
            }),
            Property::always(ROWS_ARE_COMMITTED, rows_are_committed),
            Property::always(CLEAN_IS_FLUSHED, clean_is_flushed),
            Property::sometimes("a put is on its way after its member lost the guard", |_, s: &State| late_put(s)),
            Property::sometimes("an old owner is about to be refused its flush", |_, s: &State| refused(s)),
            Property::sometimes("the mark covers two owners' records", |_, s: &State| s.guard.mark >= 3),
        ]);
    }
    if bounds.trim {
        all.extend([
            Property::always(TRIMMED_IS_CONTAINED, trimmed_is_contained),
            Property::sometimes("a record is trimmed", |_, s: &State| held(s, |held| held == Held::Tombstone)),
            Property::sometimes("a late insert landed on a tombstone", |_, s: &State| {
                held(s, |held| matches!(held, Held::Stray(_)))
            }),
            Property::sometimes("an old append is about to be told so by the trim mark", |_, s: &State| told(s)),
        ]);
    }
    if bounds.seal {
        all.extend([
            Property::always(NOTHING_AFTER_THE_END, |_, s: &State| s.broken != Some(Broken::AfterTheEnd)),
            Property::sometimes("the children have written", |_, s: &State| {
                s.children.is_some_and(|view| view & !through(s, s.guard.mark) != 0)
            }),
            Property::sometimes("a seal is on its way after another has taken over", |_, s: &State| {
                s.seal.is_some_and(|seal| seal.read.epoch < s.guard.epoch)
            }),
            Property::sometimes("a fence stands behind the end", |_, s: &State| {
                s.guard.is_sealed() && s.next_free() > s.guard.mark + 1
            }),
        ]);
    }
    if bounds.reads {
        all.extend([
            Property::always(READ_IS_FRESH, |_, s: &State| s.broken != Some(Broken::StaleRead)),
            Property::always(READ_IS_COMMITTED, |_, s: &State| s.broken != Some(Broken::DirtyRead)),
            Property::sometimes("a read waits at a member that was fenced", |_, s: &State| late_read(s)),
        ]);
    }
    if bounds.feed {
        all.extend([
            Property::always(FEED_HAS_NO_GAP, |_, s: &State| s.broken != Some(Broken::Skipped)),
            Property::always(FEED_IS_JOURNAL, |_, s: &State| s.broken != Some(Broken::FollowedStray)),
            Property::sometimes("the reader has read all", |p: &Protocol, s: &State| {
                s.follower.position == p.bounds.numbers()
            }),
        ]);
    }
    all
}

impl Protocol {
    /// Whether `row` shows the newest image that a record up to `mark` gave it, or a newer one.
    pub(crate) fn contains(&self, state: &State, row: usize, mark: Number) -> bool {
        let touches = |command: u8| self.bounds.touched(command) & (1 << row) != 0;
        let last = commands(state).filter(|(number, command)| *number <= mark && touches(*command)).last();
        last.is_none_or(|(number, _)| {
            let shown = state.rows[row].image;
            let wanted = state.slot(number).first.map(|entry| (number, entry));
            shown.is_some_and(|(image, _)| image >= number) || self.same(shown, wanted)
        })
    }
}

fn owners(state: &State) -> impl Iterator<Item = &Owner> {
    state.members.iter().filter_map(|member| if let Member::Owning(owner) = member { Some(owner) } else { None })
}

fn owners_have_the_journal(_: &Protocol, state: &State) -> bool {
    owners(state).all(|owner| through(state, owner.committed) == owner.view)
}

/// The commands in the journal up to a number, one bit each.
fn through(state: &State, number: Number) -> u8 {
    let until = commands(state).filter(|(one, _)| *one <= number);
    until.map(|(_, command)| 1 << command).fold(0, |all, one| all | one)
}

fn rows_are_committed(_: &Protocol, state: &State) -> bool {
    let images = state.rows.iter().filter_map(|row| row.image);
    images.into_iter().all(|(number, entry)| state.slot(number).first == Some(entry))
}

fn clean_is_flushed(protocol: &Protocol, state: &State) -> bool {
    let current = owners(state).filter(|owner| owner.epoch == state.guard.epoch);
    current.into_iter().all(|owner| rows(!owner.dirty).all(|row| protocol.same(owner.rows[row], state.rows[row].image)))
}

fn trimmed_is_contained(protocol: &Protocol, state: &State) -> bool {
    commands(state).filter(|(number, _)| state.slot(*number).trimmed()).all(|(number, command)| {
        let rows = rows(protocol.bounds.touched(command));
        number <= state.guard.mark && rows.into_iter().all(|row| protocol.contains(state, row, number))
    })
}

fn fences(state: &State) -> usize {
    let fence = |number| state.slot(number).first.filter(|entry| entry.of_command().is_none());
    (1..=NUMBERS as Number).filter_map(fence).count()
}

/// Whether an append that was answered with an error finds its own record, or another's.
fn unsure(state: &State, own: bool) -> bool {
    (0..state.begun).any(|member| {
        let Some(owner) = state.owner(member) else { return false };
        let Append::Answered { command, ok: false } = owner.append else { return false };
        let first = state.journal.get(usize::from(owner.committed)).and_then(|slot| slot.first);
        first.is_some_and(|entry| own == (entry == Entry::command(member, command)))
    })
}

fn hollow(_: &Protocol, state: &State) -> bool {
    owners(state).any(|owner| {
        matches!(owner.append, Append::Answered { ok: true, .. }) && state.slot(owner.committed + 1).first.is_none()
    })
}

fn outlives(_: &Protocol, state: &State) -> bool {
    let idle = |member: u8| state.members[usize::from(member)] == Member::Idle;
    state.journal.iter().any(|slot| slot.flying().any(|entry| idle(entry.member())))
}

fn late_put(state: &State) -> bool {
    // Whatever was put before the guard rose was put by an older owner; the newest has not put anything yet.
    let new = owners(state).all(|owner| owner.epoch != state.guard.epoch);
    new && state.guard.epoch > 1 && state.rows.iter().any(|row| row.flying() > 0)
}

fn refused(state: &State) -> bool {
    owners(state).any(|owner| owner.epoch < state.guard.epoch && owner.dirty != 0)
}

fn told(state: &State) -> bool {
    owners(state).any(|owner| matches!(owner.append, Append::Aged(_)) && state.trim > owner.committed)
}

fn late_read(state: &State) -> bool {
    let asked = state.read.and_then(|read| state.owner(read.member));
    asked.is_some_and(|owner| owners(state).any(|other| other.epoch > owner.epoch))
}

fn held(state: &State, is: impl Fn(Held) -> bool) -> bool {
    state.journal.iter().any(|slot| is(slot.held))
}
