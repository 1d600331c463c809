//! What members say of themselves: over the admin API, and in their measurements.
//!
//! Whoever answers first answers for the cluster; what a pod has measured only that pod knows.

use futures::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ask::{Asker, Error};
use crate::build::names;
use crate::upgrade::{Pod, Work};

const TO: &str = "member";
/// What measurements of shards are labelled with.
const SHARD: &str = "station=\"shard\"}";

/// The cluster, as one of its members sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its members.
    pub members: Vec<Member>,
    /// How many shards there are.
    pub shards: u64,
    /// Shards that are on their way to an owner, or have none.
    pub moving: u64,
    /// The format in which records are written.
    pub format: u32,
    /// The newest that the builds of all members know; not known of members that do not tell.
    pub format_max: Option<u32>,
    /// What shards move for by themselves; not known of members that do not tell.
    pub rebalancing: Option<Rebalancing>,
}

/// What shards move for by themselves, in the members' words.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Rebalancing {
    /// What for.
    pub policy: String,
    /// How many at once.
    pub moves_at_once: u32,
}

/// A member.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Member {
    /// Its incarnation.
    pub member: String,
    /// The name of its pod.
    pub name: String,
    /// `serving`, `cordoned`, `draining` or `drained`.
    pub state: String,
    /// How many shards it has.
    pub shards: u64,
    /// What it said of its load; not known while the coordinator has not heard it.
    pub load: Option<Load>,
    /// The newest format that it can read and write.
    pub format_max: u32,
}

/// A member's load.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Load {
    /// Share of its processors that is in use, in thousandths.
    pub busy_permille: u32,
    /// How long commands wait for a shard, microseconds.
    pub queue_delay_us: u64,
}

#[derive(Deserialize)]
struct Cluster {
    shards: u64,
    shards_moving: u64,
    format: u32,
    #[serde(default)]
    format_max: Option<u32>,
    #[serde(default)]
    rebalancing: Option<Rebalancing>,
}

#[derive(Deserialize)]
struct MemberList {
    members: Vec<Member>,
}

impl Seen {
    /// Why shards are not at rest; None when they are.
    pub fn unrest(&self) -> Option<String> {
        match self.moving {
            0 => None,
            moving => Some(format!("{moving} of {} shards are on their way to a member", self.shards)),
        }
    }
}

/// What members say together.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// The cluster, or why nobody tells of it.
    pub seen: Result<Seen, String>,
    /// What each pod that answers says of its work.
    pub work: Vec<Work>,
}

/// The members of a cluster, as they are asked.
#[derive(Clone, Copy)]
pub struct Members<'a> {
    /// With what they are asked.
    pub asker: &'a Asker,
    /// The cluster's name.
    pub cluster: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Their pods.
    pub pods: &'a [Pod],
}

