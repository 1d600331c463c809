//! Appending: one insert, and nothing is believed that was not read back (rules 1, 3 and 4).
//!
//! Never uses a number for two contents.

use crate::fault::Fault;
use crate::flush::rows;
use crate::journal::Entry;
use crate::state::{Append, Broken, Owner, State};
use crate::{Action, MemberId, Number, Protocol};

/// A step of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A client's command is sent as the next record.
    Send(u8),
    /// An answer: `ok`, or an error, or none in time. Whatever it is, the insert may have landed or not, or land later.
    Answer {
        /// What it says.
        ok: bool,
    },
    /// Reads the number back. `fresh` says that by the boot-time clock less than 10 s went by since its number was
    /// surely free, so that nobody can have used and trimmed it.
    ReadBack {
        /// Whether the clock said so.
        fresh: bool,
    },
    /// Reads the trim mark, for an append that is no longer fresh.
    ReadTrimMark,
    /// Planted: acknowledges what was only sent.
    AcknowledgeEarly,
    /// Planted: takes the error that the key exists for another's record.
    BelieveKeyError,
}

impl Protocol {
    /// Steps of the append that `owner` has under way, or may begin.
    pub(crate) fn appends(&self, state: &State, member: MemberId, owner: &Owner, actions: &mut Vec<Action>) {
        let mut add = |step| actions.push(Action::Append(member, step));
        let number = owner.committed + 1;
        match owner.append {
            Append::None if number <= self.bounds.numbers() => {
                let new = |command: &u8| owner.view & (1 << command) == 0;
                (0..self.bounds.commands).filter(new).for_each(|command| add(Step::Send(command)));
            }
            Append::None => {}
            Append::Sent(_) => {
                add(Step::Answer { ok: true });
                add(Step::Answer { ok: false });
                if self.has(Fault::AcknowledgeBeforeLanding) {
                    add(Step::AcknowledgeEarly);
                }
                if self.has(Fault::KeyErrorIsFenced) && state.slot(number).shown().is_some() {
                    add(Step::BelieveKeyError);
                }
            }
            Append::Answered { .. } => {
                let passed = owner.late || self.has(Fault::IgnoreTrimMark);
                if passed || !Self::old(state, number) {
                    add(Step::ReadBack { fresh: true });
                }
                if self.bounds.trim && !self.has(Fault::IgnoreTrimMark) {
                    add(Step::ReadBack { fresh: false });
                }
            }
            Append::Aged(_) => add(Step::ReadTrimMark),
        }
    }

    /// Whether so much time went by that `number` could be used by another and trimmed.
    pub(crate) fn old(state: &State, number: Number) -> bool {
        state.trim >= number || state.slot(number).trimmed()
    }

    pub(crate) fn append(&self, state: &mut State, member: MemberId, step: Step) {
        let Some(owner) = state.owner(member).copied() else { return };
        let number = owner.committed + 1;
        match (step, owner.append) {
            (Step::Send(command), Append::None) => {
                if self.has(Fault::AgeFromTimestamp) {
                    let late = state.slot(number).first.is_some();
                    change(state, member, |owner| owner.late = late);
                }
                state.slot_mut(number).send(Entry::command(member, command));
                change(state, member, |owner| owner.append = self.sent(command));
                if let Some(read) = state.read.as_mut().filter(|read| read.member == member) {
                    read.append_counts = true;
                }
            }
            (Step::Answer { ok }, Append::Sent(command)) => self.answered(state, member, command, ok),
            (Step::ReadBack { fresh }, Append::Answered { command, .. }) => {
                self.read_back(state, member, command, fresh);
            }
            (Step::ReadTrimMark, Append::Aged(command)) => {
                if state.trim < number {
                    self.acknowledge(state, member, command);
                } else {
                    // The number was used and trimmed since: by another, or this very record was taken over and
                    // flushed by a newer owner. Only the client's next try can tell.
                    if self.has(Fault::OldIsNotWritten) {
                        deny(state, member, command, number);
                    }
                    state.stop(member);
                }
            }
            (Step::AcknowledgeEarly, Append::Sent(command)) => self.acknowledge(state, member, command),
            (Step::BelieveKeyError, Append::Sent(command)) => {
                deny(state, member, command, number);
                state.stop(member);
            }
            _ => {}
        }
    }

