//! `ordermill serve` as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Ended, Http, collect, command_in, in_time, own_address, signal, until};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Its data directory; empty when it has none.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The network namespace that it runs in; none: this process's own.
    pub namespace: Option<String>,
}

impl Settings {
    /// The usual settings for a data directory, on a free port of an address of its own.
    pub fn new(data_dir: impl Into<PathBuf>, shards: u32) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen: own_address(),
            arguments: vec!["--shards".to_owned(), shards.to_string()],
            environment: Vec::new(),
            namespace: None,
        }
    }

    /// A member of a cluster on TiKV, on a free port of an address of its own.
    pub fn member(pd_endpoints: &[String], name: &str, shards: u32) -> Self {
        Self::member_at(own_address(), pd_endpoints, name, shards)
    }

    /// The same on a free port of this address.
    pub fn member_at(listen: SocketAddr, pd_endpoints: &[String], name: &str, shards: u32) -> Self {
        let settings = Self { listen, ..Self::new(PathBuf::new(), shards) };
        let peers = settings.listen.to_string();
        settings.with(&["--store", "tikv", "--pd-endpoints", &pd_endpoints.join(",")]).with(&[
            "--member-name",
            name,
            "--peer-listen",
            &peers,
            "--flush-mib",
            "1",
            "--cache-mib",
            "1",
        ])
    }

    /// Files and caches so small that everything happens within seconds.
    pub fn small(data_dir: impl Into<PathBuf>, shards: u32) -> Self {
        Self::new(data_dir, shards)
            .with(&["--segment-mib", "1", "--flush-mib", "1", "--cache-mib", "1", "--min-free-mib", "16"])
            .with(&["--journal-retention", "3s"])
    }

    /// The same with further arguments.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }
}

/// How much of the log is shown when a test fails.
const LOG_LINES: usize = 30;

/// A server that is ready; killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    settings: Settings,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
    rest: Option<JoinHandle<String>>,
    /// Everything it printed before it was ready: one line.
    first_line: String,
}

/// A server that is not known to be ready.
struct Starting {
    child: Child,
    stdout: BufReader<ChildStdout>,
    log: Arc<Mutex<String>>,
    reading: JoinHandle<()>,
    line: String,
}

impl Starting {
    fn new(settings: &Settings) -> Self {
        let mut serve = command_in(settings.namespace.as_deref(), "ordermill");
        serve.arg("serve").arg("--listen").arg(settings.listen.to_string());
        if settings.data_dir.as_os_str().is_empty() {
            serve.args(&settings.arguments);
        } else {
            serve.arg("--data-dir").arg(&settings.data_dir).args(&settings.arguments);
        }
        serve.envs(settings.environment.iter().map(|(name, value)| (name, value)));
        let mut child = serve.spawn().expect("the server can be started");
        let stdout = BufReader::new(child.stdout.take().expect("the output is piped"));
        let log = Arc::default();
        let reading = tokio::spawn(listen(child.stderr.take().expect("the log is piped"), Arc::clone(&log)));
        Self { child, stdout, log, reading, line: String::new() }
    }

    /// Whether it is ready (true) or has ended (false).
    async fn ready(&mut self) -> bool {
        let read = in_time("the server's first line", self.stdout.read_line(&mut self.line)).await;
        read.expect("the output is UTF-8") > 0
    }

    async fn ended(mut self) -> Ended {
        let status = in_time("the server's end", self.child.wait()).await.expect("a process has an end");
        let _ = self.reading.await;
        Ended::new(status, self.line, self.log.lock().clone())
    }
}

/// Keeps what the server says, as it says it.
async fn listen(stderr: impl AsyncRead + Unpin, log: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let mut log = log.lock();
        log.push_str(&line);
        log.push('\n');
    }
}

impl Server {
    /// Starts a server and waits until it is ready.
    pub async fn start(settings: Settings) -> Self {
        match Self::try_start(settings).await {
            Ok(server) => server,
            Err(ended) => panic!("the server did not start: {ended:?}"),
        }
    }

    /// Starts a server; an error if it ends instead of being ready.
    pub async fn try_start(settings: Settings) -> Result<Self, Ended> {
        let mut starting = Starting::new(&settings);
        if !starting.ready().await {
            return Err(starting.ended().await);
        }
        Ok(Self::ready(settings, starting))
    }

    fn ready(mut settings: Settings, starting: Starting) -> Self {
        let Starting { child, stdout, log, reading, line } = starting;
        let address = line.split_once("://").and_then(|(_, address)| address.trim_end().parse().ok());
        settings.listen = address.unwrap_or_else(|| panic!("the first line does not say where it listens: {line:?}"));
        Self { child, settings, log, reading, rest: Some(collect(stdout)), first_line: line }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        let scheme = if self.first_line.contains("https://") { "https" } else { "http" };
        format!("{scheme}://{}", self.settings.listen)
    }

    /// A client of it; it stays right over restarts.
    pub fn http(&self) -> Http {
        Http::new(&self.url())
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.settings.data_dir
    }

    /// The first line of its output.
    pub fn first_line(&self) -> &str {
        &self.first_line
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().clone()
    }

    /// Its resident memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id().expect("the server runs"));
        let status = std::fs::read_to_string(path).expect("a process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server runs")
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        in_time("the killed server's end", self.child.kill()).await.expect("a process can be killed");
    }

    /// Stops it for a while, with SIGSTOP.
    pub fn pause(&self) {
        signal(self.child.id(), Signal::STOP);
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        signal(self.child.id(), Signal::CONT);
    }

    /// Starts it again after it has ended, on the same address and directory.
    pub async fn restart(&mut self) {
        *self = Self::start(self.settings.clone()).await;
    }

    /// Starts it again; does something once it has logged `text`, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not say so, or ends.
    pub async fn restart_and_when_it_says(&mut self, text: &str, something: impl Future<Output = ()>) {
        let mut starting = Starting::new(&self.settings);
        let log = Arc::clone(&starting.log);
        let said = async {
            until(text, async || {
                let log = log.lock();
                if log.contains(text) { Ok(()) } else { Err(log.clone()) }
            })
            .await;
            something.await;
        };
        let (ready, ()) = tokio::join!(starting.ready(), said);
        assert!(ready, "the server has ended: {}", log.lock());
        *self = Self::ready(self.settings.clone(), starting);
    }

    /// Starts it again and kills it after `after`, ready or not.
    pub async fn restart_and_kill(&mut self, after: Duration) {
        let mut starting = Starting::new(&self.settings);
        // However far it has come by then.
        let _ = timeout(after, starting.ready()).await;
        in_time("the killed server's end", starting.child.kill()).await.expect("a process can be killed");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(self.child.id(), Signal::TERM);
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = in_time("the server's end", self.child.wait()).await.expect("a process has an end");
        let _ = (&mut self.reading).await;
        let rest = self.rest.take().expect("it has not ended before").await.unwrap_or_default();
        Ended::new(status, self.first_line.clone() + &rest, self.log())
    }

    /// Stops it in order, which must succeed.
    pub async fn stop(self) {
        self.terminate();
        let ended = self.ended().await;
        assert_eq!(ended.code, Some(0), "the server did not stop in order: {ended:?}");
    }

    /// How to start one as this one was started.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().rev().take(LOG_LINES).collect();
            eprintln!("the end of the server's log:");
            lines.iter().rev().for_each(|line| eprintln!("  {line}"));
        }
    }
}
