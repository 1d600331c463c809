//! The loop that writes new maps while this member coordinates.
//!
//! What a new map says comes from the roster, the requests that wait, and the plan. A map is written only
//! over the one that it was made from; after a write whose outcome is unknown the store is asked first.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use tokio::time::sleep;

use crate::admin::Reply;
use crate::inner::{State, Waiting};
use crate::map::{Map, State as ShardState};
use crate::plan::{Move, plan};
use crate::service::Service;
use crate::stored::MAP;

/// A map to be written.
struct Proposal {
    expected: Bytes,
    bytes: Bytes,
    map: Arc<Map>,
    moves: Vec<Move>,
    /// Requests that hold once it is written.
    granted: Vec<Waiting>,
}

/// How an attempt to write a map ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It is written, or there was nothing to write.
    Done,
    /// The store holds another map: begin with that one.
    Changed,
    /// The store did not answer.
    Failed,
}

impl Service {
    pub(crate) async fn coordinate(&self) -> Infallible {
        loop {
            tokio::select! {
                biased;
                () = self.inner.plan_now.notified() => {}
                () = sleep(limits::BEAT) => {}
            }
            loop {
                match self.coordinate_once().await {
                    Outcome::Done => break,
                    Outcome::Changed => {}
                    Outcome::Failed => sleep(limits::COORDINATION_RETRY).await,
                }
            }
        }
    }

    /// Writes what the map should be, unless it is that already. Tries again when it was changed.
    pub(crate) async fn coordinate_last(&self) {
        for _ in 0..limits::JOIN_TRIES {
            if self.coordinate_once().await != Outcome::Changed {
                return;
            }
        }
    }

    async fn coordinate_once(&self) -> Outcome {
        let is_certain = {
            let mut state = self.inner.state.lock();
            if state.roster().is_none() {
                // Who waits asks the one that coordinates now.
                state.waiting.clear();
                return Outcome::Done;
            }
            state.stored.is_some()
        };
        if !is_certain {
            let stored = match self.inner.read_map().await {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::warn!(%error, "the map cannot be read");
                    return Outcome::Failed;
                }
            };
            let now = self.inner.now();
            let mut state = self.inner.state.lock();
            let silent = state.election.silent();
            if let Some(roster) = state.roster() {
                roster.know(now, &stored.1, silent);
            }
            state.stored = Some(stored);
        }
        let now = self.inner.now();
        let proposal = self.inner.state.lock().propose(now);
        match proposal {
            Some(proposal) => self.write(proposal).await,
            None => Outcome::Done,
        }
    }

    async fn write(&self, proposal: Proposal) -> Outcome {
        let Proposal { expected, bytes, map, moves, granted } = proposal;
        let outcome = match self.inner.replace(MAP, Some(expected), bytes.clone()).await {
            Ok(true) => Outcome::Done,
            Ok(false) => Outcome::Changed,
            Err(_) => Outcome::Failed,
        };
        if outcome != Outcome::Done {
            let mut state = self.inner.state.lock();
            granted.into_iter().rev().for_each(|waiting| state.waiting.push_front(waiting));
            return outcome;
        }
        for Move { shard, from, to, reason } in moves {
            tracing::info!(%shard, ?from, ?to, reason = reason.as_str(), version = map.version, "a shard moves");
        }
        self.inner.state.lock().stored = Some((bytes, map.clone()));
        let version = map.version;
        self.inner.publish(map);
        // Who has gone away needs no answer.
        granted.into_iter().for_each(|waiting| drop(waiting.answer.send(Reply::Done { version })));
        Outcome::Done
    }
}

impl State {
    /// What the map should be, if it is not that already.
    fn propose(&mut self, now: Duration) -> Option<Proposal> {
        let (expected, map) = self.stored.take()?;
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        let waiting = std::mem::take(&mut self.waiting);
        let roster = self.roster()?;
        for member in roster.expire() {
            tracing::warn!(member = %member.incarnation, name = member.name, "a member is gone");
        }
        let mut next = Map::clone(&map);
        roster.enrol(&mut next);
        roster.settle(&mut next);
        roster.split(&mut next, now);
        let policy = roster.policy(now, &map);
        let mut granted = Vec::new();
        for one in waiting {
            match one.request.apply(&mut next, roster, &policy) {
                Ok(()) => granted.push(one),
                // Who has gone away needs no answer.
                Err(why) => drop(one.answer.send(Reply::Refused(why))),
            }
        }
        let policy = roster.policy(now, &next);
        let plan = plan(&next, &roster.views(&next), &policy);
        plan.apply(&mut next, policy.age_ms);
        let at_rest = plan.moves.is_empty() && next.shards.iter().all(|shard| shard.state == ShardState::Settled);
        roster.eager &= !at_rest;
        if next == *map {
            let version = map.version;
            granted.into_iter().for_each(|waiting| drop(waiting.answer.send(Reply::Done { version })));
            self.stored = Some((expected, map));
            return None;
        }
        next.version += 1;
        next.age_ms = policy.age_ms;
        Some(Proposal { expected, bytes: next.encode(), map: Arc::new(next), moves: plan.moves, granted })
    }
}