    /// An append that waits for an answer; where answers are not told apart, one that had any.
    fn sent(&self, command: u8) -> Append {
        if self.bounds.answers { Append::Sent(command) } else { Append::Answered { command, ok: false } }
    }

    fn answered(&self, state: &mut State, member: MemberId, command: u8, ok: bool) {
        let number = state.owner(member).map_or(0, |owner| owner.committed) + 1;
        let forget = self.has(Fault::UnknownIsFailed) || self.has(Fault::CompareOwnerOnly);
        if ok && self.has(Fault::BelieveOk) {
            self.acknowledge(state, member, command);
        } else if !ok && forget {
            // With the wrong comparison as the only one to blame, nobody is told anything yet.
            if self.has(Fault::UnknownIsFailed) {
                deny(state, member, command, number);
            }
            change(state, member, |owner| owner.append = Append::None);
        } else {
            // After an error the same bytes are sent again: they are on their way already.
            change(state, member, |owner| owner.append = Append::Answered { command, ok });
        }
    }

    fn read_back(&self, state: &mut State, member: MemberId, command: u8, fresh: bool) {
        let Some(number) = state.owner(member).map(|owner| owner.committed + 1) else { return };
        let entry = Entry::command(member, command);
        let mine = |shown: Entry| shown == entry || (self.has(Fault::CompareOwnerOnly) && shown.member() == member);
        match state.slot(number).shown() {
            Some(shown) if mine(shown) => {
                if fresh {
                    self.acknowledge(state, member, command);
                } else {
                    change(state, member, |owner| owner.append = Append::Aged(command));
                }
            }
            Some(_) => {
                // Another's record at a number that was never trimmed: this one is not written and never will be.
                if !Self::old(state, number) || self.has(Fault::OldIsNotWritten) {
                    deny(state, member, command, number);
                }
                state.stop(member);
            }
            None => {
                state.slot_mut(number).send(entry);
                change(state, member, |owner| owner.append = self.sent(command));
            }
        }
    }

    /// The record counts: the caller is answered, the rows are changed, reads that the append proves are answered.
    fn acknowledge(&self, state: &mut State, member: MemberId, command: u8) {
        let Some(number) = state.owner(member).map(|owner| owner.committed + 1) else { return };
        let entry = Entry::command(member, command);
        match state.slot(number).first {
            Some(first) if first == entry => {}
            Some(_) => state.breaks(Broken::AcknowledgedAnother),
            None => state.breaks(Broken::AcknowledgedNothing),
        }
        // What they have begun with may be acknowledged late, and by whomever.
        if state.children.is_some_and(|view| view & (1 << command) == 0) {
            state.breaks(Broken::AfterTheEnd);
        }
        state.acknowledged |= 1 << command;
        let touched = self.bounds.touched(command);
        let late = self.has(Fault::AgeFromLastSuccess)
            && number < self.bounds.numbers()
            && state.slot(number + 1).first.is_some();
        change(state, member, |owner| {
            owner.append = Append::None;
            owner.committed = number;
            owner.view |= 1 << command;
            owner.dirty |= touched;
            owner.late = late;
            for row in rows(touched) {
                owner.rows[row] = Some((number, entry));
            }
        });
        if state.read.is_some_and(|read| read.member == member && read.append_counts) {
            self.answer(state, member);
        }
    }
}

fn change(state: &mut State, member: MemberId, with: impl FnOnce(&mut Owner)) {
    if let Some(owner) = state.owner_mut(member) {
        with(owner);
    }
}

/// Tells the caller that its command is not written.
fn deny(state: &mut State, member: MemberId, command: u8, number: Number) {
    if !state.slot_mut(number).deny(Entry::command(member, command)) {
        state.breaks(Broken::DeniedWritten);
    }
}
