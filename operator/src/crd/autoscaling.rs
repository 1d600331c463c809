//! How many members there are, by their load.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How many members there are, by the load that they report. `replicas` then says nothing.
#[derive(KubeSchema, Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.minReplicas <= self.maxReplicas",
    "autoscaling.minReplicas is above maxReplicas: there is no number between them"))]
pub struct Autoscaling {
    /// Never fewer. Default: 2.
    #[serde(default = "min_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// Never more. More than there are shards bring nothing.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// How busy the processors of members are to be, in thousandths of what they may use. Default: 600.
    #[serde(default = "target_busy_permille")]
    #[schemars(range(min = 50, max = 950))]
    pub target_busy_permille: u32,

    /// How long commands may wait for a shard, in milliseconds, the store's own time left out. Default: 20.
    #[serde(default = "target_queue_delay_ms")]
    #[schemars(range(min = 1, max = 10_000))]
    pub target_queue_delay_ms: u32,

    /// Fewer only when nobody has wanted more for so long, in seconds. Default: 300.
    #[serde(default = "scale_down_seconds")]
    #[schemars(range(max = 86_400))]
    pub scale_down_seconds: u32,

    /// The most that come at once. Default: 4.
    #[serde(default = "scale_up_step")]
    #[schemars(range(min = 1, max = 1000))]
    pub scale_up_step: i32,

    /// The most that go at once; each hands its shards over first. Default: 1.
    #[serde(default = "scale_down_step")]
    #[schemars(range(min = 1, max = 1000))]
    pub scale_down_step: i32,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            min_replicas: min_replicas(),
            max_replicas: min_replicas(),
            target_busy_permille: target_busy_permille(),
            target_queue_delay_ms: target_queue_delay_ms(),
            scale_down_seconds: scale_down_seconds(),
            scale_up_step: scale_up_step(),
            scale_down_step: scale_down_step(),
        }
    }
}

fn min_replicas() -> i32 {
    2
}

fn target_busy_permille() -> u32 {
    600
}

fn target_queue_delay_ms() -> u32 {
    20
}

fn scale_down_seconds() -> u32 {
    300
}

fn scale_up_step() -> i32 {
    4
}

fn scale_down_step() -> i32 {
    1
}
