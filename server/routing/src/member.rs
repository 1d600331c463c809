//! This process as a member: serves the shards that the map gives it, and tells how they are.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ordermill_members::{Incarnation, Map, ProcessReport, Report, ShardReport, ShardState};
use ordermill_station::clock;
use ordermill_store::ShardId;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::router::Template;
use crate::served::{Common, Served, State, Wanted};
use crate::shards::Shards;
use crate::view::{Owner, Place, View};

/// Serves what the map gives to this member, and shows the map to whoever asks for shards.
pub(crate) struct Follower {
    me: Incarnation,
    common: Arc<Common>,
    template: Template,
    shards: Arc<Shards>,
    /// Every shard that was ever served here.
    served: BTreeMap<ShardId, Arc<Served>>,
}

impl Follower {
    pub(crate) fn new(me: Incarnation, common: Arc<Common>, template: Template, shards: Arc<Shards>) -> Self {
        Self { me, common, template, shards, served: BTreeMap::new() }
    }

    /// Follows every newer map until nobody tells it any more.
    pub(crate) async fn run(mut self, mut maps: watch::Receiver<Arc<Map>>) {
        while maps.changed().await.is_ok() {
            let map = maps.borrow_and_update().clone();
            self.follow(&map);
        }
    }

    /// Goes by `map` from now on.
    pub(crate) fn follow(&mut self, map: &Map) {
        self.template.formats.raise(map.format);
        let mut places = Vec::with_capacity(map.shards.len());
        for shard in &map.shards {
            let owner = if shard.owner == Some(self.me) {
                let new = || {
                    let config = self.template.shard(shard, map.shards.len());
                    Arc::new(Served::new(self.common.clone(), config))
                };
                Owner::Here(self.served.entry(shard.id).or_insert_with(new).clone())
            } else {
                let member = shard.owner.and_then(|owner| map.member(owner));
                member.map_or(Owner::Nobody, |member| Owner::There(member.address.as_str().into()))
            };
            places.push(Place { id: shard.id, range: shard.range, owner });
        }
        self.shards.show(View::new(map.version, places, map.split.clone()));
        for shard in &map.shards {
            let wanted = match shard.split {
                _ if shard.owner != Some(self.me) || self.shards.is_closing() => Wanted::Away,
                Some(_) => Wanted::Sealed,
                None => Wanted::Served,
            };
            self.served.get(&shard.id).into_iter().for_each(|served| served.want(wanted));
        }
        if self.shards.is_closing() {
            self.served.values().for_each(|served| served.want(Wanted::Away));
        }
        // Of a shard that was split nobody asks any more.
        self.served.retain(|id, served| {
            let stays = map.was_split(*id).is_none();
            if !stays {
                served.want(Wanted::Away);
            }
            stays
        });
    }
}

/// How much of this process's processors is in use, in thousandths.
pub type Busy = Arc<dyn Fn() -> u32 + Send + Sync>;

/// What this process tells the coordinator.
pub(crate) struct Reporter {
    shards: OnceLock<Weak<Shards>>,
    busy: Busy,
    clock: clock::Shared,
    /// Commands of each shard so far, and when they were counted.
    counted: Mutex<BTreeMap<ShardId, (u64, Duration)>>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    pub(crate) fn new(busy: Busy, clock: clock::Shared) -> Arc<Self> {
        Arc::new(Self { shards: OnceLock::new(), busy, clock, counted: Mutex::default() })
    }

    /// From now on there is something to tell.
    pub(crate) fn tell_of(&self, shards: &Arc<Shards>) {
        let _ = self.shards.set(Arc::downgrade(shards));
    }

    fn states(&self) -> Vec<(ShardId, State)> {
        let shards = self.shards.get().and_then(Weak::upgrade);
        shards.map(|shards| shards.states_here()).unwrap_or_default()
    }

    /// Commands per second since the last call.
    fn rate(&self, shard: ShardId, commands: u64) -> u64 {
        let now = self.clock.elapsed();
        let before = self.counted.lock().insert(shard, (commands, now));
        let Some((count, at)) = before else { return 0 };
        let micros = now.saturating_sub(at).as_micros().max(1);
        (u128::from(commands.saturating_sub(count)) * 1_000_000 / micros) as u64
    }
}

impl Report for Reporter {
    fn shards(&self) -> Vec<ShardReport> {
        let report = |(shard, state): (ShardId, State)| {
            let nothing = |state| ShardReport {
                shard,
                state,
                epoch: 0,
                committed: 0,
                checkpoint_lag: 0,
                queue_delay: Duration::ZERO,
                commands_per_s: 0,
                unflushed_bytes: 0,
            };
            match state {
                State::Away | State::Failed(_) => None,
                State::Starting => Some(nothing(ShardState::Starting)),
                State::Ending => Some(nothing(ShardState::Stopping)),
                State::Sealed(last) => Some(ShardReport { committed: last, ..nothing(ShardState::Sealed) }),
                State::Serving(handle) => {
                    let vitals = handle.vitals();
                    let committed = *handle.committed().borrow();
                    Some(ShardReport {
                        epoch: vitals.epoch,
                        committed,
                        checkpoint_lag: committed.saturating_sub(vitals.checkpoint),
                        queue_delay: handle.queue_delay(),
                        commands_per_s: self.rate(shard, vitals.commands),
                        unflushed_bytes: vitals.unflushed_bytes,
                        ..nothing(ShardState::Serving)
                    })
                }
            }
        };
        self.states().into_iter().filter_map(report).collect()
    }

    fn process(&self) -> ProcessReport {
        let states = self.states();
        let delay = |state: &State| if let State::Serving(handle) = state { Some(handle.queue_delay()) } else { None };
        ProcessReport {
            busy_permille: (self.busy)(),
            queue_delay: states.iter().filter_map(|(_, state)| delay(state)).max().unwrap_or_default(),
            moves: states.iter().filter(|(_, state)| matches!(state, State::Starting | State::Ending)).count() as u32,
        }
    }
}
