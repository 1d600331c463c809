//! A real Kubernetes for the operator's tests, with Helm and what runs on its nodes: from one Go module, cached as the other
//! servers are; etcd from the system.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::packages::{find, install};
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
/// What a node runs, and what gives it pods.
const SCHEDULER: Server =
    Server { name: "kube-scheduler", module: MODULE, package: "k8s.io/kubernetes/cmd/kube-scheduler", flags: FLAGS };
const KUBELET: Server =
    Server { name: "kubelet", module: MODULE, package: "k8s.io/kubernetes/cmd/kubelet", flags: FLAGS };
const PROXY: Server =
    Server { name: "kube-proxy", module: MODULE, package: "k8s.io/kubernetes/cmd/kube-proxy", flags: FLAGS };
/// For people, and for tests of what people do with it.
const KUBECTL: Server =
    Server { name: "kubectl", module: MODULE, package: "k8s.io/kubernetes/cmd/kubectl", flags: FLAGS };

/// Installs the charts.
const HELM: Server =
    Server { name: "helm", module: MODULE, package: "helm.sh/helm/v4/cmd/helm", flags: &["-ldflags=-s -w"] };

/// Names of Services, inside the cluster.
const COREDNS: Server =
    Server { name: "coredns", module: MODULE, package: "github.com/coredns/coredns", flags: &["-ldflags=-s -w"] };

/// What pods and nodes use.
const METRICS: Server = Server {
    name: "metrics-server",
    module: MODULE,
    package: "sigs.k8s.io/metrics-server/cmd/metrics-server",
    flags: &["-ldflags=-s -w"],
};
/// Makes volumes of the nodes' own directories, by what comes after it.
const PROVISIONER: Server = Server {
    name: "local-path-provisioner",
    module: "e2e/servers/local-path-provisioner",
    package: "github.com/rancher/local-path-provisioner",
    flags: &["-ldflags=-s -w"],
};
const VOLUME: Server =
    Server { name: "volume", module: "e2e/servers/volume", package: ".", flags: &["-ldflags=-s -w"] };
/// Keeps a pod's namespaces.
const PAUSE: Server = Server { name: "pause", module: "e2e/servers/pause", package: ".", flags: &["-ldflags=-s -w"] };

/// Stores that a real PD takes for its own: they beat and carry out what it schedules, and hold no data.
const STORES: Server = Server {
    name: "stores",
    module: "e2e/servers/stores",
    package: ".",
    // As for PD: newer linkers of Go keep to themselves what its libraries link.
    flags: &["-ldflags=-checklinkname=0 -s -w"],
};

/// Builds what is not built yet and prints where it is.
pub(crate) fn run() -> Result<()> {
    for (_, path) in whole()? {
        println!("{}", path.display());
    }
    Ok(())
}

/// A whole cluster by hand.
pub(crate) fn cluster(arguments: &[String]) -> Result<()> {
    let mut cluster =
        run::command(env!("CARGO"), &["run", "--quiet", "--locked", "--package", "ordermill-cluster", "--"]);
    cluster.args(arguments);
    match arguments.first().map(String::as_str) {
        // Nothing is built only to be ended, or for somebody else's cluster.
        Some("down") => {}
        Some("up") if !arguments.iter().any(|argument| argument.starts_with("--context")) => {
            cluster.envs(whole()?);
        }
        _ => {
            cluster.env("ORDERMILL_KUBECTL", servers::path(&KUBECTL)?);
        }
    }
    run::check(cluster)
}

/// The environment that tells the tests what a whole cluster is started from, nodes included.
pub(crate) fn whole() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut all = environment()?.to_vec();
    for (name, server) in [
        ("ORDERMILL_KUBECTL", &KUBECTL),
        ("ORDERMILL_KUBE_SCHEDULER", &SCHEDULER),
        ("ORDERMILL_KUBELET", &KUBELET),
        ("ORDERMILL_KUBE_PROXY", &PROXY),
        ("ORDERMILL_COREDNS", &COREDNS),
        ("ORDERMILL_METRICS_SERVER", &METRICS),
        ("ORDERMILL_PAUSE", &PAUSE),
        ("ORDERMILL_LOCAL_PATH_PROVISIONER", &PROVISIONER),
        ("ORDERMILL_VOLUME", &VOLUME),
    ] {
        all.push((name, servers::path(server)?));
    }
    Ok(all)
}

/// The environment that tells the tests what to start.
pub(crate) fn environment() -> Result<[(&'static str, PathBuf); 7]> {
    Ok([
        ("ORDERMILL_KUBE_APISERVER", servers::path(&API_SERVER)?),
        ("ORDERMILL_KUBE_CONTROLLER_MANAGER", servers::path(&CONTROLLERS)?),
        ("ORDERMILL_HELM", servers::path(&HELM)?),
        ("ORDERMILL_STORES", servers::path(&STORES)?),
        ("ORDERMILL_ETCD", etcd()?),
        ("ORDERMILL_PROMTOOL", promtool()?),
        ("ORDERMILL_POD_MONITORS", pod_monitors()?),
    ])
}

/// The CRD of PodMonitors: the kind without the operator whose it is.
fn pod_monitors() -> Result<PathBuf> {
    let module = "github.com/prometheus-operator/prometheus-operator";
    let sources = servers::sources("e2e/servers/prometheus-operator", module)?;
    Ok(sources.join("example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml"))
}

/// The system's etcd; installed first where that can be done.
fn etcd() -> Result<PathBuf> {
    if find("etcd").is_none() {
        install("etcd-server", "the operator's tests need")?;
    }
    find("etcd").context("etcd-server is installed, and there is no `etcd` in the PATH")
}

/// The system's promtool, which checks the alerts; Debian has it in a package with Prometheus itself.
fn promtool() -> Result<PathBuf> {
    if find("promtool").is_none() {
        install("prometheus", "promtool comes with it, and the alerts are checked with")?;
    }
    find("promtool").context("prometheus is installed, and there is no `promtool` in the PATH")
}
