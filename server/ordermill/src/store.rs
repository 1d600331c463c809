//! Opens the store that the settings ask for, and says what to do when it does not open.

use std::sync::Arc;

use anyhow::Context;
use ordermill_embedded::Embedded;
use ordermill_station::{clock, limits};
use ordermill_store::{Error, Store};
use ordermill_transactional::{Failure, Transactional};

use crate::config::{self, Settings, Tls};

/// The cluster of an embedded store: it has its directory for itself.
const CLUSTER: u32 = 1;
/// The file in a data directory that says where its data have gone. Whoever wants them served here all the
/// same removes it.
pub(crate) const MOVED: &str = "MOVED";

impl config::Store {
    /// The first part of every key.
    pub(crate) fn cluster(&self) -> u32 {
        match self {
            Self::Embedded { .. } => CLUSTER,
            Self::Tikv { cluster, .. } => *cluster,
        }
    }
}

/// An open store.
pub(crate) struct Opened {
    pub(crate) store: Arc<dyn Store>,
    /// The same, where this cluster lets old versions go by itself.
    pub(crate) collects: Option<Transactional>,
}

/// Opens the store, for this run of the process.
pub(crate) async fn open(settings: &Settings, incarnation: u64, clock: clock::Shared) -> anyhow::Result<Opened> {
    match &settings.store {
        config::Store::Embedded { data_dir, min_free_bytes, segment_bytes, accept_corruption } => {
            if let Ok(moved) = std::fs::read_to_string(data_dir.join(MOVED)) {
                anyhow::bail!("{} is not served any more: {}", data_dir.display(), moved.trim());
            }
            let config = ordermill_embedded::Config {
                segment_bytes: *segment_bytes,
                free_bytes_min: *min_free_bytes,
                accept_corruption: *accept_corruption,
                ..ordermill_embedded::Config::new(data_dir, CLUSTER, settings.shards)
            };
            Ok(Opened { store: Arc::new(embedded(config, clock).await?), collects: None })
        }
        config::Store::Tikv { pd_endpoints, cluster, tls, drive_gc } => {
            let mut config = ordermill_transactional::Config::new(*cluster, incarnation);
            config.drive_gc = *drive_gc;
            // A process that starts while PD is away waits for it, as one does that serves already.
            loop {
                let away = match tikv(pd_endpoints, tls.as_ref(), config.clone(), clock.clone()).await {
                    Ok(store) => {
                        return Ok(Opened { collects: drive_gc.then(|| store.clone()), store: Arc::new(store) });
                    }
                    Err(Failure::Unavailable(away)) => away,
                    Err(error) => return Err(unusable(pd_endpoints, &error)),
                };
                tracing::warn!(pd = pd_endpoints.join(","), error = away, "PD does not answer: waiting for it");
                tokio::time::sleep(limits::JOIN_AGAIN).await;
            }
        }
    }
}

/// Opens a directory.
pub(crate) async fn embedded(config: ordermill_embedded::Config, clock: clock::Shared) -> anyhow::Result<Embedded> {
    tokio::task::spawn_blocking(move || Embedded::open(config, clock))
        .await
        .context("the store failed while it was opened")?
        .map_err(|error| anyhow::anyhow!(what_to_do(&error)))
}

/// Connects to a TiKV cluster, or says at once why not.
pub(crate) async fn tikv(
    pd_endpoints: &[String],
    tls: Option<&Tls>,
    config: ordermill_transactional::Config,
    clock: clock::Shared,
) -> Result<Transactional, Failure> {
    let tls = tls.map(|tls| ordermill_tikv::Tls {
        ca: tls.ca.clone(),
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
    });
    let client = ordermill_tikv::Client::connect(ordermill_tikv::Config { pd_endpoints: pd_endpoints.to_vec(), tls });
    let client = client.await?;
    Ok(Transactional::new(config, Arc::new(client), clock))
}

/// Why a PD cannot be used.
pub(crate) fn unusable(pd_endpoints: &[String], error: &Failure) -> anyhow::Error {
    anyhow::anyhow!("PD at {} cannot be used: {error}", pd_endpoints.join(", "))
}

/// Why the store does not open, and what to do about it.
fn what_to_do(error: &Error) -> String {
    match error {
        // The store says what helps; where its setting does, the flag of that name.
        Error::Corrupt(what) => {
            format!("the data directory is damaged: {}", what.replace("`accept_corruption`", "--accept-corruption"))
        }
        Error::Full(what) => format!("there is no room in the data directory: {what}"),
        Error::Invalid(what) | Error::Unavailable(what) | Error::Unknown(what) => what.clone(),
        Error::Fenced(_) | Error::Sealed(_) => error.to_string(),
    }
}
