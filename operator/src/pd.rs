//! What PD says of itself and of its stores, over its HTTP API.
//!
//! Reads, and sets how many copies there are. Never removes a store by force.

use serde::Deserialize;
use serde_json::json;

use crate::ask::{Asker, Error};

const TO: &str = "pd";

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
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    capacity: String,
    available: String,
    region_count: u64,
}

#[derive(Deserialize)]
struct Replication {
    #[serde(rename = "max-replicas")]
    max_replicas: i32,
}

/// PD at an address.
#[derive(Clone, Debug)]
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
                return Ok(Seen { members, leader, stores: Vec::new(), copies: None });
            }
            Err(error) => return Err(error),
        };
        let mut stores: Vec<Store> = stores.into_iter().map(store).collect();
        stores.sort_by_key(|store| store.id);
        let copies = self.asker.read::<Replication>(TO, &url("config/replicate")).await?.max_replicas;
        Ok(Seen { members, leader, stores, copies: Some(copies) })
    }

    /// Sets how many copies of a row there are to be.
    pub async fn keep_copies(&self, copies: i32) -> Result<(), Error> {
        let body = json!({"max-replicas": copies});
        self.asker.post(TO, &format!("{}/config/replicate", self.base), Some(&body)).await.map(drop)
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
                store: Meta { id: 1, address: address.to_owned(), state_name: "Up".to_owned() },
                status: Status { capacity: "10GiB".to_owned(), available: "7.4GiB".to_owned(), region_count: 3 },
            };
            let store = store(info);
            assert_eq!(store.used, 26);
            store.pod().to_owned()
        };
        assert_eq!(pod("shop-tikv-0.shop-tikv-peers.orders.svc:20160"), "shop-tikv-0");
        assert_eq!(pod("127.0.0.1:20160"), "127.0.0.1:20160");
    }
}
