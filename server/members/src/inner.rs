//! What the loops of a service and its handles share: the map, what is known of the coordinator, and the
//! bounded calls to the store.
//!
//! The lock is held for a moment and never while something is waited for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::measure::Station;
use ordermill_station::{clock, limits};
use ordermill_store::Store;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;

use crate::admin::{Reply, Request};
use crate::beat::{Answer, Beat};
use crate::channel::Channel;
use crate::election::Election;
use crate::map::{Map, Member};
use crate::report::Report;
use crate::roster::Roster;
use crate::stored::MAP;
use crate::{Error, ProcessReport};

/// What the service speaks to.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) channel: Arc<dyn Channel>,
    pub(crate) report: Arc<dyn Report>,
}

/// How far a service is from its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Running,
    Closing,
    Failed(Error),
    Ended,
}

/// A request that waits for the coordinator's next map.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Reply>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) election: Election,
    /// Of the term in which this member coordinates, or did last.
    pub(crate) roster: Option<Roster>,
    /// What the store holds as the map, while that is certain.
    pub(crate) stored: Option<(Bytes, Arc<Map>)>,
    pub(crate) waiting: VecDeque<Waiting>,
    pub(crate) draining: bool,
    was_draining: bool,
    was_cordoned: bool,
    /// When a call to the store succeeded last.
    store_reached: Duration,
    /// When the map was last known to be the newest.
    pub(crate) confirmed: Duration,
}

impl State {
    /// The roster, while this member coordinates.
    pub(crate) fn roster(&mut self) -> Option<&mut Roster> {
        let term = self.election.term()?;
        self.roster.as_mut().filter(|roster| roster.term == term)
    }

    /// How long calls to the store have not succeeded, at `now`.
    pub(crate) fn store_silence(&self, now: Duration) -> Duration {
        now.saturating_sub(self.store_reached)
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) me: Member,
    pub(crate) clock: clock::Shared,
    /// None where the store is shared with nobody.
    pub(crate) links: Option<Links>,
    pub(crate) map: watch::Sender<Arc<Map>>,
    /// Wakes who waits here for a newer map, in the order in which they came: a `watch` wakes them in any order.
    pub(crate) map_turned: Notify,
    pub(crate) state: Mutex<State>,
    pub(crate) stop: watch::Sender<Stop>,
    pub(crate) beat_now: Notify,
    pub(crate) plan_now: Notify,
    /// Somebody else coordinates than before.
    pub(crate) turned: Notify,
    /// Held by the one that asks for a newer map.
    pub(crate) asking: tokio::sync::Mutex<()>,
    pub(crate) station: Station,
}

