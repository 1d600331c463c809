//! What a server says of itself, and of the cluster that it belongs to.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the server lives, or is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`, or why not: `recovering`, `draining`, `stopped`. A full disk is `ok`: reads go on.
    pub status: String,
}

/// What a server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerInfo {
    /// The build's version.
    pub version: String,
    /// Shards served.
    pub shards: u32,
}

/// A cluster as a whole. A server that has its store for itself is a cluster of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cluster {
    /// The version of the map: which member owns which shard. Rises by one with every change.
    pub map_version: u64,
    /// How long ago it was known that there was no newer map, milliseconds.
    pub map_age_ms: u64,
    /// The format in which records and rows are written.
    pub format: u32,
    /// The newest format that the builds of all members know: the store's can be raised up to it.
    pub format_max: u32,
    /// What the build of each member knows.
    pub member_formats: Vec<MemberFormats>,
    /// The member that has answered, by its incarnation.
    pub answered_by: String,
    /// Who coordinates: plans, and writes the map. Absent while nobody that does can be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<ClusterCoordinator>,
    /// How many members there are.
    pub members: u64,
    /// How many shards there are.
    pub shards: u64,
    /// Shards that are on their way to an owner, or have none.
    pub shards_moving: u64,
    /// How much may change by itself.
    #[serde(default)]
    pub rebalancing: Rebalancing,
}

/// What shards move for by themselves. Those of members that are gone or drained always do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RebalancingPolicy {
    /// For the same number of shards at all members, and for load where a member is overloaded.
    #[default]
    Load,
    /// For the same number of shards alone.
    Count,
    /// Not at all.
    Paused,
}

/// How much may change by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rebalancing {
    /// What shards move for.
    pub policy: RebalancingPolicy,
    /// Moves under way at once, those of members that are drained included.
    #[schema(minimum = 1, maximum = 256)]
    pub moves_at_once: u32,
}

/// How much may change by itself from now on; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRebalancing {
    /// What shards move for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RebalancingPolicy>,
    /// Moves under way at once. Unless changed: 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 256)]
    pub moves_at_once: Option<u32>,
}

/// The formats that a member's build can both read and write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberFormats {
    /// Its incarnation.
    pub member: String,
    /// Its name, for humans.
    pub name: String,
    /// The oldest.
    pub format_min: u32,
    /// The newest.
    pub format_max: u32,
}

/// The member that coordinates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterCoordinator {
    /// Its incarnation.
    pub member: String,
    /// Rises with every change of coordinator.
    pub term: u64,
}

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// It serves shards and takes new ones.
    Serving,
    /// It serves its shards, and nothing new goes to it.
    Cordoned,
    /// Shards leave it.
    Draining,
    /// Shards have left it, and none go to it.
    Drained,
}

/// A member: a process that serves shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterMember {
    /// Its incarnation: another one each time a process starts.
    pub member: String,
    /// Its name, for humans; that of its pod or host.
    pub name: String,
    /// Where it answers other members.
    pub address: String,
    /// How it stands.
    pub state: MemberState,
    /// Whether it coordinates.
    pub coordinator: bool,
    /// How many shards the map gives to it.
    pub shards: u64,
    /// How long ago the coordinator heard it, milliseconds; absent while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms_ago: Option<u64>,
    /// What it said then of its load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<MemberLoad>,
    /// The oldest format that it can read and write.
    pub format_min: u32,
    /// The newest format that it can read and write.
    pub format_max: u32,
}

/// A member's load, all its shards together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberLoad {
    /// Share of its processors that is in use, in thousandths; 0 where it is not measured.
    pub busy_permille: u32,
    /// How long commands wait lately before a shard takes them, microseconds; the longest of its shards.
    pub queue_delay_us: u64,
    /// Commands per second, lately.
    pub commands_per_second: u64,
    /// Bytes of changed rows that are not flushed.
    pub unflushed_bytes: u64,
    /// Shards that it is handing over or taking over.
    pub moves: u32,
}

/// All members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// The version of the map that this is as of.
    pub map_version: u64,
    /// The members, by their incarnations.
    pub members: Vec<ClusterMember>,
}

/// How a shard stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ShardState {
    /// Its owner serves it.
    Serving,
    /// Its owner takes it over and reads its journal back.
    Starting,
    /// A living member hands it over to its owner.
    Moving,
    /// Its owner stops serving it.
    Stopping,
    /// Its owner does not serve it.
    Stopped,
    /// Its owner ends its journal, and two others are to take its place.
    Splitting,
    /// No member can take it.
    Unowned,
}

/// A shard: a range of slots, and who serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterShard {
    /// Which.
    pub shard: u32,
    /// Its first slot.
    pub first_slot: u16,
    /// Its last slot.
    pub last_slot: u16,
    /// How it stands.
    pub state: ShardState,
    /// The incarnation of its owner; absent while it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The name of its owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_name: Option<String>,
    /// The shard that it was split from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split_from: Option<u32>,
    /// While it moves: the incarnation of the member that hands it over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_from: Option<String>,
    /// What the member that serves it has said last; absent while none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<ShardJournal>,
}

/// A shard's journal and load, as the member that serves it sees them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardJournal {
    /// The number of the last record when its owner began.
    pub epoch: u64,
    /// The number of the last committed record.
    pub last: u64,
    /// All records up to this one are contained in the flushed rows.
    pub checkpoint: u64,
    /// Records after the checkpoint: what a takeover has to read back.
    pub unflushed_records: u64,
    /// Bytes of changed rows that are not flushed.
    pub unflushed_bytes: u64,
    /// How long commands wait lately before the shard takes them, microseconds.
    pub queue_delay_us: u64,
    /// Commands per second, lately.
    pub commands_per_second: u64,
}

/// A page of shards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShardPage {
    /// The version of the map that this is as of.
    pub map_version: u64,
    /// The shards, by their slots.
    pub shards: Vec<ClusterShard>,
    /// Send it as `page_token` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// Where a shard shall go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveShard {
    /// The member: its incarnation, or a name that only one has.
    pub to: String,
}

/// Where a shard shall be split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitShard {
    /// The first slot of the upper of the two shards; the middle, if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u16>,
}

/// The format that the store shall be in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RaiseFormat {
    /// Which.
    #[schema(minimum = 1)]
    pub format: u32,
}

/// The store is in the format that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FormatChange {
    /// It holds from this version of the map on.
    pub map_version: u64,
    /// The store's format.
    pub format: u32,
    /// False when it was in that format already.
    pub raised: bool,
}

/// A change of the cluster was taken on. What follows from it, such as shards that move, takes a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClusterChange {
    /// It holds from this version of the map on.
    pub map_version: u64,
}
