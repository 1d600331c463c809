//! Reading: the linearizable read of a client (rule 6), and the reader that follows the journal (rule 2).
//!
//! Neither writes anything, and neither knows who owns the shard but by looking at the journal.

use crate::fault::Fault;
use crate::snapshot::Snapshot;
use crate::state::{Append, Broken, NUMBERS, Owner, Read, State, bit};
use crate::takeover::commands;
use crate::{Action, MemberId, Protocol};

/// A step of a client's read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A read arrives at a member that believes to be the owner.
    Arrive,
    /// The member looks at the next number, begun after the read arrived; and at the trim mark, since what it finds
    /// absent may be trimmed.
    Look,
    /// Planted: answers without a proof, or with one from before.
    AnswerUnproven,
    /// Planted: looks at the next number while nobody asks.
    LookEarly,
}

/// A step of the reader that follows the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Takes a timestamp.
    Timestamp,
    /// Reads records and trim mark at it; below the trim mark it ends. Of the records that landed since, each may show or not.
    Read {
        /// The younger records that show, one bit per number.
        younger: u8,
    },
}

impl Protocol {
    /// Steps of a read at `owner`.
    pub(crate) fn reads(&self, state: &State, member: MemberId, owner: &Owner, actions: &mut Vec<Action>) {
        let mut add = |step| actions.push(Action::Read(member, step));
        let unproven = self.has(Fault::ReadWithoutProof) || owner.proven;
        match state.read {
            _ if !self.bounds.reads => {}
            None => {
                add(Step::Arrive);
                if self.has(Fault::ReadJoinsOldLook) && !owner.proven {
                    add(Step::LookEarly);
                }
            }
            Some(read) if read.member == member => {
                add(Step::Look);
                if unproven {
                    add(Step::AnswerUnproven);
                }
            }
            Some(_) => {}
        }
    }

    pub(crate) fn read(&self, state: &mut State, member: MemberId, step: Step) {
        let Some(owner) = state.owner(member).copied() else { return };
        let next = owner.committed + 1;
        let full = next <= NUMBERS as u8 && state.slot(next).shown().is_some();
        let used = full || (state.trim >= next && !self.has(Fault::LookWithoutTrimMark));
        match step {
            Step::Arrive => {
                let append_counts = self.has(Fault::ReadJoinsOldAppend) && owner.append != Append::None;
                state.read = Some(Read { member, floor: state.acknowledged, append_counts });
            }
            Step::Look if !used => self.answer(state, member),
            // What stands there may be the own append under way; otherwise it is another's.
            Step::Look if owner.append == Append::None => state.stop(member),
            Step::Look => {}
            Step::AnswerUnproven => self.answer(state, member),
            Step::LookEarly => {
                if let Some(owner) = state.owner_mut(member) {
                    owner.proven = !used;
                }
            }
        }
    }

    /// The read is answered with the committed state of `member`.
    pub(crate) fn answer(&self, state: &mut State, member: MemberId) {
        let Some(owner) = state.owner(member).copied() else { return };
        let Some(read) = state.read.take() else { return };
        let mut seen = owner.view;
        if let (true, Append::Sent(command)) = (self.has(Fault::ReadUncommitted), owner.append) {
            seen |= 1 << command;
        }
        if read.floor & !seen != 0 {
            state.breaks(Broken::StaleRead);
        }
        let written = commands(state).map(|(_, command)| 1_u8 << command).fold(0, |all, one| all | one);
        if seen & !written != 0 {
            state.breaks(Broken::DirtyRead);
        }
    }

    /// Steps of the reader that follows the journal.
    pub(crate) fn follows(&self, state: &State, actions: &mut Vec<Action>) {
        if !self.bounds.feed || state.follower.gone {
            return;
        }
        match state.follower.snapshot {
            None => actions.push(Action::Follow(Follow::Timestamp)),
            Some(taken) => {
                let shown = taken.younger(state);
                actions.extend(shown.map(|younger| Action::Follow(Follow::Read { younger })));
            }
        }
    }

    pub(crate) fn follow(&self, state: &mut State, step: Follow) {
        let taken = state.follower.snapshot.take();
        match (step, taken) {
            (Follow::Read { younger }, Some(taken)) => {
                if state.follower.position < taken.trim && !self.has(Fault::FollowPastTrimMark) {
                    state.follower.gone = true;
                } else {
                    self.hand_on(state, taken.there | younger, taken.stray | (younger & state.stray()));
                }
            }
            _ => {
                state.follower.snapshot = Some(Snapshot::now(state));
            }
        }
    }

    /// The reader hands on what its snapshot shows, up to the first gap.
    fn hand_on(&self, state: &mut State, shown: u8, stray: u8) {
        for number in state.follower.position + 1..=NUMBERS as u8 {
            if shown & bit(number) == 0 {
                if self.has(Fault::SkipGap) {
                    continue;
                }
                break;
            }
            if number != state.follower.position + 1 {
                state.breaks(Broken::Skipped);
            }
            if stray & bit(number) != 0 {
                state.breaks(Broken::FollowedStray);
            }
            state.follower.position = number;
        }
    }
}
