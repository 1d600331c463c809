//! Settings: a flag, else an environment variable, else a line of the file, else the default.

mod given;
mod span;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;

use self::given::Given;

/// Where orders are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoreKind {
    /// In a directory of this machine, by this process alone.
    Embedded,
    /// In a TiKV cluster, together with other processes.
    Tikv,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// What `ordermill serve` is told.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A TOML file with settings: the same names as the flags, and `[api-keys]`.
    #[arg(long, env = "ORDERMILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    given: Given,
}

/// Files for TLS, all PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    /// What the other side's certificate is checked against.
    pub(crate) ca: PathBuf,
    /// What is shown to the other side.
    pub(crate) certificate: PathBuf,
    /// Its key.
    pub(crate) key: PathBuf,
}

impl Tls {
    /// All three of `--{name}-ca`, `-certificate` and `-key`, or none.
    pub(crate) fn of(name: &str, files: [&Option<PathBuf>; 3]) -> anyhow::Result<Option<Self>> {
        match files {
            [None, None, None] => Ok(None),
            [Some(ca), Some(certificate), Some(key)] => {
                Ok(Some(Self { ca: ca.clone(), certificate: certificate.clone(), key: key.clone() }))
            }
            _ => bail!("TLS needs all three of --{name}-ca, --{name}-certificate and --{name}-key"),
        }
    }
}

/// Where orders are kept, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// In a directory.
    Embedded {
        /// The directory.
        data_dir: PathBuf,
        /// Free bytes below which writes are refused.
        min_free_bytes: u64,
        /// Bytes of one file of the journal.
        segment_bytes: u64,
        /// Open a damaged journal without what lies behind the damage.
        accept_corruption: bool,
    },
    /// In a TiKV cluster.
    Tikv {
        /// PD's client addresses.
        pd_endpoints: Vec<String>,
        /// The first part of every key.
        cluster: u32,
        /// TLS to PD and TiKV.
        tls: Option<Tls>,
        /// Whether this cluster lets old versions go by itself.
        drive_gc: bool,
    },
}

/// How this process is a member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberSettings {
    /// What people call it.
    pub(crate) name: String,
    /// Where it listens for other members.
    pub(crate) listen: String,
    /// Where others reach it, if that is elsewhere.
    pub(crate) advertise: Option<String>,
    /// TLS between members.
    pub(crate) tls: Option<Tls>,
}

/// The settings in force.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) store: Store,
    /// None where the store belongs to this process alone.
    pub(crate) member: Option<MemberSettings>,
    pub(crate) shards: u32,
    pub(crate) cache_bytes: u64,
    pub(crate) flush_bytes: usize,
    pub(crate) journal_retention: Duration,
    pub(crate) idempotency_retention: Duration,
    pub(crate) log: LogFormat,
    pub(crate) log_filter: String,
    /// The files of the certificate that clients are shown, and of its key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) api_keys_dir: Option<PathBuf>,
    pub(crate) api_keys: BTreeMap<String, String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not all fields: keys are secrets.
        f.debug_struct("Settings").field("listen", &self.listen).field("store", &self.store).finish_non_exhaustive()
    }
}

impl Arguments {
    /// The settings in force.
    pub(crate) fn settings(self) -> anyhow::Result<Settings> {
        let file = self.config.as_deref().map(read).transpose()?.unwrap_or_default();
        self.given.over(file).settings()
    }
}

fn read(path: &Path) -> anyhow::Result<Given> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read the settings in {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the settings in {} do not fit", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ordermill_station::limits;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn settings(arguments: &[&str]) -> anyhow::Result<Settings> {
        let all = ["ordermill"].iter().chain(arguments);
        Command::try_parse_from(all)?.arguments.settings()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ordermill.toml");
        let text =
            "shards = 8\ncache-mib = 7\njournal-retention = \"48h\"\nlog = \"json\"\n[api-keys]\nsecret = \"acme\"\n";
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        let settings = settings(&["--config", path, "--data-dir", "d", "--shards", "4"]).unwrap();
        assert_eq!((settings.shards, settings.cache_bytes, settings.log), (4, 7 << 20, LogFormat::Json));
        assert_eq!(settings.journal_retention, Duration::from_hours(48));
        assert_eq!(settings.idempotency_retention, limits::IDEMPOTENCY_RETENTION);
        assert_eq!(settings.api_keys["secret"], "acme");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ordermill.toml");
        std::fs::write(&path, "shard = 8\n").unwrap();
        let error = settings(&["--config", path.to_str().unwrap(), "--data-dir", "d"]).unwrap_err();
        assert!(format!("{error:#}").contains("unknown field `shard`"), "{error:#}");
        assert!(settings(&[]).unwrap_err().to_string().contains("--data-dir"));
        assert!(settings(&["--data-dir", "d", "--shards", "0"]).is_err());
        assert!(settings(&["--data-dir", "d", "--shards", "65537"]).is_err());
        let store = settings(&["--data-dir", "d", "--accept-corruption"]).unwrap().store;
        assert!(matches!(store, Store::Embedded { accept_corruption: true, .. }));
    }

    #[test]
    fn a_store_has_the_settings_of_its_kind() {
        let tikv =
            settings(&["--store", "tikv", "--pd-endpoints", "pd-0:2379,pd-1:2379", "--cluster-id", "7"]).unwrap();
        assert_eq!(tikv.shards, limits::SHARDS_DEFAULT_SHARED);
        let pd_endpoints = vec!["pd-0:2379".to_owned(), "pd-1:2379".to_owned()];
        assert_eq!(tikv.store, Store::Tikv { pd_endpoints, cluster: 7, tls: None, drive_gc: false });
        let refused = |arguments: &[&str]| settings(arguments).unwrap_err().to_string();
        assert!(refused(&["--store", "tikv"]).contains("--pd-endpoints"));
        assert!(refused(&["--store", "tikv", "--pd-endpoints", "pd:2379", "--data-dir", "d"]).contains("--data-dir"));
        assert!(refused(&["--data-dir", "d", "--cluster-id", "7"]).contains("--store tikv"));
        let many = refused(&["--store", "tikv", "--pd-endpoints", "pd:2379", "--shards", "8193"]);
        assert!(many.contains("1 to 8192"), "{many}");
        let half = refused(&["--store", "tikv", "--pd-endpoints", "pd:2379", "--tikv-ca", "ca.pem"]);
        assert!(half.contains("--tikv-key"), "{half}");
    }
}
