//! Settings as they are given, by flag and environment or in the file, and what becomes of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use ordermill_station::limits;
use serde::Deserialize;

use super::span::Span;
use super::{LogFormat, MemberSettings, Settings, Store, StoreKind, Tls};

/// Settings that were given, by flag and environment or in the file.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Given {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "ORDERMILL_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Where orders are kept: in a directory of this machine, or in a TiKV cluster [default: embedded]
    #[arg(long, env = "ORDERMILL_STORE", value_name = "STORE")]
    store: Option<StoreKind>,

    /// The directory that holds everything; made when it is not there
    #[arg(long, env = "ORDERMILL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// PD's client addresses, with commas between them
    #[arg(long, env = "ORDERMILL_PD_ENDPOINTS", value_name = "ADDRESSES", value_delimiter = ',')]
    pd_endpoints: Option<Vec<String>>,

    /// Tells several clusters in one TiKV apart [default: 1]
    #[arg(long, env = "ORDERMILL_CLUSTER_ID", value_name = "N")]
    cluster_id: Option<u32>,

    /// The authority that PD's and TiKV's certificates are checked against (PEM); TLS needs all three
    #[arg(long, env = "ORDERMILL_TIKV_CA", value_name = "FILE")]
    tikv_ca: Option<PathBuf>,

    /// The certificate shown to PD and TiKV (PEM)
    #[arg(long, env = "ORDERMILL_TIKV_CERTIFICATE", value_name = "FILE")]
    tikv_certificate: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, env = "ORDERMILL_TIKV_KEY", value_name = "FILE")]
    tikv_key: Option<PathBuf>,

    /// Let old versions in the store go; only where no other system uses the same PD [default: false]
    #[arg(long, env = "ORDERMILL_DRIVE_GC", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    drive_gc: Option<bool>,

    /// What people call this member [default: the name of the host]
    #[arg(long, env = "ORDERMILL_MEMBER_NAME", value_name = "NAME")]
    member_name: Option<String>,

    /// Where to listen for other members; port 0 takes a free one [default: 127.0.0.1:0]
    #[arg(long, env = "ORDERMILL_PEER_LISTEN", value_name = "ADDRESS")]
    peer_listen: Option<String>,

    /// Where other members reach this one, HOST:PORT [default: where it listens]
    #[arg(long, env = "ORDERMILL_PEER_ADVERTISE", value_name = "ADDRESS")]
    peer_advertise: Option<String>,

    /// The authority that members' certificates are checked against (PEM); TLS needs all three
    #[arg(long, env = "ORDERMILL_PEER_CA", value_name = "FILE")]
    peer_ca: Option<PathBuf>,

    /// The certificate shown to other members (PEM)
    #[arg(long, env = "ORDERMILL_PEER_CERTIFICATE", value_name = "FILE")]
    peer_certificate: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, env = "ORDERMILL_PEER_KEY", value_name = "FILE")]
    peer_key: Option<PathBuf>,

    /// How many shards; fixed when the store is made [default: 1, in TiKV 64]
    #[arg(long, env = "ORDERMILL_SHARDS", value_name = "N")]
    shards: Option<u32>,

    /// MiB of rows kept in memory [default: 128]
    #[arg(long, env = "ORDERMILL_CACHE_MIB", value_name = "MIB")]
    cache_mib: Option<u64>,

    /// MiB of changed rows at which they are flushed [default: 48]
    #[arg(long, env = "ORDERMILL_FLUSH_MIB", value_name = "MIB")]
    flush_mib: Option<u64>,

    /// How far the event feed reaches back [default: 24h]
    #[arg(long, env = "ORDERMILL_JOURNAL_RETENTION", value_name = "TIME")]
    journal_retention: Option<Span>,

    /// How long an idempotency key is remembered [default: 24h]
    #[arg(long, env = "ORDERMILL_IDEMPOTENCY_RETENTION", value_name = "TIME")]
    idempotency_retention: Option<Span>,

    /// Free MiB below which writes are refused [default: 128]
    #[arg(long, env = "ORDERMILL_MIN_FREE_MIB", value_name = "MIB")]
    min_free_mib: Option<u64>,

    /// MiB of one file of the journal [default: 64]
    #[arg(long, env = "ORDERMILL_SEGMENT_MIB", value_name = "MIB")]
    segment_mib: Option<u64>,

    /// Open a damaged journal without what lies behind the damage; acknowledged orders may be lost
    #[arg(long, env = "ORDERMILL_ACCEPT_CORRUPTION", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    accept_corruption: Option<bool>,

    /// How logs are written, to standard error [default: text]
    #[arg(long, env = "ORDERMILL_LOG", value_name = "FORMAT")]
    log: Option<LogFormat>,

    /// Which logs are written, as in `info` or `warn,ordermill_shard=debug` [default: info]
    #[arg(long, env = "ORDERMILL_LOG_FILTER", value_name = "FILTER")]
    log_filter: Option<String>,

    /// The certificate that clients are shown, followed by those between it and its authority (PEM): HTTPS instead of HTTP.
    /// Looked at again every 5 s
    #[arg(long, env = "ORDERMILL_HTTP_CERTIFICATE", value_name = "FILE")]
    http_certificate: Option<PathBuf>,

    /// Its key (PEM)
    #[arg(long, env = "ORDERMILL_HTTP_KEY", value_name = "FILE")]
    http_key: Option<PathBuf>,

    /// A directory with a file for each tenant, which holds its API keys, one per line; looked at again every 5 s, as a
    /// mounted Secret changes
    #[arg(long, env = "ORDERMILL_API_KEYS_DIR", value_name = "DIR")]
    api_keys_dir: Option<PathBuf>,

    /// API keys and the tenants they stand for; none: nobody is asked for a key. Secrets have no
    /// place on a command line, so there is no flag.
    #[arg(skip)]
    api_keys: Option<BTreeMap<String, String>>,
}

