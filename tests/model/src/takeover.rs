//! Taking a shard over: the fence, the guard, the replay (rule 2).
//!
//! Trusts no snapshot that is older than its fence, and compares no clocks.

use crate::bounds::Bounds;
use crate::fault::Fault;
use crate::flush::rows;
use crate::journal::Entry;
use crate::snapshot::Snapshot;
use crate::state::{Append, Broken, Flush, Image, Images, Member, NUMBERS, Owner, ROWS, State, bit};
use crate::{Action, MemberId, Number, Protocol};

/// A step of a takeover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Finds the next free number and sends the fence there.
    Begin,
    /// Reads the number of the fence back.
    ReadBack,
    /// Raises the guard and reads the mark, in one transaction; then takes a timestamp.
    Raise,
    /// Takes a new timestamp to read at.
    NewTimestamp,
    /// Reads the journal at the timestamp. Of the records that landed since, each may show or not: its commit
    /// timestamp may be older than the snapshot's, also when the one before it is younger.
    Replay {
        /// The younger records that show, one bit per number.
        younger: u8,
    },
    /// Stops, whatever is under way: a crash, or an error that it gives up on.
    GiveUp,
}

impl Protocol {
    /// Steps of `member` on its way to own the shard, and out of it.
    pub(crate) fn takeovers(&self, state: &State, member: MemberId, actions: &mut Vec<Action>) {
        let mut add = |step| actions.push(Action::Takeover(member, step));
        match &state.members[usize::from(member)] {
            Member::Idle => {
                let turn = if self.bounds.again { member <= state.begun } else { member == state.begun };
                let turn = turn && state.takeovers < self.bounds.takeovers && !state.guard.is_sealed();
                if turn && state.next_free() <= self.bounds.numbers() {
                    add(Step::Begin);
                }
                return;
            }
            Member::Fencing { .. } => add(Step::ReadBack),
            Member::Raising { .. } => add(Step::Raise),
            Member::Reading { taken, .. } => {
                taken.younger(state).for_each(|younger| add(Step::Replay { younger }));
                add(Step::NewTimestamp);
            }
            Member::Owning(_) => {}
        }
        if self.bounds.again {
            add(Step::GiveUp);
        }
    }

    pub(crate) fn take_over(&self, state: &mut State, member: MemberId, step: Step) {
        match (step, state.members[usize::from(member)]) {
            (Step::Begin, Member::Idle) => {
                state.takeovers += 1;
                state.begun = state.begun.max(member + 1);
                self.look(state, member);
            }
            (Step::ReadBack, Member::Fencing { number, early }) => match state.slot(number).shown() {
                Some(entry) if entry == Entry::fence(member) => self.fenced(state, member, number, early),
                Some(_) => self.look(state, member),
                None => state.slot_mut(number).send(Entry::fence(member)),
            },
            (Step::Raise, Member::Raising { epoch, early }) => self.raise(state, member, epoch, early),
            (Step::NewTimestamp, Member::Reading { epoch, mark, .. }) => {
                let own = state.guard.epoch == epoch || self.bounds.rows == 0;
                state.members[usize::from(member)] = Member::Reading { epoch, mark, taken: Snapshot::now(state), own };
            }
            (Step::Replay { younger }, Member::Reading { epoch, mark, taken, own }) => {
                self.replay(state, member, &Replay { epoch, mark, shown: taken.there | younger, own });
            }
            _ => state.stop(member),
        }
    }

    /// Finds the next free number and sends the fence there. A pause between the two is covered: what is not there
    /// when it is read back is sent again.
    fn look(&self, state: &mut State, member: MemberId) {
        let number = state.next_free();
        let early = self.has(Fault::ReplayEarly).then(|| Snapshot::now(state));
        if number > self.bounds.numbers() {
            return state.stop(member);
        }
        if self.has(Fault::SkipFence) {
            return self.fenced(state, member, number, early);
        }
        state.slot_mut(number).send(Entry::fence(member));
        state.members[usize::from(member)] = Member::Fencing { number, early };
    }

    fn fenced(&self, state: &mut State, member: MemberId, epoch: Number, early: Option<Snapshot>) {
        let next = if self.bounds.rows == 0 {
            Member::Reading { epoch, mark: 0, taken: early.unwrap_or_else(|| Snapshot::now(state)), own: true }
        } else {
            Member::Raising { epoch, early }
        };
        state.members[usize::from(member)] = next;
    }

