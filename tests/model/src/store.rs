//! What the store does by itself or for the attendant of a shard: requests land, records are trimmed (rule 4).
//!
//! Every step is one key, as TiKV gives it; nothing lands that its key refuses.

use crate::fault::Fault;
use crate::journal::{Entry, Held, Landing};
use crate::state::{Broken, NUMBERS, ROWS, State};
use crate::takeover::commands;
use crate::{Action, Number, Protocol};

/// A step of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// An insert lands.
    Insert(Number, Entry),
    /// A put of a row lands: which row, and which of the puts on their way.
    Put(usize, usize),
    /// The trim mark rises by one record. It is read back before anything is deleted.
    TrimMark,
    /// Planted: a late put lowers the trim mark.
    TrimMarkFalls,
    /// A record is deleted.
    Delete(Number),
}

impl Protocol {
    /// Steps that the store may take.
    pub(crate) fn store_steps(&self, state: &State, actions: &mut Vec<Action>) {
        let mut add = |step| actions.push(Action::Store(step));
        for number in 1..=NUMBERS as Number {
            state.slot(number).flying().for_each(|entry| add(Step::Insert(number, entry)));
        }
        for row in 0..ROWS {
            (0..state.rows[row].flying()).for_each(|put| add(Step::Put(row, put)));
        }
        if !self.bounds.trim {
            return;
        }
        let owned = (0..self.bounds.members).filter_map(|member| Some(state.owner(member)?.committed));
        let limit = if self.has(Fault::TrimPastCheckpoint) { owned.max().unwrap_or(0) } else { state.guard.mark };
        if state.trim < limit {
            add(Step::TrimMark);
        }
        if state.trim > 0 && self.has(Fault::TrimMarkFalls) {
            add(Step::TrimMarkFalls);
        }
        let through = if self.has(Fault::DeleteBeforeTrimMark) { limit } else { state.trim };
        let full = |number: &Number| matches!(state.slot(*number).held, Held::Record | Held::Stray(_));
        (1..=through).filter(full).for_each(|number| add(Step::Delete(number)));
    }

    pub(crate) fn store(state: &mut State, step: Step) {
        match step {
            Step::Insert(number, entry) => {
                let before = commands(state).any(|(_, command)| Some(command) == entry.of_command());
                match state.slot_mut(number).land(entry) {
                    Landing::First if before => state.breaks(Broken::Twice),
                    Landing::Denied => state.breaks(Broken::DeniedWritten),
                    Landing::First | Landing::Stray => {}
                }
            }
            Step::Put(row, put) => state.rows[row].land(put),
            Step::TrimMark => state.trim += 1,
            Step::TrimMarkFalls => state.trim -= 1,
            Step::Delete(number) => state.slot_mut(number).delete(),
        }
    }
}
