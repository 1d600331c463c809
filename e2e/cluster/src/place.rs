//! Where a node's processes are: a network and mounts of their own, which live as long as one process that does nothing,
//! and a cgroup.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::cgroup;
use crate::command::{output, until};

/// The process that does nothing.
const KEEPER: &str = "keeper";
/// What a node writes outside its directory is gone with its mounts.
const PRIVATE: [&str; 3] = ["/run", "/var/lib/cni", "/var/lib/kubelet"];

/// The namespaces and the directory of a node.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
}

impl Place {
    /// Makes it, with nothing in it.
    pub(crate) fn open(&self) -> Result<()> {
        self.kill()?;
        fs::create_dir_all(&self.directory).with_context(|| format!("{} cannot be made", self.directory.display()))?;
        let ready = self.directory.join("ready");
        let _ = fs::remove_file(&ready);
        let mounts = PRIVATE.map(|path| format!("mkdir -p {path} && mount -t tmpfs tmpfs {path}")).join(" && ");
        let script = format!("{mounts} && touch \"$0\" && exec sleep infinity");
        let ready_name = ready.to_str().context("the state's directory is UTF-8")?;
        let keep = ["--net", "--mount", "--propagation", "private", "sh", "-c", &script, ready_name];
        self.spawn(KEEPER, Path::new("unshare"), keep)?;
        until("a network and mounts of the node's own", Duration::from_secs(10), || {
            ensure!(self.runs(KEEPER), "this machine does not allow them:\n{}", self.log(KEEPER));
            if ready.exists() { Ok(()) } else { bail!("{} is not there", ready.display()) }
        })
    }

    /// Whether it is there.
    pub(crate) fn is_open(&self) -> bool {
        self.runs(KEEPER)
    }

    /// Starts a process in it that stays; what it says goes to NAME.log.
    pub(crate) fn start<S: AsRef<OsStr>>(
        &self,
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<()> {
        let mut inside = self.enter()?;
        inside.push(program.as_os_str().to_owned());
        inside.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self.spawn(name, Path::new("nsenter"), inside)
    }

    /// Runs a command in it.
    pub(crate) fn run(&self, words: &str) -> Result<String> {
        let mut command = Command::new("nsenter");
        output(command.args(self.enter()?).args(words.split_whitespace()))
    }

    /// Writes a file as it is seen from there.
    pub(crate) fn write(&self, path: &str, value: &str) -> Result<()> {
        let mut command = Command::new("nsenter");
        output(command.args(self.enter()?).args(["sh", "-c", "echo \"$1\" >\"$0\"", path, value])).map(drop)
    }

    /// Whether a process of this name was started, and is there still.
    pub(crate) fn runs(&self, name: &str) -> bool {
        let pid = fs::read_to_string(self.directory.join(format!("{name}.pid"))).unwrap_or_default();
        pid.parse::<i32>().is_ok_and(|pid| cgroup::processes(&self.name).contains(&pid))
    }

    /// The process by whose number its namespaces are found.
    pub(crate) fn keeper(&self) -> Result<String> {
        ensure!(self.is_open(), "{} does not run", self.name);
        Ok(fs::read_to_string(self.directory.join(format!("{KEEPER}.pid")))?)
    }

    /// The last lines of what a process said.
    pub(crate) fn log(&self, name: &str) -> String {
        let log = fs::read_to_string(self.directory.join(format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Ends all processes in it at once; its network and its mounts end with them.
    pub(crate) fn kill(&self) -> Result<()> {
        until(&format!("all of {} has ended", self.name), Duration::from_secs(30), || {
            let left = cgroup::processes(&self.name);
            for pid in left.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
            if left.is_empty() { Ok(()) } else { bail!("these are there still: {left:?}") }
        })
    }

    fn enter(&self) -> Result<Vec<std::ffi::OsString>> {
        let keeper = self.keeper()?;
        Ok(["net", "mnt"]
            .map(|kind| {
                let flag = if kind == "net" { "net" } else { "mount" };
                format!("--{flag}=/proc/{keeper}/ns/{kind}").into()
            })
            .into())
    }

    fn spawn<S: AsRef<OsStr>>(&self, name: &str, program: &Path, arguments: impl IntoIterator<Item = S>) -> Result<()> {
        let entrance = cgroup::make(&self.name)?;
        let log = self.directory.join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("sh");
        // It is in the cgroup before it does anything, and keeps its number.
        command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(entrance).arg(program).args(arguments);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ORDERMILL_")) {
            command.env_remove(name);
        }
        command.current_dir(&self.directory).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Ctrl-C at the terminal is not meant for it.
        let child = command.process_group(0).spawn().with_context(|| format!("{name} cannot be started"))?;
        let pid = child.id();
        fs::write(self.directory.join(format!("{name}.pid")), pid.to_string())?;
        until(&format!("{name} has begun"), Duration::from_secs(10), || {
            if self.runs(name) { Ok(()) } else { bail!("{}", self.log(name)) }
        })
    }
}
