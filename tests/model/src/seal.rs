//! The end of a journal, when its shard is split: the guard is raised for the last time, and others go on.
//!
//! Of those others there is no more here than what they begin with and what they acknowledge: each is a shard with a
//! journal of its own, which begins with the rows as of the record with which this one has ended.

use crate::fault::Fault;
use crate::state::{Append, Broken, Flush, Guard, Owner, Seal, State};
use crate::{Action, MemberId, Protocol};

/// The epoch of a guard that nobody can have.
pub(crate) const NOBODY: u8 = u8::MAX;

/// A step of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An owner that has nothing under way and has flushed all sends the last change of the guard, and stops. Its
    /// transaction has read the guard: it names the owner.
    Send(MemberId),
    /// The change lands: nobody has changed the guard since it was read.
    Land,
    /// The children begin, with what the rows hold as of the last record.
    Begin,
    /// A client's command is acknowledged by a child.
    Write(u8),
}

impl Protocol {
    /// Steps of a split.
    pub(crate) fn seals(&self, state: &State, actions: &mut Vec<Action>) {
        if !self.bounds.seal {
            return;
        }
        let mut add = |step| actions.push(Action::Seal(step));
        if !state.guard.is_sealed() {
            for member in 0..self.bounds.members {
                let ready = state.owner(member).is_some_and(|owner| self.may_seal(state, owner));
                if ready {
                    add(Step::Send(member));
                }
            }
            let lands = |seal: Seal| seal.read == state.guard || self.has(Fault::SealWithoutLook);
            if state.seal.is_some_and(lands) {
                add(Step::Land);
            }
        }
        match state.children {
            Some(view) => {
                let new = |command: &u8| view & (1 << command) == 0;
                (0..self.bounds.commands).filter(new).for_each(|command| add(Step::Write(command)));
            }
            None if state.guard.is_sealed() => add(Step::Begin),
            None if state.seal.is_some() && self.has(Fault::BeginUnsealed) => add(Step::Begin),
            None => {}
        }
    }

    /// Whether `owner` has nothing under way, and the rows hold all that it has committed.
    fn may_seal(&self, state: &State, owner: &Owner) -> bool {
        let flushed = owner.dirty == 0 && state.guard.mark == owner.committed;
        let idle = owner.append == Append::None && owner.flush == Flush::None;
        let own = state.guard.epoch == owner.epoch;
        // A change that is on its way already adds nothing.
        let sent = state.seal.is_some_and(|seal| seal.read == state.guard && seal.last == owner.committed);
        own && idle && !sent && (flushed || self.has(Fault::SealUnflushed))
    }

    pub(crate) fn seal(&self, state: &mut State, step: Step) {
        match step {
            Step::Send(member) => {
                let Some(last) = state.owner(member).map(|owner| owner.committed) else { return };
                state.seal = Some(Seal { read: state.guard, last });
                // Whatever comes of it, and whether or not an answer does.
                if !self.has(Fault::SealerGoesOn) {
                    state.stop(member);
                }
            }
            Step::Land => {
                let Some(seal) = state.seal.take() else { return };
                state.guard = Guard { epoch: NOBODY, mark: seal.last };
            }
            Step::Begin => {
                let last = match state.seal {
                    Some(seal) if !state.guard.is_sealed() => seal.last,
                    _ => state.guard.mark,
                };
                let view = self.view(state, last, 0);
                if state.acknowledged & !view != 0 {
                    state.breaks(Broken::Missed);
                }
                state.children = Some(view);
            }
            Step::Write(command) => {
                state.acknowledged |= 1 << command;
                state.children = state.children.map(|view| view | 1 << command);
            }
        }
    }
}
