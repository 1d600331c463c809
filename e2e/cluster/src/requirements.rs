//! What the system has to have, and where it is missing, how it gets there.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::output;

/// A program, and Debian's package with it.
const PROGRAMS: [(&str, &str); 13] = [
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("socat", "socat"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("ldd", "libc-bin"),
    ("sleep", "coreutils"),
];
const PLUGINS: [&str; 4] = ["bridge", "host-local", "loopback", "portmap"];
const PLUGINS_PACKAGE: &str = "containernetworking-plugins";
/// Where distributions put the network plugins.
const PLUGIN_DIRECTORIES: [&str; 3] = ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// Says what stands against a cluster on this machine; installs what Debian has.
pub(crate) fn check() -> Result<()> {
    const ELSEWHERE: &str = "A cluster that is there already is used with --context NAME.";
    if !rustix::process::geteuid().is_root() {
        bail!("nodes need root: run it with sudo. {ELSEWHERE}");
    }
    let missing = missing();
    if !missing.is_empty() {
        let packages = missing.join(" ");
        if find("apt-get").is_none() {
            bail!("these are missing, by the names of Debian's packages: {packages}. {ELSEWHERE}");
        }
        eprintln!("Installing Debian's packages {packages} …");
        install(&missing)
            .with_context(|| format!("as root, `apt-get update && apt-get install {packages}`, then try again"))?;
    }
    let try_out = ["--net", "--mount", "--propagation", "private", "true"];
    output(Command::new("unshare").args(try_out)).map(drop).with_context(|| {
        format!("this machine allows no networks and mounts of a process's own (CAP_SYS_ADMIN). {ELSEWHERE}")
    })
}

/// A program of the system.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("{name} is not installed"))
}

/// The directory with the network plugins.
pub(crate) fn network_plugins() -> Result<PathBuf> {
    let mut directories = PLUGIN_DIRECTORIES.iter().map(PathBuf::from);
    directories
        .find(|directory| PLUGINS.iter().all(|plugin| directory.join(plugin).is_file()))
        .with_context(|| format!("{PLUGINS_PACKAGE} is not installed"))
}

fn missing() -> Vec<&'static str> {
    let programs = PROGRAMS.iter().filter(|(program, _)| find(program).is_none()).map(|(_, package)| *package);
    let mut missing: Vec<&str> = programs.collect();
    if network_plugins().is_err() {
        missing.push(PLUGINS_PACKAGE);
    }
    missing.dedup();
    missing
}

fn install(packages: &[&str]) -> Result<()> {
    let install = || {
        let mut command = Command::new("apt-get");
        command.args(["install", "--yes", "--no-install-recommends"]).args(packages);
        output(command.env("DEBIAN_FRONTEND", "noninteractive"))
    };
    if install().is_err() {
        // A fresh machine does not know yet what there is.
        output(Command::new("apt-get").arg("update"))?;
        install()?;
    }
    Ok(())
}

/// In the PATH, or where programs for root are, which not every PATH has.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    directories.map(|directory| directory.join(program)).find(|path| path.is_file())
}
