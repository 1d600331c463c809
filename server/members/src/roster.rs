//! Whom the coordinator has heard of, and when.
//!
//! Its own memory, begun anew with every term. A member is silent only for as long as the coordinator's
//! own calls to the store succeeded; until somebody has been silent for too long, it is taken to be alive.

use std::collections::BTreeMap;
use std::time::Duration;

use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::attention::Attention;
use crate::beat::Beat;
use crate::map::{Incarnation, Map, Member, State};
use crate::overview::Heard;
use crate::plan::{MemberView, Policy, ShardView};
use crate::report::{ProcessReport, ShardReport, ShardState};
use crate::split;

/// One member, as heard last.
#[derive(Debug)]
struct Entry {
    member: Member,
    /// The attention at its last beat.
    heard: Duration,
    /// The attention at its last beat that said that it reaches the store.
    stored: Duration,
    /// When its last beat came; none until the first one of this term.
    spoke: Option<Duration>,
    draining: bool,
    was_draining: bool,
    was_cordoned: bool,
    shards: Vec<(ShardId, ShardState)>,
    reports: Vec<ShardReport>,
    process: ProcessReport,
}

#[derive(Debug)]
pub(crate) struct Roster {
    pub(crate) term: u64,
    /// Loads shall be levelled although nobody is overloaded.
    pub(crate) eager: bool,
    attention: Attention,
    /// The cluster's age when the term began; none until the map has been read.
    began_ms: Option<u64>,
    entries: BTreeMap<Incarnation, Entry>,
    /// The smoothed load of each shard, times [`limits::LOAD_BEATS`].
    loads: BTreeMap<ShardId, u64>,
}

impl Roster {
    /// The roster of a term that begins at `now`.
    pub(crate) fn new(term: u64, now: Duration) -> Self {
        Self {
            term,
            eager: false,
            attention: Attention::from(now),
            began_ms: None,
            entries: BTreeMap::new(),
            loads: BTreeMap::new(),
        }
    }

    /// A renewal that began at `began` has succeeded.
    pub(crate) fn renewed(&mut self, began: Duration) {
        self.attention.succeeded(began);
    }

    /// A renewal has failed.
    pub(crate) fn failed(&mut self) {
        self.attention.failed();
    }

    /// The map has been read: its members count as heard, since they had nobody to speak to, but not the
    /// one on whose silence the election rested.
    pub(crate) fn know(&mut self, now: Duration, map: &Map, silent: Option<Incarnation>) {
        if self.began_ms.is_some() {
            return;
        }
        self.began_ms = Some(map.age_ms);
        let at = self.attention.at(now);
        for member in map.members.iter().filter(|member| Some(member.incarnation) != silent) {
            let entry = || Entry {
                member: member.clone(),
                heard: at,
                stored: at,
                spoke: None,
                draining: false,
                was_draining: false,
                was_cordoned: false,
                shards: Vec::new(),
                reports: Vec::new(),
                process: ProcessReport::default(),
            };
            self.entries.entry(member.incarnation).or_insert_with(entry);
        }
    }

    /// Hears a beat; says whether it may change the map.
    pub(crate) fn hear(&mut self, now: Duration, beat: &Beat, map: &Map) -> bool {
        let who = beat.member.incarnation;
        if beat.leaving {
            return self.entries.remove(&who).is_some();
        }
        let at = self.attention.at(now);
        let reaches_store = beat.store_silence < limits::COORDINATOR_SILENCE;
        let before = self.entries.remove(&who);
        if before.is_none() && (!reaches_store || self.entries.len() >= limits::MEMBERS) {
            return false;
        }
        self.smooth(beat, map);
        let entry = Entry {
            member: beat.member.clone(),
            heard: at,
            stored: before.as_ref().filter(|_| !reaches_store).map_or(at, |before| before.stored),
            spoke: Some(now),
            draining: beat.draining,
            was_draining: beat.was_draining,
            was_cordoned: beat.was_cordoned,
            shards: beat.shards.iter().map(|report| (report.shard, report.state)).collect(),
            reports: beat.shards.clone(),
            process: beat.process,
        };
        let news = before.is_none_or(|before| before.draining != entry.draining || before.shards != entry.shards);
        self.entries.insert(who, entry);
        news
    }

    fn smooth(&mut self, beat: &Beat, map: &Map) {
        for report in beat.shards.iter().filter(|report| report.state == ShardState::Serving) {
            if map.shard(report.shard).is_none_or(|shard| shard.owner != Some(beat.member.incarnation)) {
                continue;
            }
            let first = report.commands_per_s.saturating_mul(limits::LOAD_BEATS);
            let sum = self.loads.entry(report.shard).or_insert(first);
            *sum = (*sum - *sum / limits::LOAD_BEATS).saturating_add(report.commands_per_s);
        }
    }

