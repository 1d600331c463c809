//! How data are moved from a directory to a TiKV cluster.

use std::path::PathBuf;
use std::time::Duration;

use super::values;

/// What is moved, and to where.
#[derive(Debug, clap::Args)]
pub struct MigrateArgs {
    /// The data directory of a server that has stopped.
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// PD's client addresses, with commas between them.
    #[arg(long, value_name = "ADDRESSES")]
    pub pd_endpoints: String,
    /// Tells several clusters in one TiKV apart: one that holds nothing yet.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub cluster_id: u32,
    /// How many shards the cluster gets; the directory may have another number of them.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub shards: u32,
    /// The authority that PD's and TiKV's certificates are checked against (PEM); TLS needs all three.
    #[arg(long, value_name = "FILE")]
    pub tikv_ca: Option<PathBuf>,
    /// The certificate shown to PD and TiKV (PEM).
    #[arg(long, value_name = "FILE")]
    pub tikv_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    pub tikv_key: Option<PathBuf>,
    /// The server's program [default: `ordermill` beside this one, else in the PATH].
    #[arg(long, value_name = "PATH")]
    pub ordermill: Option<PathBuf>,
    /// How long the audit waits for pending orders.
    #[arg(long, default_value = "60s", value_parser = values::duration, value_name = "TIME")]
    pub settle: Duration,
}
