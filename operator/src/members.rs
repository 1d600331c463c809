//! What members say of themselves: over the admin API, and in their measurements.
//!
//! Whoever answers first answers for the cluster; what a pod has measured only that pod knows.

use futures::future::join_all;
use serde::Deserialize;

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

/// Asks them all.
pub async fn crowd(asker: &Asker, cluster: &str, namespace: &str, pods: &[Pod]) -> Crowd {
    let seen = look(asker, cluster, namespace, pods).await;
    let work = work(asker, cluster, namespace, pods).await;
    Crowd { seen, work }
}

/// HOST:PORT of a pod's API.
pub fn address(cluster: &str, namespace: &str, pod: &str) -> String {
    format!("{pod}.{cluster}-peers.{namespace}.svc:{}", names::HTTP_PORT)
}

/// Pods that can be asked.
pub fn serving(pods: &[Pod]) -> impl Iterator<Item = &Pod> {
    pods.iter().filter(|pod| pod.serves())
}

/// Has the store's format raised; the members refuse what one of them does not know.
pub async fn raise_format(
    asker: &Asker,
    cluster: &str,
    namespace: &str,
    pods: &[Pod],
    format: u32,
) -> Result<(), Error> {
    let body = serde_json::json!({"format": format});
    tell(asker, cluster, namespace, pods, "format", Some(&body)).await
}

/// Has shards moved until all members are loaded alike; once, and for whoever asks.
pub async fn rebalance(asker: &Asker, cluster: &str, namespace: &str, pods: &[Pod]) -> Result<(), Error> {
    tell(asker, cluster, namespace, pods, "rebalance", None).await
}

async fn tell(
    asker: &Asker,
    cluster: &str,
    namespace: &str,
    pods: &[Pod],
    what: &str,
    body: Option<&serde_json::Value>,
) -> Result<(), Error> {
    let Some(pod) = serving(pods).next() else {
        return Err(Error::Silent { url: cluster.to_owned(), why: "no member serves".to_owned() });
    };
    let url = format!("http://{}/v1/cluster/{what}", address(cluster, namespace, &pod.name));
    asker.post(TO, &url, body).await.map(drop)
}

/// How the cluster is, by the first pod that answers; why nobody does.
pub async fn look(asker: &Asker, cluster: &str, namespace: &str, pods: &[Pod]) -> Result<Seen, String> {
    let mut why = "no member serves".to_owned();
    for pod in serving(pods).take(3) {
        match one(asker, &address(cluster, namespace, &pod.name)).await {
            Ok(seen) => return Ok(seen),
            Err(error) => why = error.to_string(),
        }
    }
    Err(why)
}

async fn one(asker: &Asker, address: &str) -> Result<Seen, Error> {
    let cluster: Cluster = asker.read(TO, &format!("http://{address}/v1/cluster")).await?;
    let list: MemberList = asker.read(TO, &format!("http://{address}/v1/cluster/members")).await?;
    Ok(Seen {
        members: list.members,
        shards: cluster.shards,
        moving: cluster.shards_moving,
        format: cluster.format,
        format_max: cluster.format_max,
    })
}

/// What the pods that serve say of their work; those that do not answer are left out.
async fn work(asker: &Asker, cluster: &str, namespace: &str, pods: &[Pod]) -> Vec<Work> {
    let ask = async |pod: &Pod| {
        let url = format!("http://{}/metrics", address(cluster, namespace, &pod.name));
        let text = asker.text(TO, &url).await.ok()?;
        Some(Work { pod: pod.name.clone(), ..measured(&text) })
    };
    join_all(serving(pods).map(ask)).await.into_iter().flatten().collect()
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