const MIB: u64 = 1 << 20;
/// What is logged unless asked otherwise: the row engine tells of every table it writes.
const LOG_FILTER: &str = "info,fjall=warn,lsm_tree=warn";

/// A setting in MiB, in bytes.
fn bytes(name: &str, mib: Option<u64>, default: u64) -> anyhow::Result<u64> {
    match mib {
        None => Ok(default),
        Some(mib) => mib.checked_mul(MIB).with_context(|| format!("--{name} is {mib}: that is too much")),
    }
}

/// Refuses the first setting that was given, and says why.
fn none_of(settings: &[(&str, bool)], why: &str) -> anyhow::Result<()> {
    match settings.iter().find(|(_, given)| *given) {
        Some((name, _)) => bail!("--{name} {why}"),
        None => Ok(()),
    }
}

impl Given {
    /// What was given here, else what was given `below`.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            store: self.store.or(below.store),
            data_dir: self.data_dir.or(below.data_dir),
            pd_endpoints: self.pd_endpoints.or(below.pd_endpoints),
            cluster_id: self.cluster_id.or(below.cluster_id),
            tikv_ca: self.tikv_ca.or(below.tikv_ca),
            tikv_certificate: self.tikv_certificate.or(below.tikv_certificate),
            tikv_key: self.tikv_key.or(below.tikv_key),
            drive_gc: self.drive_gc.or(below.drive_gc),
            member_name: self.member_name.or(below.member_name),
            peer_listen: self.peer_listen.or(below.peer_listen),
            peer_advertise: self.peer_advertise.or(below.peer_advertise),
            peer_ca: self.peer_ca.or(below.peer_ca),
            peer_certificate: self.peer_certificate.or(below.peer_certificate),
            peer_key: self.peer_key.or(below.peer_key),
            shards: self.shards.or(below.shards),
            cache_mib: self.cache_mib.or(below.cache_mib),
            flush_mib: self.flush_mib.or(below.flush_mib),
            journal_retention: self.journal_retention.or(below.journal_retention),
            idempotency_retention: self.idempotency_retention.or(below.idempotency_retention),
            min_free_mib: self.min_free_mib.or(below.min_free_mib),
            segment_mib: self.segment_mib.or(below.segment_mib),
            accept_corruption: self.accept_corruption.or(below.accept_corruption),
            log: self.log.or(below.log),
            log_filter: self.log_filter.or(below.log_filter),
            http_certificate: self.http_certificate.or(below.http_certificate),
            http_key: self.http_key.or(below.http_key),
            api_keys_dir: self.api_keys_dir.or(below.api_keys_dir),
            api_keys: self.api_keys.or(below.api_keys),
        }
    }

    /// The settings in force.
    pub(super) fn settings(self) -> anyhow::Result<Settings> {
        let (store, member, (shards_default, shards_max)) = match self.store.unwrap_or(StoreKind::Embedded) {
            StoreKind::Embedded => (self.embedded()?, None, (limits::SHARDS_DEFAULT, limits::SLOTS)),
            StoreKind::Tikv => {
                (self.tikv()?, Some(self.member()?), (limits::SHARDS_DEFAULT_SHARED, limits::SHARDS_SHARED_MAX))
            }
        };
        let shards = self.shards.unwrap_or(shards_default);
        if !(1..=shards_max).contains(&shards) {
            bail!("--shards is {shards}: 1 to {shards_max} are possible");
        }
        Ok(Settings {
            listen: self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            store,
            member,
            shards,
            cache_bytes: bytes("cache-mib", self.cache_mib, limits::CACHE_BYTES)?,
            flush_bytes: usize::try_from(bytes("flush-mib", self.flush_mib, limits::FLUSH_BYTES as u64)?)?,
            journal_retention: self.journal_retention.map_or(limits::JOURNAL_RETENTION, |span| span.0),
            idempotency_retention: self.idempotency_retention.map_or(limits::IDEMPOTENCY_RETENTION, |span| span.0),
            log: self.log.unwrap_or(LogFormat::Text),
            log_filter: self.log_filter.unwrap_or_else(|| LOG_FILTER.to_owned()),
            tls: match (self.http_certificate, self.http_key) {
                (Some(certificate), Some(key)) => Some((certificate, key)),
                (None, None) => None,
                _ => bail!("HTTPS needs both of --http-certificate and --http-key"),
            },
            api_keys_dir: self.api_keys_dir,
            api_keys: self.api_keys.unwrap_or_default(),
        })
    }

    fn embedded(&self) -> anyhow::Result<Store> {
        let given = [
            ("pd-endpoints", self.pd_endpoints.is_some()),
            ("cluster-id", self.cluster_id.is_some()),
            ("tikv-ca", self.tikv_ca.is_some()),
            ("tikv-certificate", self.tikv_certificate.is_some()),
            ("tikv-key", self.tikv_key.is_some()),
            ("drive-gc", self.drive_gc.is_some()),
            ("member-name", self.member_name.is_some()),
            ("peer-listen", self.peer_listen.is_some()),
            ("peer-advertise", self.peer_advertise.is_some()),
            ("peer-ca", self.peer_ca.is_some()),
            ("peer-certificate", self.peer_certificate.is_some()),
            ("peer-key", self.peer_key.is_some()),
        ];
        none_of(&given, "is about a TiKV cluster: say --store tikv, or leave it out")?;
        let Some(data_dir) = self.data_dir.clone() else {
            bail!("no data directory is given: say where data belongs with --data-dir DIR (or ORDERMILL_DATA_DIR)");
        };
        Ok(Store::Embedded {
            data_dir,
            min_free_bytes: bytes("min-free-mib", self.min_free_mib, limits::FREE_BYTES_MIN)?,
            segment_bytes: bytes("segment-mib", self.segment_mib, limits::SEGMENT_BYTES)?,
            accept_corruption: self.accept_corruption.unwrap_or_default(),
        })
    }

    fn tikv(&self) -> anyhow::Result<Store> {
        let given = [
            ("data-dir", self.data_dir.is_some()),
            ("min-free-mib", self.min_free_mib.is_some()),
            ("segment-mib", self.segment_mib.is_some()),
            ("accept-corruption", self.accept_corruption.is_some()),
        ];
        none_of(&given, "is about a store in a directory: with --store tikv, leave it out")?;
        let pd_endpoints = self.pd_endpoints.clone().unwrap_or_default();
        if pd_endpoints.is_empty() {
            bail!("--store tikv needs PD's addresses: --pd-endpoints HOST:PORT,... (or ORDERMILL_PD_ENDPOINTS)");
        }
        Ok(Store::Tikv {
            pd_endpoints,
            cluster: self.cluster_id.unwrap_or(1),
            tls: Tls::of("tikv", [&self.tikv_ca, &self.tikv_certificate, &self.tikv_key])?,
            drive_gc: self.drive_gc.unwrap_or_default(),
        })
    }

    fn member(&self) -> anyhow::Result<MemberSettings> {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(MemberSettings {
            name: self.member_name.clone().unwrap_or_else(host),
            listen: self.peer_listen.clone().unwrap_or_else(|| "127.0.0.1:0".to_owned()),
            advertise: self.peer_advertise.clone(),
            tls: Tls::of("peer", [&self.peer_ca, &self.peer_certificate, &self.peer_key])?,
        })
    }
}
