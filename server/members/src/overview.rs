//! What an administrator is shown: the map, and what the members have told the coordinator.
//!
//! A picture of a moment, for humans and for the operator; nothing is decided by it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_station::limits;
use tokio::time::timeout;

use crate::Handle;
use crate::admin::Reply;
use crate::election::Coordinator;
use crate::map::{Incarnation, Map};
use crate::report::{ProcessReport, ShardReport};
use crate::wire;

/// What a member has said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The member.
    pub member: Incarnation,
    /// How long ago it said so.
    pub ago: Duration,
    /// Its shards.
    pub shards: Vec<ShardReport>,
    /// Its process.
    pub process: ProcessReport,
}

/// The cluster as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overview {
    /// The newest map that is known.
    pub map: Arc<Map>,
    /// How long ago the store or the coordinator has said that there was none newer.
    pub map_age: Duration,
    /// Who coordinates; none while nobody that does was reached.
    pub coordinator: Option<Coordinator>,
    /// What the members have told the coordinator; nothing without one.
    pub heard: Vec<Heard>,
}

/// What the coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) coordinator: Coordinator,
    /// Its map, as it is stored.
    pub(crate) map: Bytes,
    pub(crate) heard: Vec<Heard>,
}

impl Handle {
    /// The cluster, as the coordinator sees it; the map alone when none can be asked now.
    pub async fn overview(&self) -> Overview {
        let told = timeout(limits::COORDINATION_DEADLINE, self.ask_for_overview()).await.ok().flatten();
        let theirs = told.as_ref().and_then(|told| Map::decode(&told.map).ok()).map(Arc::new);
        let asked = theirs.is_some();
        if let Some(map) = theirs {
            self.inner.publish(map);
        }
        let map_age = if asked { Duration::ZERO } else { self.status().map_age };
        let (coordinator, heard) = told.map(|told| (told.coordinator, told.heard)).unzip();
        Overview { map: self.current(), map_age, coordinator, heard: heard.unwrap_or_default() }
    }

    async fn ask_for_overview(&self) -> Option<Told> {
        let links = self.inner.links.as_ref()?;
        // A member that has just begun may not know yet who coordinates, and one that asks may be told.
        for _ in 0..2 {
            let known = self.inner.state.lock().election.coordinator().cloned();
            let reply = match known {
                Some(other) if other.incarnation != self.inner.me.incarnation => {
                    let body = wire::ask_for_overview();
                    let sent = links.channel.admin(&other.address, body, limits::COORDINATION_DEADLINE);
                    Reply::decode(sent.await.ok()?)?
                }
                _ => self.overview_here(),
            };
            match reply {
                Reply::Overview(told) => return Some(told),
                Reply::Elsewhere(Some(known)) => drop(self.inner.state.lock().election.learn(known)),
                _ => return None,
            }
        }
        None
    }

    /// What is known here, if this member coordinates.
    pub(crate) fn overview_here(&self) -> Reply {
        let (now, map) = (self.inner.now(), self.current());
        let mut state = self.inner.state.lock();
        let known = state.election.coordinator().cloned();
        let heard = state.roster().map(|roster| roster.heard(now));
        match (known, heard) {
            (Some(coordinator), Some(heard)) => Reply::Overview(Told { coordinator, map: map.encode(), heard }),
            (known, _) => Reply::Elsewhere(known),
        }
    }
}
