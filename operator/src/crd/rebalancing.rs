//! What shards move for by themselves, and how many at once.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What shards move for by themselves, and how many at once.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebalancing {
    /// `Load`: the same number of shards at all members, and less load where one is overloaded. `Count`: the same number
    /// alone. `Paused`: nothing moves by itself. Shards of members that are gone or are to go always move. Default: Load.
    #[serde(default)]
    pub policy: RebalancingPolicy,

    /// How many shards move at once, those of members that are to go included: more are quicker, and more orders wait
    /// meanwhile. Default: 8.
    #[serde(default = "moves_at_once")]
    #[schemars(range(min = 1, max = 256))]
    pub moves_at_once: u32,
}

impl Default for Rebalancing {
    fn default() -> Self {
        Self { policy: RebalancingPolicy::default(), moves_at_once: moves_at_once() }
    }
}

fn moves_at_once() -> u32 {
    8
}

/// What shards move for by themselves.
#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum RebalancingPolicy {
    /// For numbers and loads.
    #[default]
    Load,
    /// For numbers alone.
    Count,
    /// Not at all.
    Paused,
}

impl RebalancingPolicy {
    /// The members' word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Count => "count",
            Self::Paused => "paused",
        }
    }
}
