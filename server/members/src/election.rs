//! Who coordinates, as far as this member can tell, and when it may take the place itself.
//!
//! Decides from what its own calls to the store have shown; makes no calls. See [`crate::times`] for how
//! long each step takes.

use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;

use crate::Error;
use crate::attention::Attention;
use crate::map::Incarnation;
use crate::stored::Place;

/// A member that coordinates, as others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coordinator {
    /// Rises with every change of coordinator.
    pub term: u64,
    /// Who.
    pub incarnation: Incarnation,
    /// Where it answers its peers.
    pub address: String,
}

/// An attempt to take the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// What the store must still hold.
    pub(crate) expected: Option<Bytes>,
    /// What it shall hold.
    pub(crate) new: Bytes,
    term: u64,
    /// The coordinator whose silence it rests on.
    silent: Option<Incarnation>,
}

/// What a look at the store asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: somebody else coordinates, or may still do.
    Follow,
    /// This member coordinates: it goes on renewing.
    Renew,
    /// This member coordinates from now on.
    Begin,
    /// Nobody coordinates: take the place.
    Claim(Claim),
}

/// The place, while it is this member's.
#[derive(Debug)]
struct Held {
    term: u64,
    beat: u64,
    /// What the store holds; none while that is uncertain.
    stored: Option<Bytes>,
    /// When the last renewal that succeeded began.
    renewed: Duration,
    /// The coordinator whose silence the election rested on.
    silent: Option<Incarnation>,
}

/// One member's part in the election.
#[derive(Debug)]
pub(crate) struct Election {
    me: Incarnation,
    address: String,
    known: Option<Coordinator>,
    seen: Option<Option<Bytes>>,
    unchanged: Attention,
    claim: Option<Claim>,
    held: Option<Held>,
}

impl Election {
    pub(crate) fn new(me: Incarnation, address: String) -> Self {
        Self { me, address, known: None, seen: None, unchanged: Attention::default(), claim: None, held: None }
    }

    /// The term in which this member coordinates, if it does.
    pub(crate) fn term(&self) -> Option<u64> {
        self.held.as_ref().map(|held| held.term)
    }

    /// The coordinator whose silence this member's own election rested on.
    pub(crate) fn silent(&self) -> Option<Incarnation> {
        self.held.as_ref().and_then(|held| held.silent)
    }

    /// Who coordinates, if that is known. Never this member unless it does.
    pub(crate) fn coordinator(&self) -> Option<&Coordinator> {
        self.known.as_ref().filter(|known| known.incarnation != self.me || self.held.is_some())
    }

    /// The highest term that was heard of.
    pub(crate) fn highest(&self) -> u64 {
        self.known.as_ref().map_or(0, |known| known.term)
    }

    /// Somebody coordinates in a term; says whether that is news. A coordinator of an earlier term steps
    /// down.
    pub(crate) fn learn(&mut self, coordinator: Coordinator) -> bool {
        if coordinator.term <= self.highest() {
            return false;
        }
        if coordinator.incarnation != self.me {
            self.held = None;
        }
        self.known = Some(coordinator);
        true
    }

    /// There is a term that this member does not know the coordinator of.
    pub(crate) fn heard_of(&mut self, term: u64) {
        if self.held.as_ref().is_some_and(|held| held.term < term) {
            self.held = None;
        }
    }

    /// A look at the store that began and ended then has found `value`. A member that is about to leave is
    /// not `eager`: it lets others go first.
    pub(crate) fn looked(
        &mut self,
        began: Duration,
        ended: Duration,
        value: Option<Bytes>,
        eager: bool,
    ) -> Result<Step, Error> {
        let place = value.as_ref().map(Place::decode).transpose()?;
        if self.seen.as_ref() == Some(&value) {
            self.unchanged.succeeded(began);
        } else {
            self.unchanged = Attention::from(ended);
            self.seen = Some(value.clone());
        }
        let holder = place.as_ref().and_then(|place| Some((place.term, place.incarnation?, place.address.clone())));
        match (holder, value) {
            (Some((term, holder, _)), Some(stored)) if holder == self.me => {
                return Ok(self.found_mine(began, term, place.map_or(0, |place| place.beat), stored));
            }
            (Some((term, incarnation, address)), _) => {
                self.held = None;
                self.learn(Coordinator { term, incarnation, address });
            }
            _ => self.held = None,
        }
        let patience = limits::COORDINATOR_SILENCE * if eager { 1 } else { 2 };
        let vacant = place.as_ref().is_none_or(|place| place.incarnation.is_none());
        if (vacant && eager) || self.unchanged.counted() >= patience {
            return Ok(Step::Claim(self.claim(place)));
        }
        Ok(Step::Follow)
    }

