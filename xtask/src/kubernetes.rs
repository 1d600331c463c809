//! A real control plane for the operator's tests: kube-apiserver, kube-controller-manager and kubectl from Kubernetes'
//! Go module, and Helm from its own, cached as the other servers are; etcd from the system.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::run;
use crate::servers::{self, Server};

const MODULE: &str = "e2e/servers/kubernetes";
/// What they say their version is: without it, they are v0.0.0 and refuse each other.
const FLAGS: &[&str] = &[
    "-ldflags=-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 \
     -X k8s.io/component-base/version.gitMinor=36",
];

const API_SERVER: Server =
    Server { name: "kube-apiserver", module: MODULE, package: "k8s.io/kubernetes/cmd/kube-apiserver", flags: FLAGS };
const CONTROLLERS: Server = Server {
    name: "kube-controller-manager",
    module: MODULE,
    package: "k8s.io/kubernetes/cmd/kube-controller-manager",
    flags: FLAGS,
};
/// For people: the tests speak to the API server themselves.
const KUBECTL: Server =
    Server { name: "kubectl", module: MODULE, package: "k8s.io/kubernetes/cmd/kubectl", flags: FLAGS };

/// Installs the charts.
const HELM: Server = Server {
    name: "helm",
    module: "e2e/servers/helm",
    package: "helm.sh/helm/v4/cmd/helm",
    flags: &["-ldflags=-s -w"],
};

/// Builds what is not built yet and prints where it is.
pub(crate) fn run() -> Result<()> {
    for (_, path) in environment()? {
        println!("{}", path.display());
    }
    println!("{}", servers::path(&KUBECTL)?.display());
    Ok(())
}

/// The environment that tells the tests what to start.
pub(crate) fn environment() -> Result<[(&'static str, PathBuf); 5]> {
    Ok([
        ("ORDERMILL_KUBE_APISERVER", servers::path(&API_SERVER)?),
        ("ORDERMILL_KUBE_CONTROLLER_MANAGER", servers::path(&CONTROLLERS)?),
        ("ORDERMILL_HELM", servers::path(&HELM)?),
        ("ORDERMILL_ETCD", etcd()?),
        ("ORDERMILL_PROMTOOL", promtool()?),
    ])
}

/// The system's etcd; installed first where that can be done.
fn etcd() -> Result<PathBuf> {
    if let Some(path) = find("etcd") {
        return Ok(path);
    }
    if find("apt-get").is_none() {
        bail!("etcd is not installed, and the operator's tests need it: install it, so that `etcd` is in the PATH");
    }
    eprintln!("etcd is not installed: installing Debian's package etcd-server, which the operator's tests need …");
    let mut install = run::command("apt-get", &["install", "--yes", "--no-install-recommends", "etcd-server"]);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run::check(install).context(
        "etcd-server could not be installed: as root, `apt-get update && apt-get install etcd-server`, then try again",
    )?;
    find("etcd").context("etcd-server is installed, and there is no `etcd` in the PATH")
}

/// The system's promtool, which checks the alerts; Debian has it in a package with Prometheus itself.
fn promtool() -> Result<PathBuf> {
    if let Some(path) = find("promtool") {
        return Ok(path);
    }
    if find("apt-get").is_none() {
        bail!(
            "promtool is not installed, and the alerts are checked with it: install Prometheus, so that it is in the PATH"
        );
    }
    eprintln!("promtool is not installed: installing Debian's package prometheus, which has it …");
    let mut install = run::command("apt-get", &["install", "--yes", "--no-install-recommends", "prometheus"]);
    install.env("DEBIAN_FRONTEND", "noninteractive");
    run::check(install)
        .context("prometheus could not be installed: as root, `apt-get install prometheus`, then try again")?;
    find("promtool").context("prometheus is installed, and there is no `promtool` in the PATH")
}

fn find(program: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}
