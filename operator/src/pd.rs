//! What PD says of itself and of its stores, over its HTTP API.
//!
//! Reads, and asks for changes that PD itself may refuse. Never removes a store by force.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::ask::{Asker, Error};

const TO: &str = "pd";
const EVICTING: &str = "evict-leader-scheduler";
/// Above it, a rate is none: PD takes the bound off a store that leaves, and keeps it off when it has forgotten that.
const UNBOUNDED_RATE: f64 = 1e6;

/// How PD and TiKV are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The members of PD, and whether each is well, by name.
    pub members: Vec<(String, bool)>,
    /// Which of them leads.
    pub leader: Option<String>,
    /// The stores, by number; none before the first has made itself known.
    pub stores: Vec<Store>,
    /// How many copies of a row there are to be; not known before there is a store.
    pub copies: Option<i32>,
    /// The labels of stores by which copies are kept apart, the widest first.
    pub levels: Vec<String>,
}

/// A store, as PD sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its number.
    pub id: u64,
    /// HOST:PORT.
    pub address: String,
    /// `Up`, `Disconnected`, `Down`, `Offline` or `Tombstone`.
    pub state: String,
    /// How much of its volume is used, percent.
    pub used: u8,
    /// Regions that have a copy there.
    pub regions: u64,
    /// Those of them that it leads.
    pub leaders: u64,
    /// What PD was told of where it is.
    pub labels: BTreeMap<String, String>,
}

impl Store {
    /// The pod, or the address where it has none of ours.
    pub fn pod(&self) -> &str {
        self.address
            .split('.')
            .next()
            .filter(|first| !first.is_empty() && first.parse::<u8>().is_err())
            .map_or(&self.address, |first| first)
    }

    /// Whether it is gone for good.
    pub fn gone(&self) -> bool {
        self.state == "Tombstone"
    }
}

impl Seen {
    /// Stores that are up.
    pub fn up(&self) -> usize {
        self.stores.iter().filter(|store| store.state == "Up").count()
    }
}

#[derive(Deserialize)]
struct Health {
    name: String,
    health: bool,
}

#[derive(Deserialize)]
struct Members {
    leader: Option<Leader>,
}

#[derive(Deserialize)]
struct Leader {
    name: String,
}

#[derive(Deserialize)]
struct Stores {
    #[serde(default)]
    stores: Vec<StoreInfo>,
}

#[derive(Deserialize)]
struct StoreInfo {
    store: Meta,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Meta {
    id: u64,
    address: String,
    state_name: String,
    #[serde(default)]
    labels: Vec<StoreLabel>,
}

#[derive(Deserialize)]
struct StoreLabel {
    key: String,
    value: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    capacity: String,
    available: String,
    region_count: u64,
    leader_count: u64,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
}

#[derive(Deserialize)]
struct Progress {
    progress: f64,
    left_seconds: f64,
}

#[derive(Deserialize, Default)]
struct Evictions {
    #[serde(rename = "store-id-ranges", default)]
    stores: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Rates {
    #[serde(rename = "add-peer")]
    add: f64,
    #[serde(rename = "remove-peer")]
    remove: f64,
}

#[derive(Deserialize)]
struct Replication {
    #[serde(rename = "max-replicas")]
    max_replicas: i32,
    /// With commas between them.
    #[serde(rename = "location-labels", default)]
    location_labels: String,
}

/// PD at an address.
#[derive(Clone)]
pub struct Pd<'a> {
    asker: &'a Asker,
    base: String,
}

impl<'a> Pd<'a> {
    /// That at `endpoint`, HOST:PORT.
    pub fn at(asker: &'a Asker, endpoint: &str) -> Self {
        Self { asker, base: format!("http://{endpoint}/pd/api/v1") }
    }

