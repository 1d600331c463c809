//! The real processes: `ordermill serve` and `orderctl`, started, killed and asked from outside.
//!
//! Knows what the README tells a user and nothing of the engine. Every server has a loopback
//! address of its own: started again it gets its port back, as no client's port is taken there.

mod everything;
pub mod feed;
mod forger;
mod gate;
mod http;
mod orderctl;
mod raw;
mod server;

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

pub use everything::Everything;
pub use forger::Forger;
pub use gate::Gate;
pub use http::{Answer, Http, client_builder, problem};
pub use orderctl::{Orderctl, audit, audit_with};
pub use raw::{Raw, RawAnswers};
pub use server::{Server, Settings};

/// How long tests wait for anything.
pub const DEADLINE: Duration = Duration::from_mins(3);
/// How long tests wait for one answer.
const ANSWER: Duration = Duration::from_secs(40);
/// How often a condition is looked at that nobody tells about.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a process ended, and what it said.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; none after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ended {
    fn new(status: ExitStatus, stdout: String, stderr: String) -> Self {
        Self { code: status.code(), stdout, stderr }
    }

    /// The same, which must have succeeded.
    #[track_caller]
    pub fn well(self) -> Self {
        assert_eq!(self.code, Some(0), "a process failed:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output, one JSON value per line.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// Waits until `probe` finds something; looks again and again, up to the deadline. What it finds
/// instead is told when it was in vain.
///
/// # Panics
///
/// When the deadline has passed.
pub async fn until<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = Instant::now() + DEADLINE;
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match probe().await {
            Ok(found) => return found,
            Err(instead) => assert!(
                Instant::now() < deadline,
                "waited {} s in vain for {what}; at last: {instead}",
                DEADLINE.as_secs()
            ),
        }
    }
}

/// Waits for `future`, up to the deadline.
///
/// # Panics
///
/// When the deadline has passed.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(DEADLINE, future).await else { panic!("waited {} s in vain: {what}", DEADLINE.as_secs()) };
    value
}

/// A loopback address that no other server has, with port 0.
pub(crate) fn own_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let [_, a, b, c] = number.to_be_bytes();
    // 127.0.0.x belongs to everybody.
    SocketAddr::from((Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254)), 0))
}

/// A command of one of the project's binaries, built by the same profile as this test. It ends
/// with its handle, and finds none of this process's settings.
fn command(name: &str) -> Command {
    command_in(None, name)
}

/// The same in a network namespace.
fn command_in(namespace: Option<&str>, name: &str) -> Command {
    let mut command = match namespace {
        // Whoever started this test may have had interrupts ignored, as shells do for what they run in the background.
        None if cfg!(target_os = "linux") => {
            let mut command = Command::new("env");
            command.arg("--default-signal=INT").arg(binary(name));
            command
        }
        None => Command::new(binary(name)),
        Some(namespace) => {
            // It becomes the program: its process is the program's.
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(binary(name));
            command
        }
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command.env("NO_PROXY", "*").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

fn is_setting(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("ORDERMILL_")
}

/// Where a binary is: in the directory above that of this test.
fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its file");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("a test lies in target/PROFILE/deps");
    let path = profile.join(name);
    let flag = if profile.ends_with("release") { " --release" } else { "" };
    assert!(
        path.is_file(),
        "{} is not there: build it with `cargo build{flag} --package ordermill --package orderctl`, or run \
         everything with `cargo xtask test`",
        path.display()
    );
    path
}

/// Reads a stream to its end.
fn collect(mut stream: impl AsyncRead + Unpin + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        // A stream that breaks off has said what it has said.
        let _ = stream.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Sends a signal to a process that was started here.
fn signal(pid: Option<u32>, signal: rustix::process::Signal) {
    let pid = pid.and_then(|pid| rustix::process::Pid::from_raw(pid as i32)).expect("the process runs");
    rustix::process::kill_process(pid, signal).expect("the process runs");
}
