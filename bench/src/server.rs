//! A server process of its own: started, asked for what it uses, killed.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::fs::{major, minor};
use tempfile::TempDir;

use crate::client::Connection;

/// Longer than a changed row waits for its flush.
pub(crate) const FLUSHED_AFTER: Duration = Duration::from_secs(12);

/// A running server; it ends with this value.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// What the kernel counts of the disk that its data is on, where it does.
    disk: Option<PathBuf>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// From its start until it said that it is ready.
    pub(crate) ready_after: Duration,
}

/// What a server has used up to now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Seconds of CPU time.
    pub(crate) cpu_s: f64,
    /// Records appended to the journal.
    pub(crate) appends: f64,
    /// Blocks of the journal, each made durable with one fsync.
    pub(crate) fsyncs: f64,
    /// Bytes of the journal.
    pub(crate) journal_bytes: f64,
    /// Bytes that were written to the disk which has its data, by whomever; 0 where they are not counted.
    pub(crate) written_bytes: f64,
}

impl Usage {
    /// What was used since `before`, per each of `count`.
    pub(crate) fn since(self, before: Self, count: f64) -> Self {
        let each = |now: f64, then: f64| (now - then) / count.max(1.0);
        Self {
            cpu_s: each(self.cpu_s, before.cpu_s),
            appends: each(self.appends, before.appends),
            fsyncs: each(self.fsyncs, before.fsyncs),
            journal_bytes: each(self.journal_bytes, before.journal_bytes),
            written_bytes: each(self.written_bytes, before.written_bytes),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The sum of a metric over the lines of `metrics` that hold each of `labels`.
pub(crate) fn sum(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let lines = metrics.lines().filter(of_name);
    let lines = lines.filter(|line| labels.iter().all(|label| line.contains(label)));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Seconds of CPU time that a process has used.
pub(crate) fn cpu_s(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Fields 14 and 15 of proc_pid_stat(5), in hundredths of a second; two stand before the bracket.
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

/// The programs that were built beside this one.
fn sibling(name: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().context("a program lies in a directory")?.join(name))
}

/// A directory for data on the disk that the programs are on, not in memory.
pub(crate) fn fresh() -> Result<TempDir> {
    let program = std::env::current_exe()?;
    Ok(tempfile::tempdir_in(program.parent().context("a program lies in a directory")?)?)
}

/// Where the kernel counts what is written to the disk that a directory is on; None of one that is on no disk of its own.
fn disk(dir: &Path) -> Result<Option<PathBuf>> {
    let device = dir.metadata()?.dev();
    let disk = PathBuf::from(format!("/sys/dev/block/{}:{}/stat", major(device), minor(device)));
    Ok(disk.is_file().then_some(disk))
}

/// The machine's memory, MiB.
pub(crate) fn memory_total_mib() -> u64 {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or_default() >> 10
}

impl Server {
    /// The engine on `dir`.
    pub(crate) fn engine(dir: &Path, shards: u32) -> Result<Self> {
        let mut command = Command::new(sibling("ordermill")?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-filter", "warn", "--shards", &shards.to_string()]);
        command.arg("--data-dir").arg(dir);
        let mut server = Self::start(command)?;
        server.disk = disk(dir)?;
        Ok(server)
    }

    /// A member of a cluster on the PD at `pd_endpoints`: of this build, or `program`.
    pub(crate) fn member(program: Option<&Path>, pd_endpoints: &[String], shards: u32) -> Result<Self> {
        let mut command = Command::new(program.map_or_else(|| sibling("ordermill"), |path| Ok(path.to_owned()))?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log-filter", "warn", "--shards", &shards.to_string()]);
        command.args(["--store", "tikv", "--pd-endpoints", &pd_endpoints.join(",")]);
        // A proxy of the machine is not for its own loopback.
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        Self::start(command)
    }

    /// The ceiling.
    pub(crate) fn echo() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("echo");
        Self::start(command)
    }

    /// Starts a server that says on its first line where it listens.
    #[expect(clippy::disallowed_methods, reason = "a measurement looks at the clock")]
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let begun = Instant::now();
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("{command:?} cannot be started"))?;
        let stdout = child.stdout.take().context("the server has an output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.with_context(|| format!("the server did not start: {command:?}"))?.parse()?;
        Ok(Self { child, disk: None, address, ready_after: begun.elapsed() })
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// A line of `/proc/PID/status` in MiB, such as `VmRSS`.
    pub(crate) fn memory_mib(&self, name: &str) -> Result<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)).context("there is no such line")?;
        let kib: f64 = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1_024.0)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Seconds of CPU time that it has used.
    pub(crate) fn cpu_s(&self) -> Result<f64> {
        cpu_s(self.pid())
    }

    /// Its metrics.
    pub(crate) async fn metrics(&self) -> Result<String> {
        let mut connection = Connection::open(self.address).await?;
        let (_, metrics) = connection.call("GET", "/metrics", "", "").await?;
        Ok(String::from_utf8_lossy(metrics).into_owned())
    }

    /// What it has used.
    pub(crate) async fn usage(&self) -> Result<Usage> {
        let (cpu_s, metrics) = (self.cpu_s()?, self.metrics().await?);
        let sum = |name| sum(&metrics, name, &[]);
        Ok(Usage {
            cpu_s,
            appends: sum("ordermill_journal_appends_total"),
            fsyncs: sum("ordermill_journal_blocks_total"),
            journal_bytes: sum("ordermill_journal_bytes_total"),
            written_bytes: self.written_bytes()?,
        })
    }

    /// What it has used once everything that was changed is flushed.
    pub(crate) async fn flushed(&self) -> Result<Usage> {
        tokio::time::sleep(FLUSHED_AFTER).await;
        self.usage().await
    }

    /// Of the disk, not of the process: what a process has made dirty is counted in folios, of which an append that is
    /// made durable fills a small part, and the next one makes the same folio dirty again.
    fn written_bytes(&self) -> Result<f64> {
        let Some(disk) = &self.disk else { return Ok(0.0) };
        let counts = std::fs::read_to_string(disk)?;
        let sectors = counts.split_whitespace().nth(6).context("the kernel counts no sectors written")?;
        Ok(sectors.parse::<f64>()? * 512.0)
    }

    /// Fails unless everything in it is as it has to be: a run with a wrong state has no figures.
    pub(crate) fn audit(&self) -> Result<()> {
        let mut audit = Command::new(sibling("orderctl")?);
        audit.args(["--server", &format!("http://{}", self.address), "audit"]);
        let output = audit.output().with_context(|| format!("{audit:?} cannot be started"))?;
        let told = || [output.stdout.as_slice(), &output.stderr].concat();
        ensure!(output.status.success(), "the audit has found: {}", String::from_utf8_lossy(&told()));
        Ok(())
    }
}
