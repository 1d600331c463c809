//! The protocol as a model that a checker can walk: which steps are possible in a state, and what each leads to.
//!
//! Decides nothing itself: the rules stand in the files of the steps.

use stateright::{Model, Property};

use crate::bounds::Bounds;
use crate::fault::Fault;
use crate::state::{Member, State};
use crate::{MemberId, append, flush, properties, read, seal, store, takeover};

/// The journal protocol within bounds, whole or with one fault planted.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// How large the world is.
    pub bounds: Bounds,
    /// The rule that is not kept.
    pub fault: Option<Fault>,
}

impl Protocol {
    /// The protocol as it is.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, fault: None }
    }

    /// The protocol without one of its rules.
    pub fn without(fault: Fault, bounds: Bounds) -> Self {
        Self { bounds, fault: Some(fault) }
    }

    /// Whether `fault` is planted.
    pub(crate) fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// One step: by whom, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A member takes the shard over, or gives it up.
    Takeover(MemberId, takeover::Step),
    /// An owner appends.
    Append(MemberId, append::Step),
    /// An owner flushes.
    Flush(MemberId, flush::Step),
    /// A client reads from an owner.
    Read(MemberId, read::Step),
    /// The journal is followed.
    Follow(read::Follow),
    /// The shard is split.
    Seal(seal::Step),
    /// The store acts.
    Store(store::Step),
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        for member in 0..self.bounds.members {
            self.takeovers(state, member, actions);
            if let Member::Owning(owner) = &state.members[usize::from(member)] {
                self.appends(state, member, owner, actions);
                self.flushes(state, member, owner, actions);
                self.reads(state, member, owner, actions);
            }
        }
        self.seals(state, actions);
        self.store_steps(state, actions);
        self.follows(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Takeover(member, step) => self.take_over(&mut state, member, step),
            Action::Append(member, step) => self.append(&mut state, member, step),
            Action::Flush(member, step) => self.flush(&mut state, member, step),
            Action::Read(member, step) => self.read(&mut state, member, step),
            Action::Follow(step) => self.follow(&mut state, step),
            Action::Seal(step) => self.seal(&mut state, step),
            Action::Store(step) => Self::store(&mut state, step),
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(&self.bounds)
    }
}
