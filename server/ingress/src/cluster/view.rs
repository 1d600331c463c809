//! From what the coordinator knows to the wire.

use std::collections::HashMap;
use std::time::Duration;

use ordermill_api as api;
use ordermill_routing::administration::{
    Heard, Incarnation, Levelling, Map, Member, Overview, Rebalancing, Shard, ShardReport, ShardState, State,
};

pub(super) fn cluster(overview: &Overview, me: Incarnation) -> api::Cluster {
    let map = &overview.map;
    let moving = |shard: &&Shard| shard.owner.is_none() || shard.state == State::Moving;
    api::Cluster {
        map_version: map.version,
        map_age_ms: millis(overview.map_age),
        format: map.format,
        format_max: map.known_format(),
        member_formats: map.members.iter().map(formats).collect(),
        answered_by: me.to_string(),
        coordinator: overview
            .coordinator
            .as_ref()
            .map(|known| api::ClusterCoordinator { member: known.incarnation.to_string(), term: known.term }),
        members: map.members.len() as u64,
        shards: map.shards.len() as u64,
        shards_moving: map.shards.iter().filter(moving).count() as u64,
        rebalancing: rebalancing(map.rebalancing),
    }
}

fn rebalancing(Rebalancing { levelling, moves_at_once }: Rebalancing) -> api::Rebalancing {
    let policy = match levelling {
        Levelling::Load => api::RebalancingPolicy::Load,
        Levelling::Count => api::RebalancingPolicy::Count,
        Levelling::Paused => api::RebalancingPolicy::Paused,
    };
    api::Rebalancing { policy, moves_at_once: moves_at_once as u32 }
}

fn formats(member: &Member) -> api::MemberFormats {
    api::MemberFormats {
        member: member.incarnation.to_string(),
        name: member.name.clone(),
        format_min: member.formats.min,
        format_max: member.formats.max,
    }
}

pub(super) fn members(overview: &Overview) -> api::MemberList {
    let map = &overview.map;
    let coordinator = overview.coordinator.as_ref().map(|known| known.incarnation);
    let mut shards: HashMap<Incarnation, u64> = HashMap::new();
    map.shards.iter().filter_map(|shard| shard.owner).for_each(|owner| *shards.entry(owner).or_default() += 1);
    let members = map.members.iter().map(|member| {
        let who = member.incarnation;
        let heard = overview.heard.iter().find(|heard| heard.member == who);
        let shards = shards.get(&who).copied().unwrap_or(0);
        api::ClusterMember {
            member: who.to_string(),
            name: member.name.clone(),
            address: member.address.clone(),
            state: member_state(map, who, shards),
            coordinator: coordinator == Some(who),
            shards,
            heard_ms_ago: heard.map(|heard| millis(heard.ago)),
            load: heard.map(load),
            format_min: member.formats.min,
            format_max: member.formats.max,
        }
    });
    api::MemberList { map_version: map.version, members: members.collect() }
}

fn member_state(map: &Map, who: Incarnation, shards: u64) -> api::MemberState {
    let handing_over = || map.shards.iter().any(|shard| shard.from == Some(who));
    match (map.is_draining(who), map.is_cordoned(who)) {
        (true, _) if shards == 0 && !handing_over() => api::MemberState::Drained,
        (true, _) => api::MemberState::Draining,
        (false, true) => api::MemberState::Cordoned,
        (false, false) => api::MemberState::Serving,
    }
}

fn load(heard: &Heard) -> api::MemberLoad {
    let sum = |units: fn(&ShardReport) -> u64| heard.shards.iter().map(units).sum();
    api::MemberLoad {
        busy_permille: heard.process.busy_permille,
        queue_delay_us: micros(heard.process.queue_delay),
        commands_per_second: sum(|report| report.commands_per_s),
        unflushed_bytes: sum(|report| report.unflushed_bytes),
        moves: heard.process.moves,
    }
}

/// The page of shards from the one that slot `from` lies in.
pub(super) fn shards(overview: &Overview, from: u16, size: usize) -> api::ShardPage {
    let map = &overview.map;
    let reports: HashMap<_, _> =
        overview.heard.iter().flat_map(|one| one.shards.iter().map(|said| ((one.member, said.shard), said))).collect();
    let told: Vec<Incarnation> = overview.heard.iter().map(|heard| heard.member).collect();
    let mut rest = map.shards.iter().filter(|shard| shard.range.last >= from);
    let page = rest.by_ref().take(size).map(|shard| {
        let said = |who: Option<Incarnation>| who.and_then(|who| reports.get(&(who, shard.id)).copied());
        let (owner, giver) = (said(shard.owner), said(shard.from));
        let serving = [owner, giver].into_iter().flatten().find(|said| said.state == ShardState::Serving);
        let heard = shard.owner.is_some_and(|owner| told.contains(&owner));
        api::ClusterShard {
            shard: shard.id.0,
            first_slot: shard.range.first,
            last_slot: shard.range.last,
            state: shard_state(shard, owner, heard),
            owner: shard.owner.map(|owner| owner.to_string()),
            owner_name: shard.owner.and_then(|owner| map.member(owner)).map(|member| member.name.clone()),
            split_from: shard.parent.map(|parent| parent.shard.0),
            moving_from: shard.from.map(|from| from.to_string()),
            journal: serving.map(journal),
        }
    });
    let shards = page.collect();
    let next_page_token = rest.next().map(|next| next.range.first.to_string());
    api::ShardPage { map_version: map.version, shards, next_page_token }
}

/// How a shard stands, given what its owner says of it, if that was heard at all.
fn shard_state(shard: &Shard, owner: Option<&ShardReport>, heard: bool) -> api::ShardState {
    match (owner.map(|said| said.state), shard.state) {
        _ if shard.owner.is_none() => api::ShardState::Unowned,
        (_, State::Settled) if shard.split.is_some() => api::ShardState::Splitting,
        (Some(ShardState::Serving), _) => api::ShardState::Serving,
        _ if shard.from.is_some() => api::ShardState::Moving,
        (Some(ShardState::Starting), _) | (None, State::Moving) => api::ShardState::Starting,
        (Some(ShardState::Stopping), _) => api::ShardState::Stopping,
        (Some(ShardState::Sealed), _) => api::ShardState::Splitting,
        (None, State::Settled) if heard => api::ShardState::Stopped,
        (None, State::Settled) => api::ShardState::Serving,
    }
}

fn journal(said: &ShardReport) -> api::ShardJournal {
    api::ShardJournal {
        epoch: said.epoch,
        last: said.committed,
        checkpoint: said.committed - said.checkpoint_lag.min(said.committed),
        unflushed_records: said.checkpoint_lag,
        unflushed_bytes: said.unflushed_bytes,
        queue_delay_us: micros(said.queue_delay),
        commands_per_second: said.commands_per_s,
    }
}

fn millis(time: Duration) -> u64 {
    time.as_millis() as u64
}

fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}
