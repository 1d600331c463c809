//! What PD says over HTTP about its cluster, and the one thing that it is told: to split a region.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// How to ask PD.
#[derive(Debug)]
pub(super) struct Pd {
    pub(super) endpoints: Vec<String>,
    http: reqwest::Client,
}

/// A range of keys and who keeps it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Region {
    pub(super) id: u64,
    /// In hexadecimal, as the store writes it; empty at the ends.
    start_key: String,
    end_key: String,
    pub(super) epoch: Epoch,
    #[serde(default)]
    pub(super) leader: Option<Peer>,
    #[serde(default)]
    peers: Vec<Peer>,
}

/// The version of a region.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Epoch {
    #[serde(default)]
    pub(super) conf_ver: u64,
    #[serde(default)]
    pub(super) version: u64,
}

/// A copy of a region.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Peer {
    #[serde(default)]
    pub(super) id: u64,
    #[serde(default)]
    pub(super) store_id: u64,
}

#[derive(Deserialize)]
struct Regions {
    #[serde(default)]
    regions: Vec<Region>,
}

#[derive(Deserialize)]
struct Members {
    leader: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Store {
    store: StoreMeta,
}

#[derive(Deserialize)]
struct StoreMeta {
    address: String,
}

#[derive(Deserialize)]
struct SafePoints {
    /// A timestamp.
    #[serde(default)]
    gc_safe_point: u64,
}

/// Bits of a timestamp below its milliseconds.
const LOGICAL_BITS: u32 = 18;

impl Pd {
    pub(super) fn new(endpoints: Vec<String>) -> Self {
        let http = crate::process::client_builder().build().expect("a client can be made");
        Self { endpoints, http }
    }

    /// Whether PD can give out timestamps.
    pub(super) async fn has_leader(&self) -> Result<(), String> {
        let members: Members = self.ask("members").await?;
        members.leader.map(drop).ok_or_else(|| "no leader".to_owned())
    }

    /// Whether there are regions, each with a leader and so many copies: when stores can be read and written, and one of
    /// several may be missed. That a store is "up" PD says ten seconds later.
    pub(super) async fn regions_have_leaders(&self, copies: usize) -> Result<(), String> {
        let regions = self.regions().await?;
        let all =
            !regions.is_empty() && regions.iter().all(|region| region.leader.is_some() && region.peers.len() >= copies);
        all.then_some(()).ok_or_else(|| format!("{regions:?}"))
    }

    /// The region that holds `key`.
    pub(super) async fn region(&self, key: &[u8]) -> Result<Region, String> {
        let key = hexadecimal(&as_stored(key));
        let holds = |region: &Region| region.start_key <= key && (region.end_key.is_empty() || key < region.end_key);
        self.regions().await?.into_iter().find(holds).ok_or_else(|| format!("no region holds {key}"))
    }

    /// Whether a region begins at `key`; asks PD to make one if not.
    pub(super) async fn split(&self, key: &[u8]) -> Result<(), String> {
        let key = hexadecimal(&as_stored(key));
        let regions = self.regions().await?;
        if regions.iter().any(|region| region.start_key == key) {
            return Ok(());
        }
        let endpoint = self.endpoints.first().expect("PD has an address");
        let url = format!("http://{endpoint}/pd/api/v1/regions/split");
        let split = self.http.post(&url).json(&serde_json::json!({ "split_keys": [key], "retry_limit": 5 }));
        // Whether it has done so the next look tells.
        let answer = split.send().await.map_err(|error| error.to_string())?;
        Err(format!("{} from PD, regions {regions:?}", answer.status()))
    }

    /// All regions.
    pub(super) async fn regions(&self) -> Result<Vec<Region>, String> {
        Ok(self.ask::<Regions>("regions").await?.regions)
    }

    /// The time, in milliseconds since the Unix epoch, before which old versions may be gone; none yet.
    pub(super) async fn safe_point_ms(&self) -> Result<Option<u64>, String> {
        let points: SafePoints = self.ask("gc/safepoint").await?;
        Ok(Some(points.gc_safe_point >> LOGICAL_BITS).filter(|at| *at > 0))
    }

    /// The address of a store.
    pub(super) async fn store(&self, id: u64) -> Result<String, String> {
        Ok(self.ask::<Store>(&format!("store/{id}")).await?.store.address)
    }

    async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let endpoint = self.endpoints.first().expect("PD has an address");
        let url = format!("http://{endpoint}/pd/api/v1/{path}");
        let answer = async { self.http.get(&url).send().await?.error_for_status()?.json().await };
        answer.await.map_err(|error: reqwest::Error| format!("{url}: {error}"))
    }
}

/// A key as transactions store it: in groups of eight bytes, each followed by how full it is, so that the
/// order of keys of any length is that of their bytes.
fn as_stored(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::new();
    // One group more where the last is full.
    for group in key.chunks(8).chain(key.len().is_multiple_of(8).then_some(&[][..])) {
        stored.extend(group);
        stored.extend(std::iter::repeat_n(0, 8 - group.len()));
        stored.push(0xff - (8 - group.len()) as u8);
    }
    stored
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}
