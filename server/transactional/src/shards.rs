//! What this process knows of each shard: whether it owns it, and how far the journal is.
//!
//! Everything here is a memory of what was read from the service; nothing is decided by it alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ordermill_station::limits;
use ordermill_store::{Error, ShardId};
use parking_lot::Mutex;

use crate::service::Timestamp;
use crate::stored::Nonce;

/// All shards that this process has had to do with.
#[derive(Debug, Default)]
pub(crate) struct Shards(Mutex<BTreeMap<ShardId, Arc<Shard>>>);

impl Shards {
    pub(crate) fn get(&self, id: ShardId) -> Result<Arc<Shard>, Error> {
        if id.0 >= limits::SHARD_IDS {
            return Err(Error::Invalid(format!("shard {id} of at most {}", limits::SHARD_IDS)));
        }
        let mut all = self.0.lock();
        Ok(Arc::clone(all.entry(id).or_insert_with(|| Arc::new(Shard { id, state: Mutex::default() }))))
    }
}

/// One shard.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The greatest number that was seen in the journal.
    known: u64,
    /// When the journal was first seen to have ended.
    sealed: Option<Duration>,
    owner: Owner,
}

/// Who owns a shard, as far as this process knows.
#[derive(Debug, Default)]
enum Owner {
    /// Not this process: it never took over, or gave up.
    #[default]
    NotHere,
    /// Another owner, who has written this record.
    Another(u64),
    /// This process.
    Here(Term),
}

/// A timestamp that was taken in advance, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Timestamp,
    pub(crate) taken: Duration,
}

/// What the owner of a shard remembers while it is the owner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    /// Number of the fence.
    pub(crate) epoch: u64,
    /// With what the fence was written: everything that this owner writes comes after it.
    pub(crate) fence: Nonce,
    /// The last record that was read back.
    pub(crate) last: u64,
    pub(crate) checkpoint: u64,
    pub(crate) trimmed: u64,
    /// Records up to here are gone.
    pub(crate) gone: u64,
    /// When it was certain last that nobody had written after `last`, not even a record that is trimmed
    /// by now. Always a time before the look that says so.
    pub(crate) evidence: Duration,
    /// When the shard was taken over.
    pub(crate) since: Duration,
    /// For the next append.
    pub(crate) next: Option<Start>,
    /// An append is under way.
    pub(crate) appending: bool,
}

impl Term {
    /// Whether this owner, in this term, has written something with `nonce`.
    pub(crate) fn wrote(&self, nonce: Nonce) -> bool {
        nonce.incarnation == self.fence.incarnation && nonce.batch >= self.fence.batch
    }
}

impl Shard {
    /// The term of this owner. `Fenced` when another one has taken over, `Invalid` when the shard was
    /// never taken over, or given up, here.
    pub(crate) fn term(&self) -> Result<Term, Error> {
        match &self.state.lock().owner {
            Owner::Here(term) => Ok(*term),
            Owner::Another(number) => Err(Error::Fenced(*number)),
            Owner::NotHere => Err(Error::Invalid(format!("shard {} is not owned here: take it over first", self.id))),
        }
    }

    /// The term that began with `epoch`; an error as for [`Shard::term`] when it has ended.
    pub(crate) fn term_of(&self, epoch: u64) -> Result<Term, Error> {
        let term = self.term()?;
        if term.epoch == epoch {
            return Ok(term);
        }
        Err(Error::Invalid(format!("shard {} was taken over anew meanwhile", self.id)))
    }

    /// Begins a term.
    pub(crate) fn own(&self, term: Term) {
        let mut state = self.state.lock();
        state.known = state.known.max(term.last);
        state.owner = Owner::Here(term);
    }

    /// Changes the term that began with `epoch`, if it still runs.
    pub(crate) fn change(&self, epoch: u64, change: impl FnOnce(&mut Term)) {
        let mut state = self.state.lock();
        if let Owner::Here(term) = &mut state.owner
            && term.epoch == epoch
        {
            change(term);
            let last = term.last;
            state.known = state.known.max(last);
        }
    }

    /// Gives the shard up.
    pub(crate) fn give_up(&self) {
        let mut state = self.state.lock();
        if let Owner::Here(_) = state.owner {
            state.owner = Owner::NotHere;
        }
    }

