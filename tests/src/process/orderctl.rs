//! `orderctl` as a process.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::Child;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Ended, collect, command, in_time, signal};

/// A call of orderctl that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Orderctl {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Orderctl {
    /// Starts it.
    pub fn start<A: AsRef<OsStr>>(server: &str, arguments: &[A]) -> Self {
        let mut child =
            command("orderctl").args(["--server", server]).args(arguments).spawn().expect("orderctl can be started");
        let stdout = collect(child.stdout.take().expect("the output is piped"));
        let stderr = collect(child.stderr.take().expect("the errors are piped"));
        Self { child, stdout, stderr }
    }

    /// Runs it to its end.
    pub async fn run<A: AsRef<OsStr>>(server: &str, arguments: &[A]) -> Ended {
        Self::start(server, arguments).ended().await
    }

    /// Runs it to its end with a file as its standard input.
    pub async fn run_with_input(server: &str, arguments: &[&str], input: &Path) -> Ended {
        let input = std::fs::File::open(input).expect("the input can be read");
        let output = command("orderctl").args(["--server", server]).args(arguments).stdin(input).output();
        let output = in_time("orderctl's end", output).await.expect("orderctl can be started");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended::new(output.status, text(output.stdout), text(output.stderr))
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> Ended {
        let status = in_time("orderctl's end", self.child.wait()).await.expect("a process has an end");
        Ended::new(status, self.stdout.await.unwrap_or_default(), self.stderr.await.unwrap_or_default())
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
}

/// Audits a server, which must be clean; returns the report.
///
/// # Panics
///
/// When it is not.
pub async fn audit(server: &str) -> serde_json::Value {
    let ended = Orderctl::run(server, &["audit"]).await;
    assert_eq!(ended.code, Some(0), "the audit is not clean:\n{}{}", ended.stdout, ended.stderr);
    ended.json().remove(0)
}
