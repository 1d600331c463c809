//! Settings: a flag, else an environment variable, else a line of the file, else the default.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ordermill_station::limits;
use serde::Deserialize;

/// A length of time as people write it: `90s`, `15m`, `24h`, `7d`, or several of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no length of time, such as 90s, 15m, 24h, 7d or 1h30m");
        let mut rest = text.trim();
        let mut millis = 0u64;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = rest[digits..].trim_start();
            let letters = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
            let unit = match &rest[..letters] {
                "ms" => 1,
                "s" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            rest = rest[letters..].trim_start();
            millis = number.checked_mul(unit).and_then(|part| part.checked_add(millis)).ok_or_else(wrong)?;
        }
        if text.trim().is_empty() { Err(wrong()) } else { Ok(Self(Duration::from_millis(millis))) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
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

/// Settings that were given, by flag and environment or in the file.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Given {
    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "ORDERMILL_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// The directory that holds everything; made when it is not there
    #[arg(long, env = "ORDERMILL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// How many shards; fixed when the data directory is made [default: 1]
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

    /// API keys and the tenants they stand for; none: nobody is asked for a key. Secrets have no
    /// place on a command line, so there is no flag.
    #[arg(skip)]
    api_keys: Option<BTreeMap<String, String>>,
}

/// The settings in force.
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) shards: u32,
    pub(crate) cache_bytes: u64,
    pub(crate) flush_bytes: usize,
    pub(crate) journal_retention: Duration,
    pub(crate) idempotency_retention: Duration,
    pub(crate) min_free_bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) accept_corruption: bool,
    pub(crate) log: LogFormat,
    pub(crate) log_filter: String,
    pub(crate) api_keys: BTreeMap<String, String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not all fields: keys are secrets.
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
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

const MIB: u64 = 1 << 20;
/// What is logged unless asked otherwise: the row engine tells of every table it writes.
const LOG_FILTER: &str = "info,fjall=warn,lsm_tree=warn";

impl Given {
    /// What was given here, else what was given `below`.
    fn over(self, below: Self) -> Self {
        Self {
            listen: self.listen.or(below.listen),
            data_dir: self.data_dir.or(below.data_dir),
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
            api_keys: self.api_keys.or(below.api_keys),
        }
    }

    fn settings(self) -> anyhow::Result<Settings> {
        let Some(data_dir) = self.data_dir else {
            bail!("no data directory is given: say where data belongs with --data-dir DIR (or ORDERMILL_DATA_DIR)");
        };
        let shards = self.shards.unwrap_or(limits::SHARDS_DEFAULT);
        if !(1..=limits::SLOTS).contains(&shards) {
            bail!("--shards is {shards}: 1 to {} are possible", limits::SLOTS);
        }
        let bytes = |name: &str, mib: Option<u64>, default: u64| match mib {
            None => Ok(default),
            Some(mib) => mib.checked_mul(MIB).with_context(|| format!("--{name} is {mib}: that is too much")),
        };
        Ok(Settings {
            listen: self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
            data_dir,
            shards,
            cache_bytes: bytes("cache-mib", self.cache_mib, limits::CACHE_BYTES)?,
            flush_bytes: usize::try_from(bytes("flush-mib", self.flush_mib, limits::FLUSH_BYTES as u64)?)?,
            journal_retention: self.journal_retention.map_or(limits::JOURNAL_RETENTION, |span| span.0),
            idempotency_retention: self.idempotency_retention.map_or(limits::IDEMPOTENCY_RETENTION, |span| span.0),
            min_free_bytes: bytes("min-free-mib", self.min_free_mib, limits::FREE_BYTES_MIN)?,
            segment_bytes: bytes("segment-mib", self.segment_mib, limits::SEGMENT_BYTES)?,
            accept_corruption: self.accept_corruption.unwrap_or_default(),
            log: self.log.unwrap_or(LogFormat::Text),
            log_filter: self.log_filter.unwrap_or_else(|| LOG_FILTER.to_owned()),
            api_keys: self.api_keys.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

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
    fn lengths_of_time() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.as_secs());
        assert_eq!((seconds("24h"), seconds("90s"), seconds("7d")), (Ok(86_400), Ok(90), Ok(604_800)));
        assert_eq!((seconds("1h30m"), seconds("1h 30min"), seconds("1500ms")), (Ok(5_400), Ok(5_400), Ok(1)));
        for wrong in ["", "24", "h", "1y", "-1h", "1.5h", "99999999999999999999h", "9999999999999999d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
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
        assert!(settings(&["--data-dir", "d", "--accept-corruption"]).unwrap().accept_corruption);
    }
}