    /// Ends the term that began with `epoch` where `done` says so: after `Fenced` and `Unknown` a shard
    /// is not owned until it is taken over again.
    pub(crate) fn ends<T>(&self, epoch: u64, done: Result<T, Error>) -> Result<T, Error> {
        let next = match &done {
            Err(Error::Fenced(number)) => Owner::Another(*number),
            Err(Error::Unknown(_)) => Owner::NotHere,
            _ => return done,
        };
        let mut state = self.state.lock();
        if matches!(&state.owner, Owner::Here(term) if term.epoch == epoch) {
            state.owner = next;
        }
        done
    }

    /// The greatest number that was seen.
    pub(crate) fn known(&self) -> u64 {
        self.state.lock().known
    }

    /// Since when it is known here that the journal has ended; from `now` on, if it was not known before.
    pub(crate) fn sealed_since(&self, now: Duration) -> Duration {
        *self.state.lock().sealed.get_or_insert(now)
    }

    /// Remembers that there is a record `number`.
    pub(crate) fn saw(&self, number: u64) {
        let mut state = self.state.lock();
        state.known = state.known.max(number);
    }

    /// Begins an append of `number`; there is one at a time.
    pub(crate) fn turn(&self, number: u64) -> Result<Turn<'_>, Error> {
        let mut state = self.state.lock();
        let term = match &mut state.owner {
            Owner::Here(term) => term,
            Owner::Another(number) => return Err(Error::Fenced(*number)),
            Owner::NotHere => {
                return Err(Error::Invalid(format!("shard {} is not owned here: take it over first", self.id)));
            }
        };
        if number != term.last + 1 {
            let last = term.last;
            return Err(Error::Invalid(format!("record {number} of shard {}: the last one is {last}", self.id)));
        }
        if term.appending {
            return Err(Error::Invalid(format!("an append to shard {} is under way", self.id)));
        }
        term.appending = true;
        Ok(Turn { shard: self, term: *term, over: false, next: term.next.take() })
    }
}

/// An append that is under way. Dropped before its end it has an outcome that nobody knows: the shard is
/// given up.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    shard: &'a Shard,
    pub(crate) term: Term,
    pub(crate) next: Option<Start>,
    over: bool,
}

impl Turn<'_> {
    /// The append has ended; `change` says what follows.
    pub(crate) fn end(mut self, change: impl FnOnce(&mut Term)) {
        self.over = true;
        self.shard.change(self.term.epoch, |term| {
            term.appending = false;
            change(term);
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.over {
            let lost = Err(Error::Unknown("the append was given up".to_owned()));
            let _: Result<(), Error> = self.shard.ends(self.term.epoch, lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned() -> Arc<Shard> {
        let shard = Shards::default().get(ShardId(3)).unwrap();
        let fence = Nonce { incarnation: 1, batch: 4 };
        shard.own(Term {
            epoch: 5,
            fence,
            last: 5,
            checkpoint: 2,
            trimmed: 0,
            gone: 0,
            evidence: Duration::ZERO,
            since: Duration::ZERO,
            next: None,
            appending: false,
        });
        shard
    }

    #[test]
    fn an_append_that_is_dropped_ends_the_term() {
        let shard = owned();
        shard.turn(6).unwrap().end(|term| term.last = 6);
        assert_eq!(shard.term().unwrap().last, 6);
        drop(shard.turn(7).unwrap());
        assert!(matches!(shard.term(), Err(Error::Invalid(_))));
    }

    #[test]
    fn there_is_one_append_at_a_time_and_it_is_the_next() {
        let shard = owned();
        assert!(matches!(shard.turn(7), Err(Error::Invalid(_))));
        let _turn = shard.turn(6).unwrap();
        assert!(matches!(shard.turn(6), Err(Error::Invalid(_))));
    }

    #[test]
    fn what_ends_a_term_ends_that_one_only() {
        let shard = owned();
        let fenced = |epoch| shard.ends::<()>(epoch, Err(Error::Fenced(9)));
        assert!(fenced(4).is_err());
        assert_eq!(shard.term().unwrap().epoch, 5);
        assert!(fenced(5).is_err());
        assert!(matches!(shard.term(), Err(Error::Fenced(9))));
    }

    #[test]
    fn its_own_writes_are_those_since_the_fence() {
        let term = owned().term().unwrap();
        let nonce = |incarnation, batch| Nonce { incarnation, batch };
        assert!(term.wrote(nonce(1, 4)) && term.wrote(nonce(1, 9)));
        assert!(!term.wrote(nonce(1, 3)) && !term.wrote(nonce(2, 9)));
    }

    #[test]
    fn there_are_no_more_shards_than_slots() {
        assert!(matches!(Shards::default().get(ShardId(limits::SHARD_IDS)), Err(Error::Invalid(_))));
    }
}
