//! A cluster before its first member: whether there is one, and its first map.

use ordermill_store::{Error, Store};

use crate::map::Map;
use crate::stored::{COORDINATOR, MAP};

/// Whether the store's cluster has a map, or had a coordinator: whether members have served it.
pub async fn is_founded(store: &dyn Store) -> Result<bool, Error> {
    Ok(store.load(MAP).await?.is_some() || store.load(COORDINATOR).await?.is_some())
}

/// Writes the first map, of `shards` equal shards that nobody owns yet, unless there is a map. Members that
/// join later go by it. Panics unless there are 1 to 65,536 shards.
pub async fn found(store: &dyn Store, shards: u32, format: u32) -> Result<(), Error> {
    store.compare_and_set(MAP, None, Map::first(shards, format).encode()).await.map(drop)
}