    /// How it is.
    pub async fn look(&self) -> Result<Seen, Error> {
        let url = |path: &str| format!("{}/{path}", self.base);
        let mut members: Vec<(String, bool)> = self
            .asker
            .read::<Vec<Health>>(TO, &url("health"))
            .await?
            .into_iter()
            .map(|it| (it.name, it.health))
            .collect();
        members.sort();
        let leader = self.asker.read::<Members>(TO, &url("members")).await?.leader.map(|leader| leader.name);
        let stores = match self.asker.read::<Stores>(TO, &url("stores?state=0&state=1&state=2")).await {
            Ok(stores) => stores.stores,
            // No store has made itself known yet.
            Err(Error::Refused { body, .. }) if body.contains("not bootstrapped") => {
                return Ok(Seen { members, leader, ..Seen::default() });
            }
            Err(error) => return Err(error),
        };
        let mut stores: Vec<Store> = stores.into_iter().map(store).collect();
        stores.sort_by_key(|store| store.id);
        let replication = self.asker.read::<Replication>(TO, &url("config/replicate")).await?;
        let levels = replication.location_labels.split(',').filter(|level| !level.is_empty()).map(str::to_owned);
        Ok(Seen { members, leader, stores, copies: Some(replication.max_replicas), levels: levels.collect() })
    }

    /// Sets how many copies of a row there are to be.
    pub async fn keep_copies(&self, copies: i32) -> Result<(), Error> {
        let body = json!({"max-replicas": copies});
        self.asker.post(TO, &format!("{}/config/replicate", self.base), Some(&body)).await.map(drop)
    }

    /// Sets the labels of stores by which copies are kept apart, the widest first.
    pub async fn keep_apart(&self, levels: &[&str]) -> Result<(), Error> {
        let body = json!({"location-labels": levels.join(",")});
        self.asker.post(TO, &format!("{}/config/replicate", self.base), Some(&body)).await.map(drop)
    }

    /// Says where a store is.
    pub async fn place(&self, store: u64, labels: &BTreeMap<String, String>) -> Result<(), Error> {
        let url = format!("{}/store/{store}/label", self.base);
        self.asker.post(TO, &url, Some(&json!(labels))).await.map(drop)
    }

    /// How many regions lack a copy, or have one that does not answer.
    pub async fn hurt_regions(&self) -> Result<u64, Error> {
        let mut hurt = 0;
        for check in ["down-peer", "miss-peer"] {
            let url = format!("{}/regions/check/{check}", self.base);
            hurt += self.asker.read::<Counted>(TO, &url).await?.count;
        }
        Ok(hurt)
    }

