//! The loop that beats to the coordinator, and takes what it answers.
//!
//! A beat that is lost is not sent again; the next one says the same and more.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_station::limits;
use tokio::time::{sleep, timeout};

use crate::Error;
use crate::beat::Answer;
use crate::election::Coordinator;
use crate::map::Map;
use crate::service::Service;

/// Beats without a coordinator's answer after which other members are asked who coordinates.
const FAILURES: u32 = 2;

/// Where the next beat goes.
enum Target {
    Myself,
    /// Of a term that its answer will name.
    Other(Coordinator),
    Nobody,
}

/// How the last beats went.
#[derive(Default)]
struct Course {
    failures: u32,
    /// Whom to ask next who coordinates.
    next: usize,
}

impl Service {
    pub(crate) async fn beat(&self) -> Infallible {
        let mut course = Course::default();
        loop {
            let began = self.inner.now();
            self.beat_once(&mut course).await;
            sleep(limits::BEAT_GAP).await;
            let rest = limits::BEAT.saturating_sub(self.inner.now().saturating_sub(began));
            tokio::select! {
                biased;
                () = self.inner.beat_now.notified() => {}
                () = sleep(rest) => {}
            }
        }
    }

    async fn beat_once(&self, course: &mut Course) {
        let beat = self.inner.beat(false);
        let to = match self.target(course) {
            Target::Myself => {
                self.inner.hear(&beat);
                return;
            }
            Target::Other(to) => to,
            Target::Nobody => return,
        };
        let sent = self.links.channel.beat(&to.address, beat.encode(), limits::COORDINATION_DEADLINE);
        let answer = tokio::select! {
            biased;
            () = self.inner.turned.notified() => {
                // Meant for one that coordinates no longer.
                self.inner.beat_now.notify_one();
                return;
            }
            answer = timeout(limits::COORDINATION_DEADLINE, sent) => answer,
        };
        let heard = match answer {
            Ok(Ok(bytes)) => self.take(to.clone(), bytes),
            _ => {
                self.inner.station.failed("unheard");
                false
            }
        };
        course.failures = if heard { 0 } else { course.failures + 1 };
    }

    /// The coordinator; or, if nobody is known to be, or the one that is does not answer, another member.
    fn target(&self, course: &mut Course) -> Target {
        let me = self.inner.me.incarnation;
        let known = {
            let state = self.inner.state.lock();
            if state.election.term().is_some() {
                return Target::Myself;
            }
            state.election.coordinator().cloned()
        };
        if let Some(known) = &known
            && (course.failures < FAILURES || course.failures.is_multiple_of(2))
        {
            return Target::Other(known.clone());
        }
        let map = self.inner.current();
        let mut others: Vec<_> = map.members.iter().filter(|member| member.incarnation != me).collect();
        others.retain(|member| known.as_ref().is_none_or(|known| known.incarnation != member.incarnation));
        course.next += 1;
        match (others.get(course.next % others.len().max(1)), known) {
            (Some(other), _) => {
                let address = other.address.clone();
                Target::Other(Coordinator { term: 0, incarnation: other.incarnation, address })
            }
            (None, Some(known)) => Target::Other(known),
            (None, None) => Target::Nobody,
        }
    }

    /// Takes an answer; says whether it was the coordinator's.
    fn take(&self, from: Coordinator, bytes: Bytes) -> bool {
        let began = self.inner.now();
        match Answer::decode(bytes) {
            Some(Answer::Heard { term, version, map }) => {
                if let Some(map) = map.as_ref().map(Map::decode) {
                    match map {
                        Ok(map) => self.inner.publish(Arc::new(map)),
                        Err(error) => tracing::error!(%error, "the coordinator's map cannot be read"),
                    }
                }
                let mut state = self.inner.state.lock();
                state.election.learn(Coordinator { term, ..from });
                let newest = state.election.highest() == term && self.inner.map.borrow().version >= version;
                if newest {
                    state.confirmed = began;
                }
                newest
            }
            Some(Answer::Unfit { format }) => {
                self.inner.unfit(format);
                true
            }
            Some(Answer::Elsewhere(Some(coordinator))) => {
                if self.inner.state.lock().election.learn(coordinator) {
                    self.inner.beat_now.notify_one();
                }
                false
            }
            Some(Answer::Elsewhere(None)) => false,
            None => {
                self.inner.station.failed("unreadable");
                false
            }
        }
    }

    /// Tells the coordinator that this member stops now.
    pub(crate) async fn say_goodbye(&self) -> Result<(), Error> {
        let known = self.inner.state.lock().election.coordinator().cloned();
        let Some(known) = known else { return Ok(()) };
        let body = self.inner.beat(true).encode();
        let sent = self.links.channel.beat(&known.address, body, limits::COORDINATION_DEADLINE);
        match timeout(limits::COORDINATION_DEADLINE, sent).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Error::Unavailable(error.to_string())),
            Err(_) => Err(Error::Unavailable("the coordinator has not answered in time".into())),
        }
    }
}
