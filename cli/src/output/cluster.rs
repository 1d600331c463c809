//! Members and shards as tables.

use ordermill_api::{Cluster, ClusterMember, ClusterShard, FormatChange, MemberFormats};
use serde::Serialize;

use super::{Widths, columns, columns_below, pairs, word};

const MEMBERS: &[&str] = &[
    "name",
    "member",
    "state",
    "coordinator",
    "shards",
    "heard",
    "busy",
    "delay",
    "per second",
    "unflushed",
    "moves",
    "address",
];

const SHARDS: &[&str] = &[
    "shard",
    "slots",
    "state",
    "owner",
    "epoch",
    "last",
    "checkpoint",
    "records",
    "unflushed",
    "delay",
    "per second",
    "from",
];

/// What stands where nothing is known.
const NOTHING: &str = "-";

/// The cluster as a whole.
pub fn status(cluster: &Cluster) -> String {
    let coordinator = cluster.coordinator.as_ref();
    pairs(&[
        ("coordinator", coordinator.map_or(NOTHING.to_owned(), |known| known.member.clone())),
        ("term", coordinator.map_or(NOTHING.to_owned(), |known| known.term.to_string())),
        ("map version", cluster.map_version.to_string()),
        ("map age", millis(cluster.map_age_ms)),
        ("format", cluster.format.to_string()),
        ("members", cluster.members.to_string()),
        ("shards", cluster.shards.to_string()),
        ("shards moving", cluster.shards_moving.to_string()),
        ("rebalancing", word(&cluster.rebalancing.policy)),
        ("moves at once", cluster.rebalancing.moves_at_once.to_string()),
        ("answered by", cluster.answered_by.clone()),
    ])
}

/// The store's format, and those that the members' builds know.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    format: u32,
    format_max: u32,
    member_formats: Vec<MemberFormats>,
}

impl Known {
    /// What the cluster says of them.
    pub fn of(Cluster { format, format_max, member_formats, .. }: Cluster) -> Self {
        Self { format, format_max, member_formats }
    }
}

/// The store's format above the members, a row each.
pub fn formats(known: &Known) -> String {
    let store = pairs(&[("format", known.format.to_string()), ("known to all", known.format_max.to_string())]);
    let row = |one: &MemberFormats| {
        vec![text(&one.name), one.member.clone(), one.format_min.to_string(), one.format_max.to_string()]
    };
    let members = columns(&["name", "member", "oldest", "newest"], known.member_formats.iter().map(row));
    format!("{store}\n\n{members}")
}

/// The store's format after a change.
pub fn format(change: &FormatChange) -> String {
    let said = if change.raised { "yes" } else { "no, it was so already" };
    pairs(&[
        ("format", change.format.to_string()),
        ("raised", said.to_owned()),
        ("map version", change.map_version.to_string()),
    ])
}

/// Members, a row each, below those `above`.
pub fn members(members: &[ClusterMember], above: &mut Widths) -> String {
    columns_below(above, MEMBERS, members.iter().map(member))
}

fn member(member: &ClusterMember) -> Vec<String> {
    let load = member.load.as_ref();
    let number = |number: Option<u64>| number.map_or(NOTHING.to_owned(), |number| number.to_string());
    vec![
        text(&member.name),
        member.member.clone(),
        word(&member.state),
        if member.coordinator { "yes" } else { "no" }.to_owned(),
        member.shards.to_string(),
        member.heard_ms_ago.map_or(NOTHING.to_owned(), millis),
        load.map_or(NOTHING.to_owned(), |load| format!("{}%", load.busy_permille / 10)),
        load.map_or(NOTHING.to_owned(), |load| micros(load.queue_delay_us)),
        number(load.map(|load| load.commands_per_second)),
        load.map_or(NOTHING.to_owned(), |load| bytes(load.unflushed_bytes)),
        number(load.map(|load| u64::from(load.moves))),
        text(&member.address),
    ]
}

/// Shards, a row each, below those `above`.
pub fn shards(shards: &[ClusterShard], above: &mut Widths) -> String {
    columns_below(above, SHARDS, shards.iter().map(shard))
}