    /// A look at the store, or a renewal, has failed: what was silence before may be nothing but that.
    pub(crate) fn failed(&mut self) {
        self.unchanged = Attention::default();
    }

    fn claim(&mut self, place: Option<Place>) -> Claim {
        let silent = place.as_ref().and_then(|place| place.incarnation);
        let term = place.map_or(0, |place| place.term).max(self.highest()) + 1;
        let new = Place { term, incarnation: Some(self.me), address: self.address.clone(), beat: 1 };
        let claim = Claim { expected: self.seen.clone().flatten(), new: new.encode(), term, silent };
        self.claim = Some(claim.clone());
        claim
    }

    /// The claim that began at `began` has succeeded.
    pub(crate) fn claimed(&mut self, began: Duration, claim: Claim) {
        self.hold(began, claim.term, 1, claim.new);
    }

    fn hold(&mut self, began: Duration, term: u64, beat: u64, stored: Bytes) {
        let silent = self.claim.take().filter(|claim| claim.term == term).and_then(|claim| claim.silent);
        self.known = Some(Coordinator { term, incarnation: self.me, address: self.address.clone() });
        self.held = Some(Held { term, beat, stored: Some(stored), renewed: began, silent });
    }

    /// The store says that this member coordinates: a claim whose answer was lost, or a place that it could
    /// not renew for a while.
    fn found_mine(&mut self, began: Duration, term: u64, beat: u64, stored: Bytes) -> Step {
        let highest = self.highest();
        match &mut self.held {
            Some(held) if held.term == term => {
                held.beat = held.beat.max(beat);
                held.stored = Some(stored);
                Step::Renew
            }
            _ if term < highest => {
                // Somebody has been elected since; the next look shows who.
                self.held = None;
                Step::Follow
            }
            _ => {
                self.hold(began, term, beat, stored);
                Step::Begin
            }
        }
    }

    /// What a renewal replaces, and by what; none when the store has to be looked at first.
    pub(crate) fn renewal(&mut self) -> Option<(Bytes, Bytes)> {
        let (me, address) = (self.me, self.address.clone());
        let held = self.held.as_mut()?;
        let expected = held.stored.take()?;
        held.beat += 1;
        let new = Place { term: held.term, incarnation: Some(me), address, beat: held.beat };
        Some((expected, new.encode()))
    }

    /// Whether this member coordinates, and knows what the store holds.
    pub(crate) fn is_certain(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.stored.is_some())
    }

    /// The place is not this member's any longer.
    pub(crate) fn step_down(&mut self) {
        self.held = None;
    }

    /// The renewal that began at `began` has succeeded.
    pub(crate) fn renewed(&mut self, began: Duration, new: Bytes) {
        if let Some(held) = &mut self.held {
            (held.stored, held.renewed) = (Some(new), began);
        }
    }

    /// Steps down if the place could not be renewed for too long; says whether it did.
    pub(crate) fn lapse(&mut self, now: Duration) -> bool {
        let lapsed =
            |held: &Held| now.saturating_sub(held.renewed) >= limits::COORDINATOR_SILENCE && held.stored.is_none();
        let steps_down = self.held.as_ref().is_some_and(lapsed);
        if steps_down {
            self.held = None;
        }
        steps_down
    }

    /// Leaves the place to others: what the store must hold, and what it shall hold.
    pub(crate) fn resign(&mut self) -> Option<(Bytes, Bytes)> {
        let held = self.held.take()?;
        let left = Place { term: held.term, incarnation: None, address: String::new(), beat: held.beat + 1 };
        Some((held.stored?, left.encode()))
    }
}

#[cfg(test)]
mod tests;