    /// Forgets one member: it stops.
    pub(crate) fn forget(&mut self, who: Incarnation) {
        self.entries.remove(&who);
    }

    /// Forgets who has been silent, or without the store, for too long; tells who that was.
    pub(crate) fn expire(&mut self) -> Vec<Member> {
        let counted = self.attention.counted();
        let gone = |entry: &Entry| {
            counted.saturating_sub(entry.heard) >= limits::MEMBER_SILENCE
                || counted.saturating_sub(entry.stored) >= limits::MEMBER_WITHOUT_STORE
        };
        let gone: Vec<_> = self.entries.values().filter(|entry| gone(entry)).map(|one| one.member.clone()).collect();
        gone.iter().for_each(|member| self.forget(member.incarnation));
        gone
    }

    /// Makes the map's members, drains and cordons those of the roster.
    pub(crate) fn enrol(&self, map: &mut Map) {
        for (who, entry) in &self.entries {
            let back = map.member(*who).is_none();
            if entry.draining || (back && entry.was_draining) {
                add(&mut map.drains, *who);
            }
            if back && entry.was_cordoned {
                add(&mut map.cordons, *who);
            }
        }
        map.members = self.entries.values().map(|entry| entry.member.clone()).collect();
        map.drains.retain(|who| self.entries.contains_key(who));
        map.cordons.retain(|who| self.entries.contains_key(who));
    }

    /// Takes note in the map of moves that have ended, and of members that hand nothing over any more.
    pub(crate) fn settle(&self, map: &mut Map) {
        for shard in map.shards.iter_mut().filter(|shard| shard.state == State::Moving) {
            let owner = shard.owner.and_then(|owner| self.entries.get(&owner));
            if owner.is_some_and(|owner| owner.shards.contains(&(shard.id, ShardState::Serving))) {
                (shard.state, shard.from) = (State::Settled, None);
            }
            shard.from = shard.from.filter(|from| self.entries.contains_key(from));
        }
    }

    /// Gives the place of shards whose journals have ended to those that they are split into.
    pub(crate) fn split(&self, map: &mut Map, now: Duration) {
        let age_ms = self.age_ms(now, map);
        let reports = self.entries.values().flat_map(|entry| &entry.reports);
        for report in reports.filter(|report| report.state == ShardState::Sealed) {
            split::carry_out(map, report.shard, report.committed, age_ms);
        }
    }

    /// Whether this member itself asks to be drained.
    pub(crate) fn is_leaving(&self, who: Incarnation) -> bool {
        self.entries.get(&who).is_some_and(|entry| entry.draining)
    }

    /// The cluster's age, given the map as it stands.
    pub(crate) fn age_ms(&self, now: Duration, map: &Map) -> u64 {
        let age_ms = self.began_ms.unwrap_or(0) + self.attention.at(now).as_millis() as u64;
        age_ms.max(map.age_ms)
    }

    /// How much may change now.
    pub(crate) fn policy(&self, now: Duration, map: &Map) -> Policy {
        let gathering = self.attention.at(now) < limits::GATHER;
        Policy { gathering, eager: self.eager, rebalancing: map.rebalancing, ..Policy::at(self.age_ms(now, map)) }
    }

    /// What the members have said last.
    pub(crate) fn heard(&self, now: Duration) -> Vec<Heard> {
        let heard = |(who, entry): (&Incarnation, &Entry)| {
            let ago = now.saturating_sub(entry.spoke?);
            Some(Heard { member: *who, ago, shards: entry.reports.clone(), process: entry.process })
        };
        self.entries.iter().filter_map(heard).collect()
    }

    /// The living members.
    pub(crate) fn views(&self, map: &Map) -> Vec<MemberView> {
        let load = |id: ShardId| self.loads.get(&id).map_or(0, |sum| sum / limits::LOAD_BEATS);
        let view = |(who, entry): (&Incarnation, &Entry)| MemberView {
            incarnation: *who,
            shards: map.owned_by(*who).map(|shard| ShardView { id: shard.id, load: load(shard.id) }).collect(),
            busy_permille: entry.process.busy_permille,
            queue_delay: entry.process.queue_delay,
        };
        self.entries.iter().map(view).collect()
    }
}

/// Adds to an ascending list, once.
pub(crate) fn add(list: &mut Vec<Incarnation>, who: Incarnation) {
    if let Err(place) = list.binary_search(&who) {
        list.insert(place, who);
    }
}

#[cfg(test)]
mod tests;
