//! `ordermill migrate`: the data directory of a server that has stopped, into a TiKV cluster.
//!
//! `orderctl migrate` calls it, and audits a member afterwards. Says on standard error how far it has come.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use ordermill_embedded::Embedded;
use ordermill_migrate::{Config, Progress, Report, run as migrated};
use ordermill_station::{clock, limits};
use ordermill_store::Store as _;

use crate::config::Tls;
use crate::{member, process, store};

/// What is moved, and to where.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The directory; no server runs on it
    #[arg(long, env = "ORDERMILL_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,

    /// PD's client addresses, with commas between them
    #[arg(long, env = "ORDERMILL_PD_ENDPOINTS", value_name = "ADDRESSES", value_delimiter = ',', required = true)]
    pd_endpoints: Vec<String>,

    /// Tells several clusters in one TiKV apart: one that holds nothing yet
    #[arg(long, env = "ORDERMILL_CLUSTER_ID", value_name = "N", default_value_t = 1)]
    cluster_id: u32,

    /// How many shards the cluster gets; the directory may have another number of them
    #[arg(long, env = "ORDERMILL_SHARDS", value_name = "N", default_value_t = limits::SHARDS_DEFAULT_SHARED,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::SLOTS)))]
    shards: u32,

    /// The authority that PD's and TiKV's certificates are checked against (PEM); TLS needs all three
    #[arg(long, env = "ORDERMILL_TIKV_CA", value_name = "FILE")]
    tikv_ca: Option<PathBuf>,

    /// The certificate shown to PD and TiKV (PEM)
    #[arg(long, env = "ORDERMILL_TIKV_CERTIFICATE", value_name = "FILE")]
    tikv_certificate: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, env = "ORDERMILL_TIKV_KEY", value_name = "FILE")]
    tikv_key: Option<PathBuf>,
}

/// Moves everything.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    process::prepare();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the threads cannot be started")?.block_on(migrate(arguments))
}

async fn migrate(arguments: &Arguments) -> anyhow::Result<()> {
    let (dir, clock, incarnation) = (&arguments.data_dir, clock::System::shared(), member::incarnation());
    let made_for = Embedded::made_for(dir).map_err(|error| anyhow::anyhow!("{error}"))?;
    let Some((source_cluster, source_shards)) = made_for else {
        bail!("{} holds no data of an ordermill server: say where it is with --data-dir", dir.display());
    };
    let source = ordermill_embedded::Config::new(dir, source_cluster, source_shards);
    let source = Arc::new(store::embedded(source, clock.clone()).await?);
    let tls = Tls::of("tikv", [&arguments.tikv_ca, &arguments.tikv_certificate, &arguments.tikv_key])?;
    let (pd, cluster) = (&arguments.pd_endpoints, arguments.cluster_id);
    let target = store::tikv(pd, tls.as_ref(), ordermill_transactional::Config::new(cluster, incarnation), clock).await;
    let target = target.map_err(|error| store::unusable(pd, &error))?;
    let config = Config { source_cluster, source_shards, cluster, shards: arguments.shards, incarnation };
    let report = migrated(config, source.clone(), target, &tell).await?;
    let moved = format!(
        "its data were moved into cluster {cluster} of the PD at {}. To serve them here all the same, without what has \
         happened there since, remove {}\n",
        pd.join(", "),
        dir.join(store::MOVED).display()
    );
    std::fs::write(dir.join(store::MOVED), moved).context("the data directory cannot be marked as moved")?;
    source.close().await.map_err(|error| anyhow::anyhow!("the data directory could not be closed: {error}"))?;
    crate::print(&summary(&report))
}

/// What was done, as one line of JSON.
fn summary(report: &Report) -> String {
    let Report { done_before, rows, written, deleted, checksum } = report;
    if *done_before {
        return r#"{"done_before":true}"#.to_owned();
    }
    format!(r#"{{"rows":{rows},"written":{written},"deleted":{deleted},"checksum":"{checksum:016x}"}}"#)
}

fn tell(progress: Progress) {
    let percent = |slot: u32| slot * 100 / limits::SLOTS;
    match progress {
        Progress::Resumed(slot) => eprintln!("goes on behind {} % of an earlier run", percent(slot)),
        Progress::Copied { slot, written } => eprintln!("copied {} %, {written} rows written", percent(slot)),
        Progress::Compared { slot, rows } => eprintln!("compared {} %, {rows} rows are the same", percent(slot)),
    }
}
