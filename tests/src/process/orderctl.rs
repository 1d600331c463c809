//! `orderctl` as a process.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Ended, command, in_time, signal, until};

/// A call of orderctl that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Orderctl {
    child: Child,
    stdout: Said,
    stderr: Said,
}

/// What a stream has said so far.
#[derive(Debug)]
struct Said {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Said {
    fn by(mut stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&bytes);
        let reading = tokio::spawn(async move {
            let mut piece = Vec::new();
            // A stream that breaks off has said what it has said.
            while let Ok(1..) = stream.read_buf(&mut piece).await {
                kept.lock().append(&mut piece);
            }
        });
        Self { bytes, reading }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock()).into_owned()
    }

    async fn all(self) -> String {
        let Self { bytes, reading } = self;
        let _ = reading.await;
        String::from_utf8_lossy(&bytes.lock()).into_owned()
    }
}

impl Orderctl {
    /// Starts it.
    pub fn start<A: AsRef<OsStr>>(server: &str, arguments: &[A]) -> Self {
        Self::spawn(command("orderctl").args(["--server", server]).args(arguments))
    }

    /// Starts another of the project's programs in the same way.
    pub fn start_program<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Self {
        Self::spawn(command(name).args(arguments))
    }

    /// Starts it with a standard input that is written to.
    pub fn start_with_input<A: AsRef<OsStr>>(server: &str, arguments: &[A]) -> (Self, ChildStdin) {
        let mut orderctl =
            Self::spawn(command("orderctl").args(["--server", server]).args(arguments).stdin(Stdio::piped()));
        let input = orderctl.child.stdin.take().expect("the input is piped");
        (orderctl, input)
    }

    /// Runs it to its end.
    pub async fn run<A: AsRef<OsStr>>(server: &str, arguments: &[A]) -> Ended {
        Self::start(server, arguments).ended().await
    }

    /// Runs it to its end with these environment variables, and no server but the one they name.
    pub async fn run_with_environment(environment: &[(&str, &str)], arguments: &[&str]) -> Ended {
        Self::spawn(command("orderctl").args(arguments).envs(environment.iter().copied())).ended().await
    }

    /// Runs it to its end with a file as its standard input.
    pub async fn run_with_input(server: &str, arguments: &[&str], input: &Path) -> Ended {
        let input = std::fs::File::open(input).expect("the input can be read");
        Self::spawn(command("orderctl").args(["--server", server]).args(arguments).stdin(input)).ended().await
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("orderctl can be started");
        let stdout = Said::by(child.stdout.take().expect("the output is piped"));
        let stderr = Said::by(child.stderr.take().expect("the errors are piped"));
        Self { child, stdout, stderr }
    }

    /// Waits until it has printed at least `count` whole lines; returns the first `count`.
    pub async fn lines(&self, count: usize) -> Vec<String> {
        let printed = || async {
            let text = self.stdout.so_far();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            let lines: Vec<_> = whole.lines().take(count).map(str::to_owned).collect();
            if lines.len() == count { Ok(lines) } else { Err(format!("{lines:#?}\n{}", self.stderr.so_far())) }
        };
        until(&format!("{count} lines of output"), printed).await
    }

    /// Waits until it has said `text` on standard error, so many times in all.
    pub async fn says(&self, text: &str, times: usize) {
        let said = || async {
            let said = self.stderr.so_far();
            if said.matches(text).count() >= times { Ok(()) } else { Err(said) }
        };
        until(text, said).await;
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = in_time("orderctl's end", self.child.wait()).await.expect("a process has an end");
        Ended::new(status, self.stdout.all().await, self.stderr.all().await)
    }

    /// Whether it ends within `time`.
    pub async fn ends_within(&mut self, time: Duration) -> bool {
        timeout(time, self.child.wait()).await.is_ok()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        in_time("the killed orderctl's end", self.child.kill()).await.expect("a process can be killed");
    }

    /// Sends SIGINT.
    pub fn interrupt(&self) {
        signal(self.child.id(), Signal::INT);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        signal(self.child.id(), Signal::TERM);
    }
}

/// Audits a server, which must be clean; returns the report.
///
/// # Panics
///
/// When it is not.
pub async fn audit(server: &str) -> serde_json::Value {
    audit_with(server, &[]).await
}

/// The same with further flags, as for a server that asks who one is.
pub async fn audit_with(server: &str, flags: &[&str]) -> serde_json::Value {
    let ended = Orderctl::run(server, &[&["audit"], flags].concat()).await;
    assert_eq!(ended.code, Some(0), "the audit is not clean:\n{}{}", ended.stdout, ended.stderr);
    ended.json().remove(0)
}
