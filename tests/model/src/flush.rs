//! Flushing changed rows and moving the mark (rule 5).
//!
//! Nothing here is needed for what was acknowledged to be durable: rows and mark only shorten a replay.

use crate::fault::Fault;
use crate::journal::Entry;
use crate::state::{Append, Flush, Image, Images, Owner, ROWS, State};
use crate::{Action, MemberId, Protocol};

/// A step of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Planted: reads the guard ahead of the timestamp.
    ReadGuard,
    /// Takes a timestamp, reads the guard at it, and sends a put for each changed row at that timestamp.
    Begin,
    /// Reads the rows back at a later timestamp; what is not equal is put again, with the guard read again.
    ReadBack,
    /// Moves the mark, in a transaction that reads the guard's epoch.
    Mark,
}

impl Protocol {
    /// Steps of the flush that `owner` has under way, or may begin.
    pub(crate) fn flushes(&self, state: &State, member: MemberId, owner: &Owner, actions: &mut Vec<Action>) {
        let mut add = |step| actions.push(Action::Flush(member, step));
        let early = self.has(Fault::GuardBeforeTimestamp);
        match owner.flush {
            _ if self.bounds.rows == 0 => {}
            Flush::None if early => add(Step::ReadGuard),
            Flush::None | Flush::Cleared => {
                if owner.committed > state.guard.mark || owner.dirty != 0 || self.uncommitted(member, owner).is_some() {
                    add(Step::Begin);
                }
            }
            Flush::Put { .. } => add(Step::ReadBack),
            Flush::Marking(_) => add(Step::Mark),
        }
    }

    pub(crate) fn flush(&self, state: &mut State, member: MemberId, step: Step) {
        let Some(mut owner) = state.owner(member).copied() else { return };
        let own = state.guard.epoch == owner.epoch;
        match (step, owner.flush) {
            (Step::ReadGuard, Flush::None) if own => owner.flush = Flush::Cleared,
            (Step::Begin, before) => {
                let checked = self.has(Fault::FlushWithoutGuard) || before == Flush::Cleared;
                if !own && !checked {
                    return state.stop(member);
                }
                owner.flush = self.put(state, member, &mut owner);
            }
            (Step::ReadBack, Flush::Put { upto, images, open }) => {
                let open = self.unequal(state, images, open);
                for row in (0..ROWS).filter(|row| open & (1 << row) == 0 && owner.rows[*row] == images[*row]) {
                    owner.dirty &= !(1 << row);
                }
                let checked = self.has(Fault::FlushWithoutGuard);
                if open != 0 && !own && !checked {
                    return state.stop(member);
                }
                for row in rows(open) {
                    state.rows[row].send(images[row]);
                }
                owner.flush = if open == 0 { Flush::Marking(upto) } else { Flush::Put { upto, images, open } };
            }
            (Step::Mark, Flush::Marking(upto)) => {
                if !own && !self.has(Fault::MarkWithoutGuard) {
                    return state.stop(member);
                }
                state.guard.mark = state.guard.mark.max(upto);
                owner.flush = Flush::None;
            }
            _ => return state.stop(member),
        }
        if let Some(held) = state.owner_mut(member) {
            *held = owner;
        }
    }

    /// Sends the puts of all changed rows.
    fn put(&self, state: &mut State, member: MemberId, owner: &mut Owner) -> Flush {
        let (mut images, mut open) = (owner.rows, owner.dirty);
        if let Some((image, touched)) = self.uncommitted(member, owner) {
            open |= touched;
            for row in rows(touched) {
                images[row] = image;
            }
        }
        for row in rows(open) {
            state.rows[row].send(images[row]);
        }
        if self.has(Fault::BelievePut) {
            owner.dirty = 0;
            open = 0;
        }
        if open == 0 { Flush::Marking(owner.committed) } else { Flush::Put { upto: owner.committed, images, open } }
    }

    /// Planted: the image of the append under way, and the rows that it changes.
    fn uncommitted(&self, member: MemberId, owner: &Owner) -> Option<(Image, u8)> {
        let (Append::Sent(command) | Append::Answered { command, .. } | Append::Aged(command)) = owner.append else {
            return None;
        };
        let image = Some((owner.committed + 1, Entry::command(member, command)));
        self.has(Fault::FlushUncommitted).then_some((image, self.bounds.touched(command)))
    }

    /// Rows of `open` that do not show what was put.
    fn unequal(&self, state: &State, images: Images, open: u8) -> u8 {
        rows(open).filter(|row| !self.same(state.rows[*row].image, images[*row])).map(|row| 1 << row).sum()
    }

    /// Whether two images have the same bytes. They carry their numbers; where that is taken away, commands turn a row
    /// on and off in turn, as a hold comes and goes.
    pub(crate) fn same(&self, one: Image, other: Image) -> bool {
        let on = |image: Image| image.and_then(|(_, entry)| entry.of_command()).is_some_and(|command| command % 2 == 0);
        one == other || (self.has(Fault::RowsWithoutNumber) && on(one) == on(other))
    }
}

/// The rows of a set of bits.
pub(crate) fn rows(set: u8) -> impl Iterator<Item = usize> {
    (0..ROWS).filter(move |row| set & (1 << row) != 0)
}