fn shard(shard: &ClusterShard) -> Vec<String> {
    let journal = shard.journal.as_ref();
    let number = |number: Option<u64>| number.map_or(NOTHING.to_owned(), |number| number.to_string());
    let owner = shard.owner_name.clone().filter(|name| !name.is_empty()).or_else(|| shard.owner.clone());
    vec![
        shard.shard.to_string(),
        format!("{}-{}", shard.first_slot, shard.last_slot),
        word(&shard.state),
        owner.unwrap_or_else(|| NOTHING.to_owned()),
        number(journal.map(|journal| journal.epoch)),
        number(journal.map(|journal| journal.last)),
        number(journal.map(|journal| journal.checkpoint)),
        number(journal.map(|journal| journal.unflushed_records)),
        journal.map_or(NOTHING.to_owned(), |journal| bytes(journal.unflushed_bytes)),
        journal.map_or(NOTHING.to_owned(), |journal| micros(journal.queue_delay_us)),
        number(journal.map(|journal| journal.commands_per_second)),
        shard.moving_from.clone().unwrap_or_else(|| NOTHING.to_owned()),
    ]
}

fn text(text: &str) -> String {
    if text.is_empty() { NOTHING.to_owned() } else { text.to_owned() }
}

fn millis(ms: u64) -> String {
    if ms < 10_000 { format!("{ms}ms") } else { format!("{}s", ms / 1_000) }
}

fn micros(us: u64) -> String {
    if us < 1_000 { format!("{us}us") } else { millis(us / 1_000) }
}

/// Without a space, so that a column stays one word.
fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string().replace(' ', "")
}

#[cfg(test)]
mod tests {
    use ordermill_api::{MemberLoad, MemberState, ShardJournal, ShardState};

    use super::*;

    #[test]
    fn a_member_is_a_row_of_single_words() {
        let load = MemberLoad {
            busy_permille: 421,
            queue_delay_us: 1_500,
            commands_per_second: 70,
            unflushed_bytes: 3 << 20,
            moves: 1,
        };
        let mut one = ClusterMember {
            member: "00000000000000ab".into(),
            name: "ordermill-0".into(),
            address: "10.0.0.1:7000".into(),
            state: MemberState::Cordoned,
            coordinator: true,
            shards: 21,
            heard_ms_ago: Some(120),
            load: Some(load),
            format_min: 1,
            format_max: 1,
        };
        let row = |one: &ClusterMember| {
            let table = members(std::slice::from_ref(one), &mut Widths::default());
            table.lines().nth(1).unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ")
        };
        let expected = "ordermill-0 00000000000000ab cordoned yes 21 120ms 42% 1ms 70 3.00MiB 1 10.0.0.1:7000";
        assert_eq!(row(&one), expected);
        (one.heard_ms_ago, one.load) = (None, None);
        assert_eq!(row(&one), "ordermill-0 00000000000000ab cordoned yes 21 - - - - - - 10.0.0.1:7000");
    }

    #[test]
    fn formats_stand_above_the_members_that_know_them() {
        let of = |name: &str, format_max| MemberFormats {
            member: "00000000000000ab".into(),
            name: name.into(),
            format_min: 1,
            format_max,
        };
        let known = Known { format: 1, format_max: 1, member_formats: vec![of("pod-0", 1), of("pod-1", 2)] };
        let table = "format        1\nknown to all  1\n\n\
            NAME   MEMBER            OLDEST  NEWEST\n\
            pod-0  00000000000000ab       1       1\n\
            pod-1  00000000000000ab       1       2";
        assert_eq!(formats(&known), table);
        let mut change = FormatChange { map_version: 9, format: 2, raised: true };
        assert_eq!(format(&change), "format       2\nraised       yes\nmap version  9");
        change.raised = false;
        assert!(format(&change).contains("no, it was so already"));
    }

    #[test]
    fn a_shard_is_a_row_of_single_words() {
        let journal = ShardJournal {
            epoch: 5,
            last: 90,
            checkpoint: 80,
            unflushed_records: 10,
            unflushed_bytes: 512,
            queue_delay_us: 7,
            commands_per_second: 3,
        };
        let one = ClusterShard {
            shard: 7,
            first_slot: 0,
            last_slot: 1_023,
            state: ShardState::Moving,
            owner: Some("00000000000000ab".into()),
            owner_name: Some("ordermill-1".into()),
            split_from: None,
            moving_from: Some("00000000000000cd".into()),
            journal: Some(journal),
        };
        let table = shards(&[one], &mut Widths::default());
        let row: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
        assert_eq!(row.join(" "), "7 0-1023 moving ordermill-1 5 90 80 10 512B 7us 3 00000000000000cd");
    }
}
