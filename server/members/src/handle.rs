//! The way into the service, for the router, the peer server and administrators.
//!
//! Cheap to clone. The map that it shows may be old: that costs a request time, and decides nothing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::{clock, limits};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use crate::Error;
use crate::admin::{Reply, Request, Response};
use crate::beat::{Answer, Beat};
use crate::election::Coordinator;
use crate::inner::{Inner, Stop, Waiting};
use crate::map::{Map, Member, State};
use crate::wire;

/// How a member stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether this member coordinates.
    pub coordinating: bool,
    /// Who coordinates, as far as is known.
    pub coordinator: Option<Coordinator>,
    /// The version of the map that is known here.
    pub map_version: u64,
    /// How long ago the store or the coordinator has said that there was none newer.
    pub map_age: Duration,
    /// How long ago a call to the store succeeded.
    pub store_silence: Duration,
    /// Whether this member has asked for its shards to be moved away.
    pub draining: bool,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// No shard is left here.
    Empty,
    /// Nobody else can take them: they stay.
    NobodyElse,
    /// The time is up; so many shards are left.
    Late {
        /// Shards that this member owns, or still hands over.
        left: usize,
    },
}

/// The way into a member's service; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(crate) inner: Arc<Inner>,
}

impl Handle {
    pub(crate) fn of(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// The handle of a process that shares its store with nobody: its map never changes. Panics unless
    /// there are 1 to 65,536 shards.
    pub fn alone(shards: u32, me: Member, clock: clock::Shared) -> Self {
        let map = Map::alone(shards, me.clone());
        let inner = Inner::new(me, map, None, clock);
        inner.stop.send_replace(Stop::Ended);
        Self { inner: Arc::new(inner) }
    }

    /// The map, and every newer one.
    pub fn map(&self) -> watch::Receiver<Arc<Map>> {
        self.inner.map.subscribe()
    }

    /// The map as it is known now.
    pub fn current(&self) -> Arc<Map> {
        self.inner.current()
    }

    /// This member.
    pub fn me(&self) -> &Member {
        &self.inner.me
    }

    /// The cluster's age, milliseconds, while this member coordinates.
    pub fn coordinated_ms(&self) -> Option<u64> {
        let (now, map) = (self.inner.now(), self.inner.current());
        let mut state = self.inner.state.lock();
        state.roster().map(|roster| roster.age_ms(now, &map))
    }

    /// How this member stands.
    pub fn status(&self) -> Status {
        let now = self.inner.now();
        let map_version = self.inner.map.borrow().version;
        let state = self.inner.state.lock();
        let fresh = |age| if self.inner.links.is_some() { age } else { Duration::ZERO };
        Status {
            coordinating: state.election.term().is_some(),
            coordinator: state.election.coordinator().cloned(),
            map_version,
            map_age: fresh(now.saturating_sub(state.confirmed)),
            store_silence: fresh(state.store_silence(now)),
            draining: state.draining,
        }
    }

    /// Answers a beat that a peer has brought. Never waits.
    pub fn answer_beat(&self, body: Bytes) -> Bytes {
        let answer = match Beat::decode(body) {
            Some(beat) if *self.inner.stop.borrow() == Stop::Running => self.inner.hear(&beat),
            _ => Answer::Elsewhere(None),
        };
        answer.encode()
    }

    /// Answers an administrator's request that a peer has passed on.
    pub async fn answer_admin(&self, body: Bytes) -> Bytes {
        if wire::asks_for_overview(&body) {
            return self.overview_here().encode();
        }
        let reply = match Request::decode(body) {
            Some(request) => match timeout(limits::ADMIN_DEADLINE, self.decide(request)).await {
                Ok(reply) => reply,
                Err(_) => Reply::Unavailable("the coordinator cannot write a map now".into()),
            },
            None => Reply::Refused("this build does not know the request".into()),
        };
        reply.encode()
    }

    /// Carries out an administrator's request, wherever the coordinator is. After `Unavailable` it may have
    /// been carried out, or still be: send it again.
    pub async fn admin(&self, request: Request) -> Result<Response, Error> {
        let mut why = "nobody is known to coordinate".to_owned();
        let asked = timeout(limits::ADMIN_DEADLINE, async {
            loop {
                match self.ask_coordinator(request).await {
                    Ok(Reply::Done { version }) => return Ok(Response { version }),
                    Ok(Reply::Refused(why)) => return Err(Error::Refused(why)),
                    Ok(Reply::Unavailable(text)) => why = text,
                    Ok(Reply::Elsewhere(known)) => {
                        if let Some(known) = known {
                            self.inner.state.lock().election.learn(known);
                        }
                    }
                    Ok(Reply::Overview(_)) => why = "the coordinator has answered another question".into(),
                    Err(text) => why = text,
                }
                sleep(limits::COORDINATION_RETRY).await;
            }
        });
        let late = asked.await;
        late.unwrap_or(Err(Error::Unavailable(why)))
    }

    async fn ask_coordinator(&self, request: Request) -> Result<Reply, String> {
        let Some(links) = &self.inner.links else {
            return Ok(Reply::Refused("this store is shared with nobody".into()));
        };
        let coordinator = {
            let state = self.inner.state.lock();
            state.election.coordinator().cloned()
        };
        match coordinator {
            Some(other) if other.incarnation != self.inner.me.incarnation => {
                let sent = links.channel.admin(&other.address, request.encode(), limits::ADMIN_DEADLINE);
                let bytes = sent.await.map_err(|error| error.to_string())?;
                Reply::decode(bytes).ok_or_else(|| "the coordinator's answer cannot be read".to_owned())
            }
            _ => Ok(self.decide(request).await),
        }
    }

    /// Has a request decided here, if this member coordinates.
    async fn decide(&self, request: Request) -> Reply {
        let (answer, decided) = oneshot::channel();
        {
            let mut state = self.inner.state.lock();
            if state.roster().is_none() {
                return Reply::Elsewhere(state.election.coordinator().cloned());
            }
            if state.waiting.len() >= limits::ADMIN_WAITING {
                return Reply::Unavailable("too many requests are waiting".into());
            }
            state.waiting.push_back(Waiting { request, answer });
        }
        self.inner.plan_now.notify_one();
        // Dropped: this member coordinates no longer.
        decided.await.unwrap_or(Reply::Elsewhere(None))
    }

    /// A map newer than version `newer_than`: asks the store at once, and again until there is one.
    /// Callers at the same time ask together. `NotNewer` when the deadline is over.
    pub async fn refresh(&self, newer_than: u64, deadline: Duration) -> Result<Arc<Map>, Error> {
        let newer = timeout(deadline, async {
            loop {
                let turned = self.inner.map_turned.notified();
                let known = self.inner.current();
                if known.version > newer_than {
                    return known;
                }
                tokio::select! {
                    biased;
                    () = turned => {}
                    () = self.ask() => {}
                }
            }
        });
        let newer = newer.await;
        let version = self.inner.map.borrow().version;
        newer.map_err(|_| Error::NotNewer { version, waited: deadline })
    }

    /// Asks the store for the map, unless somebody is about to; then pauses.
    async fn ask(&self) {
        if self.inner.links.is_none() {
            return std::future::pending().await;
        }
        let _asking = self.inner.asking.lock().await;
        if self.inner.read_map().await.is_err() {
            // The coordinator may know.
            self.inner.beat_now.notify_one();
        }
        sleep(limits::REFRESH_PAUSE).await;
    }

    /// A shard has changed its state: tells the coordinator now rather than with the next beat.
    pub fn changed(&self) {
        self.inner.beat_now.notify_one();
    }

    /// Asks for all shards to be moved away, and waits for it. The member takes no new ones from then on.
    pub async fn drain_me(&self, deadline: Duration) -> Drained {
        self.inner.state.lock().draining = true;
        self.inner.beat_now.notify_one();
        let drained = timeout(deadline, async {
            loop {
                let turned = self.inner.map_turned.notified();
                let map = self.inner.current();
                if self.left(&map) == 0 {
                    return Drained::Empty;
                }
                let me = self.inner.me.incarnation;
                if map.owned_by(me).next().is_some() && !map.has_taker(me) {
                    return Drained::NobodyElse;
                }
                turned.await;
            }
        });
        let late = |_| Drained::Late { left: self.left(&self.current()) };
        drained.await.unwrap_or_else(late)
    }

    /// Shards that this member owns, or still hands over.
    fn left(&self, map: &Map) -> usize {
        let me = Some(self.inner.me.incarnation);
        let here = map.shards.iter();
        here.filter(|shard| shard.owner == me || (shard.state == State::Moving && shard.from == me)).count()
    }

    /// Leaves the cluster, and waits until that is done; the coordinator, too, leaves its place to others.
    pub async fn close(&self) {
        self.inner.stop.send_if_modified(|stop| {
            let runs = *stop == Stop::Running;
            if runs {
                *stop = Stop::Closing;
            }
            runs
        });
        let mut stop = self.inner.stop.subscribe();
        // The sender lives as long as this handle.
        let _ = stop.wait_for(|stop| matches!(stop, Stop::Failed(_) | Stop::Ended)).await;
    }
}
