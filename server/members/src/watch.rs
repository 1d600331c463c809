//! The loop that looks who coordinates, takes the place when nobody does, and renews it while it is held.
//!
//! One small call to the store at a time, each with a deadline. What it finds out is decided elsewhere
//! (`election`).

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use tokio::time::sleep;

use crate::election::{Claim, Step};
use crate::roster::Roster;
use crate::service::Service;
use crate::stored::COORDINATOR;

impl Service {
    pub(crate) async fn watch(&self) -> Infallible {
        // Members that start together do not look in step for ever.
        sleep(self.first_pause()).await;
        loop {
            let began = self.inner.now();
            let pause = self.renew_or_look().await;
            sleep(pause.saturating_sub(self.inner.now().saturating_sub(began))).await;
        }
    }

    /// One step; says when the next shall begin, counted from when this one began.
    async fn renew_or_look(&self) -> Duration {
        let now = self.inner.now();
        let renewal = {
            let mut state = self.inner.state.lock();
            if state.election.lapse(now) {
                tracing::warn!("no longer the coordinator: the store cannot be reached");
            }
            state.election.renewal()
        };
        match renewal {
            Some((expected, new)) => self.renew(now, expected, new).await,
            None => self.look().await,
        }
    }

    async fn renew(&self, began: Duration, expected: Bytes, new: Bytes) -> Duration {
        match self.inner.replace(COORDINATOR, Some(expected), new.clone()).await {
            Ok(true) => {
                let mut state = self.inner.state.lock();
                state.election.renewed(began, new);
                state.confirmed = began;
                if let Some(roster) = state.roster() {
                    roster.renewed(began);
                }
                self.inner.plan_now.notify_one();
                limits::BEAT
            }
            Ok(false) => {
                // Refused: the place is somebody else's, unless a look shows at once that it is not.
                let pause = self.look().await;
                let mut state = self.inner.state.lock();
                if !state.election.is_certain() {
                    state.election.step_down();
                }
                pause
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&self, error: &crate::Error) -> Duration {
        tracing::debug!(%error, "the store did not say who coordinates");
        let mut state = self.inner.state.lock();
        state.election.failed();
        if let Some(roster) = state.roster() {
            roster.failed();
        }
        limits::COORDINATION_RETRY
    }

    /// Looks who coordinates, and does what follows from it.
    pub(crate) async fn look(&self) -> Duration {
        let began = self.inner.now();
        let value = match self.inner.load(COORDINATOR).await {
            Ok(value) => value,
            Err(error) => return self.failed(&error),
        };
        let ended = self.inner.now();
        let (step, turned, map_is_old) = {
            let mut state = self.inner.state.lock();
            let (before, eager) = (state.election.highest(), !state.draining);
            let step = state.election.looked(began, ended, value, eager);
            let map_is_old = ended.saturating_sub(state.confirmed) >= 2 * limits::BEAT;
            (step, state.election.highest() != before, map_is_old)
        };
        if turned {
            self.turn();
        }
        match step {
            Ok(Step::Follow) => {
                if map_is_old {
                    // The coordinator does not answer: the store has the map, too.
                    let _ = self.inner.read_map().await;
                }
                limits::LOOK
            }
            Ok(Step::Renew) => Duration::ZERO,
            Ok(Step::Begin) => {
                self.begin(began);
                Duration::ZERO
            }
            Ok(Step::Claim(claim)) => self.claim(claim).await,
            Err(error) => {
                tracing::error!(%error, "the store does not say who coordinates");
                limits::LOOK
            }
        }
    }

    async fn claim(&self, claim: Claim) -> Duration {
        let began = self.inner.now();
        match self.inner.replace(COORDINATOR, claim.expected.clone(), claim.new.clone()).await {
            Ok(true) => {
                self.inner.state.lock().election.claimed(began, claim);
                self.begin(began);
                limits::BEAT
            }
            // Somebody was faster: the next look shows who.
            Ok(false) => limits::COORDINATION_RETRY,
            Err(error) => self.failed(&error),
        }
    }

    /// This member coordinates from now on.
    fn begin(&self, began: Duration) {
        let mut state = self.inner.state.lock();
        let Some(term) = state.election.term() else { return };
        tracing::info!(term, silent = ?state.election.silent(), "this member coordinates");
        state.roster = Some(Roster::new(term, began));
        state.stored = None;
        drop(state);
        self.turn();
        self.inner.plan_now.notify_one();
    }

    /// Somebody else coordinates than before: speaks to it at once.
    fn turn(&self) {
        self.inner.turned.notify_one();
        self.inner.beat_now.notify_one();
    }
}
