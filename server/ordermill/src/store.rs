//! Opens the store that the settings ask for, and says what to do when it does not open.

use std::sync::Arc;

use anyhow::Context;
use ordermill_embedded::Embedded;
use ordermill_station::clock;
use ordermill_store::{Error, Store};
use ordermill_transactional::Transactional;

use crate::config::{self, Settings};

/// The cluster of an embedded store: it has its directory for itself.
const CLUSTER: u32 = 1;

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
            let config = ordermill_embedded::Config {
                segment_bytes: *segment_bytes,
                free_bytes_min: *min_free_bytes,
                accept_corruption: *accept_corruption,
                ..ordermill_embedded::Config::new(data_dir, CLUSTER, settings.shards)
            };
            let store = tokio::task::spawn_blocking(move || Embedded::open(config, clock))
                .await
                .context("the store failed while it was opened")?
                .map_err(|error| anyhow::anyhow!(what_to_do(&error)))?;
            Ok(Opened { store: Arc::new(store), collects: None })
        }
        config::Store::Tikv { pd_endpoints, cluster, tls, drive_gc } => {
            let tls = tls.as_ref().map(|tls| ordermill_tikv::Tls {
                ca: tls.ca.clone(),
                certificate: tls.certificate.clone(),
                key: tls.key.clone(),
            });
            let config = ordermill_tikv::Config { pd_endpoints: pd_endpoints.clone(), tls };
            let client = ordermill_tikv::Client::connect(config)
                .await
                .map_err(|error| anyhow::anyhow!("PD at {} cannot be used: {error}", pd_endpoints.join(", ")))?;
            let mut config = ordermill_transactional::Config::new(*cluster, incarnation);
            config.drive_gc = *drive_gc;
            let store = Transactional::new(config, Arc::new(client), clock);
            Ok(Opened { collects: drive_gc.then(|| store.clone()), store: Arc::new(store) })
        }
    }
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
        Error::Fenced(_) => error.to_string(),
    }
}