impl<'a> Members<'a> {
    /// Pods that can be asked.
    pub fn serving(&self) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(|pod| pod.serves())
    }

    /// Where a pod answers for a path of its API.
    fn url(&self, pod: &Pod, path: &str) -> String {
        let scheme = if pod.tls { "https" } else { "http" };
        let (Self { cluster, namespace, .. }, pod) = (self, &pod.name);
        format!("{scheme}://{pod}.{cluster}-peers.{namespace}.svc:{}{path}", names::HTTP_PORT)
    }

    /// Asks them all.
    pub async fn crowd(&self) -> Crowd {
        let seen = self.look().await;
        Crowd { seen, work: self.work().await }
    }

    /// How the cluster is, by the first pod that answers; why nobody does.
    pub async fn look(&self) -> Result<Seen, String> {
        let mut why = "no member serves".to_owned();
        for pod in self.serving().take(3) {
            match self.seen_by(pod).await {
                Ok(seen) => return Ok(seen),
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }

    async fn seen_by(&self, pod: &Pod) -> Result<Seen, Error> {
        let cluster: Cluster = self.asker.read(TO, &self.url(pod, "/v1/cluster")).await?;
        let list: MemberList = self.asker.read(TO, &self.url(pod, "/v1/cluster/members")).await?;
        Ok(Seen {
            members: list.members,
            shards: cluster.shards,
            moving: cluster.shards_moving,
            format: cluster.format,
            format_max: cluster.format_max,
            rebalancing: cluster.rebalancing,
        })
    }

    /// What the pods that serve say of their work; those that do not answer are left out.
    async fn work(&self) -> Vec<Work> {
        let ask = async |pod: &Pod| {
            let text = self.asker.text(TO, &self.url(pod, "/metrics")).await.ok()?;
            Some(Work { pod: pod.name.clone(), ..measured(&text) })
        };
        join_all(self.serving().map(ask)).await.into_iter().flatten().collect()
    }

    /// Has the store's format raised; the members refuse what one of them does not know.
    pub async fn raise_format(&self, format: u32) -> Result<(), Error> {
        self.tell("format", Some(&json!({"format": format}))).await
    }

    /// Has shards moved until all members are loaded alike; once, and for whoever asks.
    pub async fn rebalance(&self) -> Result<(), Error> {
        self.tell("rebalance", None).await
    }

    /// Has shards moved by themselves for what is asked, and as many at once.
    pub async fn change_rebalancing(&self, wanted: &Rebalancing) -> Result<(), Error> {
        self.tell("rebalancing", Some(&json!(wanted))).await
    }

    /// Has a member drained, or lets it stay: `what` is `drain` or `uncordon`.
    pub async fn change_member(&self, member: &str, what: &str) -> Result<(), Error> {
        self.tell(&format!("members/{member}/{what}"), None).await
    }

    async fn tell(&self, what: &str, body: Option<&Value>) -> Result<(), Error> {
        let Some(pod) = self.serving().next() else {
            return Err(Error::Silent { url: self.cluster.to_owned(), why: "no member serves".to_owned() });
        };
        self.asker.post(TO, &self.url(pod, &format!("/v1/cluster/{what}")), body).await.map(drop)
    }
}

/// What a pod's measurements say of its work, in Prometheus' format.
pub fn measured(text: &str) -> Work {
    let mut work =
        Work { pod: String::new(), answered: 0, failed: 0, refused: 0, appends: 0, append_us: 0, waits: 0, wait_us: 0 };
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        match name {
            "ordermill_http_requests_total" => {
                let status = labels.split("status=\"").nth(1).and_then(|rest| rest.get(..3)).unwrap_or_default();
                let count = value as u64;
                work.answered += count;
                work.failed += if status.starts_with('5') { count } else { 0 };
                work.refused += if ["429", "503"].contains(&status) { count } else { 0 };
            }
            "ordermill_station_queue_seconds_sum" if labels == SHARD => work.wait_us += (value * 1e6) as u64,
            "ordermill_station_queue_seconds_count" if labels == SHARD => work.waits += value as u64,
            "ordermill_store_append_seconds_sum" => work.append_us += (value * 1e6) as u64,
            "ordermill_store_append_seconds_count" => work.appends += value as u64,
            _ => {}
        }
    }
    work
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_their_status() {
        let text = "# TYPE ordermill_http_requests_total counter\n\
            ordermill_http_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"201\"} 90\n\
            ordermill_http_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"429\"} 5\n\
            ordermill_http_requests_total{route=\"/v1/orders\",method=\"POST\",status=\"503\"} 4\n\
            ordermill_http_requests_total{route=\"/v1/orders/{id}\",method=\"GET\",status=\"500\"} 1\n\
            ordermill_station_queue_seconds_sum{station=\"shard\"} 0.25\n\
            ordermill_station_queue_seconds_count{station=\"shard\"} 50\n\
            ordermill_station_queue_seconds_sum{station=\"ingress\"} 9\n\
            ordermill_store_append_seconds_sum 1.5\n\
            ordermill_store_append_seconds_count 300\n\
            ordermill_requests_running 3\n";
        let work = measured(text);
        assert_eq!((work.answered, work.failed, work.refused), (100, 5, 9));
        assert_eq!((work.append_us, work.appends), (1_500_000, 300));
        assert_eq!((work.wait_us, work.waits), (250_000, 50));
        assert_eq!(measured("").answered, 0);
    }
}