    /// Has what a store holds moved off it; PD refuses where too few would be left.
    pub async fn take_off(&self, store: u64) -> Result<(), Error> {
        match self.asker.delete(TO, &format!("{}/store/{store}", self.base)).await {
            Err(error) if error.is_gone() => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Lets a store stay that was to leave.
    pub async fn let_stay(&self, store: u64) -> Result<(), Error> {
        self.asker.post(TO, &format!("{}/store/{store}/state?state=Up", self.base), None).await?;
        let rates: BTreeMap<String, Rates> = self.asker.read(TO, &format!("{}/stores/limit", self.base)).await?;
        // A PD that leads only since the store was to leave does not know its rate any more: what comes is bounded alike.
        if let Some(rates) = rates.get(&store.to_string()).filter(|rates| rates.remove > UNBOUNDED_RATE) {
            let body = json!({"type": "remove-peer", "rate": rates.add});
            self.asker.post(TO, &format!("{}/store/{store}/limit", self.base), Some(&body)).await?;
        }
        Ok(())
    }

    /// How far a store has come that leaves, percent, and how many seconds are left; None while PD does not know.
    pub async fn progress(&self, store: u64) -> Option<(u8, u64)> {
        let url = format!("{}/stores/progress?id={store}", self.base);
        let progress: Progress = self.asker.read(TO, &url).await.ok()?;
        Some(((progress.progress * 100.0) as u8, progress.left_seconds as u64))
    }

    /// The stores that are asked to lead nothing, by whomever.
    async fn evicting(&self) -> Result<Vec<u64>, Error> {
        let url = format!("{}/scheduler-config/{EVICTING}/list", self.base);
        let list = match self.asker.read::<Evictions>(TO, &url).await {
            Err(Error::Refused { status: 404, .. }) => Evictions::default(),
            // There is no scheduler of that kind now, which PD says in several ways.
            Err(Error::Unreadable { .. }) => Evictions::default(),
            list => list?,
        };
        Ok(list.stores.keys().filter_map(|store| store.parse().ok()).collect())
    }

    /// Asks a store to lead nothing, unless it is asked already.
    pub async fn evict(&self, store: u64) -> Result<(), Error> {
        if self.evicting().await?.contains(&store) {
            return Ok(());
        }
        let body = json!({"name": EVICTING, "store_id": store});
        self.asker.post(TO, &format!("{}/schedulers", self.base), Some(&body)).await.map(drop)
    }

    /// Lets a store lead again, unless it may already: whoever comes after one that was ended just then does not do it twice.
    pub async fn let_lead(&self, store: u64) -> Result<(), Error> {
        if !self.evicting().await?.contains(&store) {
            return Ok(());
        }
        match self.asker.delete(TO, &format!("{}/schedulers/{EVICTING}-{store}", self.base)).await {
            Err(error) if error.is_gone() => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// Sets a rule of labels for ranges of keys, unless it is so already.
    pub async fn label(&self, rule: &Value) -> Result<(), Error> {
        let id = rule["id"].as_str().unwrap_or_default();
        let there = self.asker.read::<Value>(TO, &format!("{}/config/region-label/rule/{id}", self.base)).await;
        let same = |there: &Value| ["labels", "data"].iter().all(|part| there[part] == rule[part]);
        if there.is_ok_and(|there| same(&there)) {
            return Ok(());
        }
        self.asker.post(TO, &format!("{}/config/region-label/rule", self.base), Some(rule)).await.map(drop)
    }

    /// Has regions divided at keys, each in hex as PD orders them; how much of that is done, percent.
    pub async fn split(&self, keys: &[String]) -> Result<u64, Error> {
        let body = json!({"split_keys": keys, "retry_limit": 1});
        let said = self.asker.post(TO, &format!("{}/regions/split", self.base), Some(&body)).await?;
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        Ok(said["processed-percentage"].as_u64().unwrap_or_default())
    }
}

fn store(info: StoreInfo) -> Store {
    let used = match (size(&info.status.capacity), size(&info.status.available)) {
        (Some(capacity), Some(available)) if capacity > 0.0 => ((1.0 - available / capacity) * 100.0).clamp(0.0, 100.0),
        _ => 0.0,
    };
    Store {
        id: info.store.id,
        address: info.store.address,
        state: info.store.state_name,
        used: used as u8,
        regions: info.status.region_count,
        leaders: info.status.leader_count,
        labels: info.store.labels.into_iter().map(|label| (label.key, label.value)).collect(),
    }
}

/// A size as PD writes it, as in `9.5GiB`; bytes.
fn size(text: &str) -> Option<f64> {
    let at = text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let power = match unit.trim() {
        "" | "B" => 0,
        "KiB" => 1,
        "MiB" => 2,
        "GiB" => 3,
        "TiB" => 4,
        "PiB" => 5,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * 1024_f64.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_pd_writes_them() {
        assert_eq!(
            (size("9.5GiB"), size("512B"), size("1TiB")),
            (Some(9.5 * 1024_f64.powi(3)), Some(512.0), Some(1024_f64.powi(4)))
        );
        assert_eq!((size(""), size("many"), size("1XB")), (None, None, None));
    }

    #[test]
    fn a_store_is_called_by_its_pod() {
        let pod = |address: &str| {
            let info = StoreInfo {
                store: Meta { id: 1, address: address.to_owned(), state_name: "Up".to_owned(), labels: Vec::new() },
                status: Status { capacity: "10GiB".to_owned(), available: "7.4GiB".to_owned(), ..Status::default() },
            };
            let store = store(info);
            assert_eq!(store.used, 26);
            store.pod().to_owned()
        };
        assert_eq!(pod("shop-tikv-0.shop-tikv-peers.orders.svc:20160"), "shop-tikv-0");
        assert_eq!(pod("127.0.0.1:20160"), "127.0.0.1:20160");
    }
}
