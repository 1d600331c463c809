//! A move to TiKV: `ordermill migrate` copies and compares, then a member is started for as long as it is
//! audited.
//!
//! The stores are the server's business: nothing of them is linked here.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{Done, Failure, audit};
use crate::args::{AuditArgs, Global, MigrateArgs};
use crate::commands::Context;

pub(super) async fn run(global: &Global, args: &MigrateArgs) -> Result<Done, Failure> {
    let program = program(args);
    let mut copy = command(&program, "migrate", args);
    copy.arg("--data-dir").arg(&args.data_dir).args(["--shards", &args.shards.to_string()]);
    if global.quiet {
        copy.stderr(Stdio::null());
    }
    let copied = copy.status().await.map_err(|error| not_started(&program, &error))?;
    if !copied.success() {
        return Err(failed("the data were not moved", copied));
    }
    let mut member = Member::start(&program, args).await?;
    let url = member.url.clone();
    let mut context = Context::new(&Global { server: url, ..global.clone() })?;
    context.note("auditing the cluster");
    let whole = AuditArgs { settle: args.settle, page_size: 1_000, list: 100 };
    let audited = audit::run(&mut context, &whole).await;
    member.stop().await?;
    audited
}

/// The server's program.
fn program(args: &MigrateArgs) -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("ordermill")).filter(|path| path.is_file());
    args.ordermill.clone().or_else(beside).unwrap_or_else(|| PathBuf::from("ordermill"))
}

/// A call of the server's program about the cluster, without settings of this environment.
fn command(program: &PathBuf, task: &str, args: &MigrateArgs) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORDERMILL_")) {
        command.env_remove(name);
    }
    command.arg(task).stdin(Stdio::null()).kill_on_drop(true);
    command.args(["--pd-endpoints", &args.pd_endpoints, "--cluster-id", &args.cluster_id.to_string()]);
    for (flag, file) in
        [("--tikv-ca", &args.tikv_ca), ("--tikv-certificate", &args.tikv_certificate), ("--tikv-key", &args.tikv_key)]
    {
        if let Some(file) = file {
            command.args([OsStr::new(flag), file.as_os_str()]);
        }
    }
    command
}

fn not_started(program: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("{} cannot be started: {error}; say where it is with --ordermill", program.display()))
}

fn failed(what: &str, status: ExitStatus) -> Failure {
    Failure::Usage(format!("{what} ({status}); the data directory is as it was, and the same command goes on"))
}

/// A member for as long as the audit takes.
struct Member {
    child: Child,
    url: String,
}

impl Member {
    async fn start(program: &PathBuf, args: &MigrateArgs) -> Result<Self, Failure> {
        let mut serve = command(program, "serve", args);
        serve.args(["--store", "tikv", "--listen", "127.0.0.1:0", "--log-filter", "error"]);
        serve.args(["--member-name", "migrate", "--peer-listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut child = serve.spawn().map_err(|error| not_started(program, &error))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).await?;
        }
        match line.trim().strip_prefix("listening on ") {
            Some(url) => Ok(Self { child, url: url.to_owned() }),
            None => Err(failed("the data are there, but no member serves them", child.wait().await?)),
        }
    }

    /// Tells it to stop, and waits until its shards are free for others.
    async fn stop(&mut self) -> Result<(), Failure> {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid as i32)) {
            // One that has ended by itself is waited for below.
            let _ = kill_process(pid, Signal::TERM);
        }
        let status = self.child.wait().await?;
        if status.success() { Ok(()) } else { Err(failed("the member that was audited did not stop well", status)) }
    }
}
