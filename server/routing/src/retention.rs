//! Journals of shards that were split are let go once nobody may ask for their events any more.
//!
//! They have no owner: the coordinator does it, by the cluster's age, which no clock can make too high. Keeps
//! the last record of each, with which its children began.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use ordermill_members::{Handle, WasSplit};
use ordermill_station::limits;
use ordermill_store::ShardId;
use tokio::time::sleep;

use crate::router::Inner;

/// Looks again and again, as long as anybody holds the router, and acts while this member coordinates.
pub(crate) async fn watch(router: Weak<Inner>, members: Handle, retention: Duration) {
    // When each was trimmed first: its records are deleted some time later.
    let mut trimmed: BTreeMap<ShardId, Duration> = BTreeMap::new();
    loop {
        sleep(limits::SPLIT_TRIM_LOOK).await;
        let Some(router) = router.upgrade() else { return };
        let Some(age_ms) = members.coordinated_ms() else { continue };
        let map = members.current();
        let old = |one: &&WasSplit| u128::from(age_ms.saturating_sub(one.split_ms)) >= retention.as_millis();
        for one in map.split.iter().filter(old) {
            let now = router.clock.elapsed();
            let first = trimmed.get(&one.id).copied();
            if first.is_some_and(|first| now.saturating_sub(first) > 2 * limits::STORE_TRIM_AFTER) {
                continue;
            }
            match router.store.trim(one.id, one.number - 1).await {
                Ok(()) => drop(trimmed.entry(one.id).or_insert(now)),
                Err(error) => tracing::warn!(shard = %one.id, %error, "the journal of a split shard was not trimmed"),
            }
        }
    }
}
