//! The plan: who shall own which shard, given the map and what the members say.
//!
//! A pure function. It knows no time but the cluster's age, asks nobody, and leaves nothing to chance:
//! ties go by number, so that the same input gives the same plan anywhere.
//!
//! In this order: shards without an owner get one, all at once. Then as many moves as may be under way:
//! draining members are emptied. While shards of a member that is gone are being taken over, that is all:
//! nothing moves for balance, and nothing ever where that is paused. Otherwise the number of shards of any
//! two members is made to differ by one at most; then a hot shard leaves an overloaded member, alone or in
//! exchange for a cold one, if that takes enough off the highest load. Levelling by load never unbalances
//! the numbers, so the two cannot work against each other.

use std::collections::BTreeMap;
use std::time::Duration;

use ordermill_station::limits;
use ordermill_store::ShardId;

use crate::board::Board;
use crate::map::{Incarnation, Levelling, Map, Rebalancing, Shard, State};

/// What a member says of a shard that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardView {
    /// Which shard.
    pub id: ShardId,
    /// Its load, commands per second, smoothed.
    pub load: u64,
}

/// A living member, as the coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Who.
    pub incarnation: Incarnation,
    /// What it says of its shards.
    pub shards: Vec<ShardView>,
    /// Share of its processors that is in use, in thousandths.
    pub busy_permille: u32,
    /// How long commands wait there lately before a shard takes them, the store's own time left out.
    pub queue_delay: Duration,
}

/// How much may change, and how soon again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The cluster's age now, milliseconds.
    pub age_ms: u64,
    /// How long a moved shard stays where it is, milliseconds.
    pub settle_ms: u64,
    /// What shards move for, and how many at once.
    pub rebalancing: Rebalancing,
    /// Shards that were never owned wait: more members are about to be heard.
    pub gathering: bool,
    /// Loads are levelled although nobody is overloaded.
    pub eager: bool,
    /// Share of its processors above which a member is overloaded, in thousandths.
    pub overload_busy_permille: u32,
    /// Queue delay above which a member is overloaded.
    pub overload_queue_delay: Duration,
}

impl Policy {
    /// The policy at the cluster's age `age_ms`.
    pub fn at(age_ms: u64) -> Self {
        Self {
            age_ms,
            settle_ms: limits::SETTLE.as_millis() as u64,
            rebalancing: Rebalancing::default(),
            gathering: false,
            eager: false,
            overload_busy_permille: limits::OVERLOAD_BUSY_PERMILLE,
            overload_queue_delay: limits::OVERLOAD_QUEUE_DELAY,
        }
    }

    /// Whether `shard` has moved so lately that it stays.
    pub fn is_settling(&self, shard: &Shard) -> bool {
        shard.moved_ms != 0 && self.age_ms.saturating_sub(shard.moved_ms) < self.settle_ms
    }
}

/// Why a shard moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It never had an owner, or nobody could take it before.
    Unowned,
    /// Its owner is gone.
    Gone,
    /// Its owner is being drained.
    Drain,
    /// Its owner has more shards than another member.
    Count,
    /// Its owner is overloaded.
    Load,
    /// An administrator wants it.
    Wanted,
}

impl Reason {
    /// A fixed word, for logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unowned => "unowned",
            Self::Gone => "gone",
            Self::Drain => "drain",
            Self::Count => "count",
            Self::Load => "load",
            Self::Wanted => "wanted",
        }
    }
}

/// A shard gets another owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which shard.
    pub shard: ShardId,
    /// Its owner before.
    pub from: Option<Incarnation>,
    /// Its owner from now on; nobody when nobody can take it.
    pub to: Option<Incarnation>,
    /// Why.
    pub reason: Reason,
}

/// Who shall own which shard from now on, as the difference to the map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Each shard at most once.
    pub moves: Vec<Move>,
}

impl Plan {
    /// Makes the moves, at the cluster's age `age_ms`. The version stays.
    pub fn apply(&self, map: &mut Map, age_ms: u64) {
        let places: BTreeMap<_, _> = map.shards.iter().enumerate().map(|(place, shard)| (shard.id, place)).collect();
        for one in &self.moves {
            places.get(&one.shard).into_iter().for_each(|&place| one.apply_to(&mut map.shards[place], age_ms));
        }
    }
}

impl Move {
    /// Makes the move, at the cluster's age `age_ms`.
    pub fn apply(&self, map: &mut Map, age_ms: u64) {
        map.shards.iter_mut().filter(|shard| shard.id == self.shard).for_each(|shard| self.apply_to(shard, age_ms));
    }

    fn apply_to(&self, shard: &mut Shard, age_ms: u64) {
        let handed_over = matches!(self.reason, Reason::Drain | Reason::Count | Reason::Load | Reason::Wanted);
        shard.owner = self.to;
        shard.from = if handed_over { self.from } else { None };
        shard.state = if self.to.is_some() { State::Moving } else { State::Settled };
        if self.reason != Reason::Unowned || shard.moved_ms != 0 {
            shard.moved_ms = age_ms;
        }
    }
}

/// Who shall own which shard. `members` are those alive, whatever the map says, each once.
pub fn plan(map: &Map, members: &[MemberView], policy: &Policy) -> Plan {
    let mut board = Board::new(map, members, policy);
    let placed = board.place();
    let levelling = policy.rebalancing.levelling;
    if board.empty_draining() && !placed && levelling != Levelling::Paused {
        board.level_counts();
        if levelling == Levelling::Load || policy.eager {
            board.level_loads();
        }
    }
    Plan { moves: board.into_moves() }
}

#[cfg(test)]
mod properties;