impl Inner {
    pub(crate) fn new(me: Member, map: Map, links: Option<Links>, clock: clock::Shared) -> Self {
        let now = clock.elapsed();
        let state = State {
            election: Election::new(me.incarnation, me.address.clone()),
            roster: None,
            stored: None,
            waiting: VecDeque::new(),
            draining: false,
            was_draining: false,
            was_cordoned: false,
            store_reached: now,
            confirmed: now,
        };
        Self {
            me,
            clock,
            links,
            map: watch::channel(Arc::new(map)).0,
            map_turned: Notify::new(),
            state: Mutex::new(state),
            stop: watch::channel(Stop::Running).0,
            beat_now: Notify::new(),
            plan_now: Notify::new(),
            turned: Notify::new(),
            asking: tokio::sync::Mutex::new(()),
            station: Station::new("members"),
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(crate) fn current(&self) -> Arc<Map> {
        self.map.borrow().clone()
    }

    fn links(&self) -> Result<&Links, Error> {
        self.links.as_ref().ok_or_else(|| Error::Unavailable("the store is shared with nobody".into()))
    }

    /// Makes a newer map known; one that this build cannot serve ends the service instead.
    pub(crate) fn publish(&self, map: Arc<Map>) {
        if !self.me.formats.contains(map.format) {
            return self.unfit(map.format);
        }
        if map.member(self.me.incarnation).is_some() {
            let mut state = self.state.lock();
            state.was_draining = map.is_draining(self.me.incarnation);
            state.was_cordoned = map.is_cordoned(self.me.incarnation);
        }
        let turned = self.map.send_if_modified(|known| {
            let newer = known.version < map.version;
            if newer {
                *known = map;
            }
            newer
        });
        if turned {
            self.map_turned.notify_waiters();
        }
    }

    /// Ends the service: the store is in a format that this build does not know.
    pub(crate) fn unfit(&self, store: u32) {
        let (min, max) = (self.me.formats.min, self.me.formats.max);
        self.stop.send_replace(Stop::Failed(Error::Format { store, min, max }));
    }

    /// Waits for a call to the store, for a bounded time.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, ordermill_store::Error>>) -> Result<T, Error> {
        let result = match timeout(limits::COORDINATION_DEADLINE, call).await {
            Ok(Ok(value)) => {
                self.station.called(1);
                let now = self.now();
                self.state.lock().store_reached = now;
                return Ok(value);
            }
            Ok(Err(error)) => (error.kind(), error.to_string()),
            Err(_) => ("late", "the store has not answered in time".to_owned()),
        };
        self.station.failed(result.0);
        Err(Error::Unavailable(result.1))
    }

    /// Reads a coordination value.
    pub(crate) async fn load(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.bounded(self.links()?.store.load(name)).await
    }

    /// Replaces a coordination value. After an error it may have been replaced, or still be.
    pub(crate) async fn replace(&self, name: &str, expected: Option<Bytes>, new: Bytes) -> Result<bool, Error> {
        self.bounded(self.links()?.store.compare_and_set(name, expected, new)).await
    }

    /// Reads the map, and makes it known if it is newer.
    pub(crate) async fn read_map(&self) -> Result<(Bytes, Arc<Map>), Error> {
        let began = self.now();
        let bytes = self.load(MAP).await?.ok_or_else(|| Error::Corrupt("the store has lost its map".into()))?;
        let map = Arc::new(Map::decode(&bytes)?);
        self.publish(map.clone());
        self.state.lock().confirmed = began;
        Ok((bytes, map))
    }

    /// What this member has to say now.
    pub(crate) fn beat(&self, leaving: bool) -> Beat {
        let (shards, process) = match &self.links {
            Some(links) if !leaving => (links.report.shards(), links.report.process()),
            _ => (Vec::new(), ProcessReport::default()),
        };
        let (now, map_version) = (self.now(), self.map.borrow().version);
        let state = self.state.lock();
        Beat {
            member: self.me.clone(),
            draining: state.draining,
            leaving,
            was_draining: state.was_draining,
            was_cordoned: state.was_cordoned,
            map_version,
            term: state.election.highest(),
            store_silence: state.store_silence(now),
            shards,
            process,
        }
    }

    /// Hears a beat, if this member coordinates, and answers it.
    pub(crate) fn hear(&self, beat: &Beat) -> Answer {
        let (now, map) = (self.now(), self.current());
        let mut state = self.state.lock();
        state.election.heard_of(beat.term);
        let known = state.election.coordinator().cloned();
        let Some(roster) = state.roster() else { return Answer::Elsewhere(known) };
        if !beat.member.formats.contains(map.format) {
            return Answer::Unfit { format: map.format };
        }
        let mut news = roster.hear(now, beat, &map);
        let term = roster.term;
        if beat.map_version > map.version {
            // Somebody has written a map that this member has not seen.
            state.stored = None;
            news = true;
        }
        if news {
            self.plan_now.notify_one();
        }
        let stored = state.stored.as_ref().filter(|(_, stored)| stored.version == map.version);
        let bytes = || stored.map_or_else(|| map.encode(), |(bytes, _)| bytes.clone());
        Answer::Heard { term, version: map.version, map: (beat.map_version < map.version).then(bytes) }
    }
}