    /// The guard only rises. A mark at or above the own fence says that its number was used before and trimmed. An
    /// epoch that is already the own one is an earlier try whose answer was lost.
    fn raise(&self, state: &mut State, member: MemberId, epoch: Number, early: Option<Snapshot>) {
        let behind = state.guard.mark >= epoch && !self.has(Fault::FenceBehindMark);
        let newer = state.guard.epoch > epoch && !(state.guard.is_sealed() && self.has(Fault::RaiseSealed));
        if newer || behind {
            return state.stop(member);
        }
        state.guard.epoch = epoch;
        let taken = early.unwrap_or_else(|| Snapshot::now(state));
        state.members[usize::from(member)] = Member::Reading { epoch, mark: state.guard.mark, taken, own: true };
    }

    fn replay(&self, state: &mut State, member: MemberId, read: &Replay) {
        let fenced = !self.has(Fault::SkipFence);
        let last = if fenced { read.epoch } else { read.epoch - 1 };
        let above = read.shown & !below(last);
        let gap = below(last) & !below(read.mark) & !read.shown;
        let hole = above != 0 && above != below(NUMBERS as u8) & !below(last) & below(last + above.count_ones() as u8);
        if !self.has(Fault::ReplayEarly) {
            let alarm = gap != 0 && (read.own || self.has(Fault::GapBelowIsCorrupt));
            let alarm = alarm || (hole && self.has(Fault::GapAboveIsCorrupt));
            if alarm {
                return state.breaks(Broken::FalseAlarm);
            }
            if gap != 0 || above != 0 {
                return state.stop(member);
            }
        }
        let replayed = read.shown & below(last) & !below(read.mark);
        if self.misses(state, read, replayed) {
            state.breaks(Broken::Missed);
        }
        let images = images(state, &self.bounds, replayed);
        let changed = images.iter().enumerate().filter(|(_, (_, changed))| *changed);
        let dirty = changed.map(|(row, _)| 1 << row).sum::<u8>();
        state.members[usize::from(member)] = Member::Owning(Owner {
            epoch: read.epoch,
            committed: last,
            view: self.view(state, read.mark, replayed),
            rows: images.map(|(image, _)| image),
            dirty: if self.has(Fault::ReplayedIsClean) { 0 } else { dirty },
            append: Append::None,
            flush: Flush::None,
            late: false,
            proven: false,
        });
    }

    /// The commands in a state made of the rows as of `mark` and the replayed records.
    pub(crate) fn view(&self, state: &State, mark: Number, replayed: u8) -> u8 {
        let held = |(number, command): &(Number, u8)| {
            if *number > mark {
                return replayed & bit(*number) != 0;
            }
            rows(self.bounds.touched(*command)).all(|row| self.contains(state, row, mark))
        };
        commands(state).filter(held).map(|(_, command)| 1 << command).fold(0, |all, one| all | one)
    }

    /// Whether a record is missing that was acknowledged before the read: below the fence, or there at the timestamp.
    fn misses(&self, state: &State, read: &Replay, replayed: u8) -> bool {
        let seen = self.view(state, read.mark, replayed);
        commands(state).any(|(number, command)| {
            let before = number < read.epoch || read.shown & bit(number) != 0;
            state.acknowledged & (1 << command) != 0 && before && seen & (1 << command) == 0
        })
    }
}

/// What a new owner read.
struct Replay {
    epoch: Number,
    mark: Number,
    /// The records that showed, one bit per number.
    shown: u8,
    /// Whether the guard carried its epoch.
    own: bool,
}

/// The numbers up to and including `number`, one bit each.
fn below(number: Number) -> u8 {
    ((1_u16 << number) - 1) as u8
}

/// The numbers and commands of the records that hold one.
pub(crate) fn commands(state: &State) -> impl Iterator<Item = (Number, u8)> {
    (1..=NUMBERS as u8).filter_map(|number| Some((number, state.slot(number).first?.of_command()?)))
}

/// Each row as the replayed records leave it, and whether one of them changed it.
fn images(state: &State, bounds: &Bounds, replayed: u8) -> [(Image, bool); ROWS] {
    let mut images: Images = state.rows.map(|row| row.image);
    let mut changed = [false; ROWS];
    for (number, command) in commands(state).filter(|(number, _)| replayed & bit(*number) != 0) {
        for row in rows(bounds.touched(command)) {
            images[row] = state.slot(number).first.map(|entry| (number, entry));
            changed[row] = true;
        }
    }
    std::array::from_fn(|row| (images[row], changed[row]))
}
