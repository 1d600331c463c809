//! How members are upgraded.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How members are upgraded: one first, watched, then the others one by one; back again when it gets worse.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// How long the first pod is watched while it serves, in seconds; 0 for not at all. Default: 60.
    #[serde(default = "watch_seconds")]
    #[schemars(range(max = 86_400))]
    pub watch_seconds: u32,

    /// How long a new pod may take until it serves, in seconds, before it counts as bad. Default: 300.
    #[serde(default = "deadline_seconds")]
    #[schemars(range(min = 5, max = 86_400))]
    pub deadline_seconds: u32,

    /// How many of 1,000 requests may fail at a new pod, or twice as many as at the others. Default: 10.
    #[serde(default = "max_error_permille")]
    #[schemars(range(max = 1_000))]
    pub max_error_permille: u32,

    /// How long commands may wait for a shard at a new pod, in milliseconds, or three times as long as at the others.
    /// Default: 500.
    #[serde(default = "max_queue_delay_ms")]
    #[schemars(range(min = 1, max = 600_000))]
    pub max_queue_delay_ms: u32,

    /// How many pods are replaced at once, after the first one: more are quicker, and fewer serve meanwhile. Default: 1.
    #[serde(default = "max_unavailable")]
    #[schemars(range(min = 1, max = 1_000))]
    pub max_unavailable: u32,

    /// Whether a bad pod takes everything back to what ran before; else the upgrade stops there and waits. Default: true.
    #[serde(default = "yes")]
    pub rollback: bool,
}

impl Default for Strategy {
    fn default() -> Self {
        Self {
            watch_seconds: watch_seconds(),
            deadline_seconds: deadline_seconds(),
            max_error_permille: max_error_permille(),
            max_queue_delay_ms: max_queue_delay_ms(),
            max_unavailable: max_unavailable(),
            rollback: yes(),
        }
    }
}

fn watch_seconds() -> u32 {
    60
}

fn deadline_seconds() -> u32 {
    300
}

fn max_error_permille() -> u32 {
    10
}

fn max_queue_delay_ms() -> u32 {
    500
}

fn max_unavailable() -> u32 {
    1
}

fn yes() -> bool {
    true
}
