//! One server process, which ends with this process however this one ends.
//!
//! A shell stands between them: it holds the server and waits for a word from here. When there is nobody
//! left to give it (a test run that was killed, a cluster that all tests shared), it kills the server and
//! removes its directory.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::process::until;

/// The shell's part. Its arguments: the directory to remove, then the server's command. First it says the
/// server's process id; a line that it reads is a signal to end the server with.
const HOLD: &str = r#"
"$@" >&2 &
server=$!
echo "$server"
if read -r signal; then
    kill -s "$signal" "$server"
    wait "$server"
else
    kill -s KILL "$server"
    wait "$server"
    rm -rf "$0"
fi
"#;

/// How much of the log is shown when a test fails.
const LOG_LINES: usize = 30;

/// A server, running or not.
#[derive(Debug)]
pub(super) struct Server {
    name: &'static str,
    /// The network namespace that it runs in; none: this process's own.
    namespace: Option<String>,
    binary: PathBuf,
    directory: PathBuf,
    arguments: Vec<String>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    shell: Child,
    pid: u32,
}

impl Server {
    /// A server that does not run yet; `arguments` are made from its directory, which it keeps.
    pub(super) fn new(
        name: &'static str,
        namespace: Option<String>,
        binary: PathBuf,
        arguments: impl FnOnce(&Path) -> Vec<String>,
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made").keep();
        let arguments = arguments(&directory);
        Self { name, namespace, binary, directory, arguments, running: None }
    }

    /// Starts it, for the first time or again.
    pub(super) fn start(&mut self) {
        assert!(self.running.is_none(), "{} runs already", self.name);
        let log = OpenOptions::new().append(true).create(true).open(self.log()).expect("a log can be written");
        let mut shell = Command::new("sh");
        shell.args(["-c", HOLD]).arg(&self.directory);
        // It becomes the server: the process that the shell holds is the server's.
        shell.args(self.namespace.iter().flat_map(|name| ["ip", "netns", "exec", name]));
        shell.arg(&self.binary).args(&self.arguments);
        // A proxy of the machine is not for its own loopback.
        shell.env("NO_PROXY", "*").env("no_proxy", "*");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut shell = shell.spawn().expect("a shell can be started");
        let mut pid = String::new();
        let stdout = shell.stdout.take().expect("the output is piped");
        BufReader::new(stdout).read_line(&mut pid).expect("the shell says the process id");
        let pid = pid.trim().parse().expect("a process id");
        self.running = Some(Running { shell, pid });
    }

    /// Its process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.pid)
    }

    /// Sees that it still runs.
    pub(super) fn check(&self) {
        let running = self.running.as_ref().expect("it was started");
        let status = std::fs::read_to_string(format!("/proc/{}/stat", running.pid)).unwrap_or_default();
        // The state stands behind the name, which is in parentheses.
        let state = status.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        assert!(!matches!(state, None | Some('Z' | 'X')), "{} has ended by itself", self.name);
    }

    /// Kills it with SIGKILL, and returns when it has ended.
    pub(super) async fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        let mut word = running.shell.stdin.take().expect("the input is piped");
        word.write_all(b"KILL\n").expect("the shell listens");
        until("a server's end", || {
            let ended = running.shell.try_wait().expect("the shell is this process's own");
            std::future::ready(ended.map(drop).ok_or_else(|| "it runs".to_owned()))
        })
        .await;
    }

    /// Shows the end of what it said.
    pub(super) fn show_log(&self) {
        let Ok(log) = File::open(self.log()) else { return };
        let lines: Vec<String> = BufReader::new(log).lines().map_while(Result::ok).collect();
        eprintln!("the end of the log of {}:", self.name);
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().for_each(|line| eprintln!("  {line}"));
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_log();
        }
        if let Some(mut running) = self.running.take() {
            drop(running.shell.stdin.take());
            // It has been told; what became of it does not matter here.
            let _ = running.shell.wait();
        }
        // Gone already if it ran.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Ports below those that systems give to clients: what is free now is free when the server starts, for the
/// first time or again.
const PORTS: Range<u16> = 10_000..30_000;

/// A port on `host` that nobody listens on, on any address: one of the servers listens on all of them.
pub(super) fn free_address(host: IpAddr) -> SocketAddr {
    let drawn = || rand::random_range(PORTS);
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok();
    let port = std::iter::repeat_with(drawn).take(PORTS.len()).find(free).expect("there is a free port");
    SocketAddr::new(host, port)
}
