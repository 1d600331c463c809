//! The cluster under test, as people work with it: kubectl and Helm, and waits that say what they wait for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ordermill_cluster::{Cluster, Tools, output};
use ordermill_image::{Image, Program, shipped};
use tokio::time::Instant;

use crate::namespace::Namespace;

/// Where most of the orders are.
pub(crate) const ORDERS: &str = "e2e-orders";
/// Where other people's orders are, which the operator looks after too.
pub(crate) const OTHERS: &str = "e2e-others";
/// Where the operator is.
pub(crate) const OPERATOR: &str = "e2e-operator";
/// The version that the members are upgraded to.
pub(crate) const NEXT_VERSION: &str = "0.1.1";
/// How often is looked.
const EVERY: Duration = Duration::from_millis(500);

/// A cluster with our images.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) tools: Tools,
    /// Whether it ran before.
    found: bool,
}

impl World {
    /// Brings the cluster up if it is not there, gives it our images, and takes away what an earlier test left.
    pub(crate) fn new() -> Self {
        let (cluster, tools) = (Cluster::here().unwrap(), Tools::from_environment().unwrap());
        let found = cluster.runs();
        timed("the cluster is up", || cluster.up(&tools, 2).unwrap());
        let world = Self { cluster, tools, found };
        world.spares_what_is_not_of_tests();
        timed("the nodes have the images", || world.load());
        for chart in ["ordermill", "ordermill-crds"] {
            world.helm(&["uninstall", chart, "--namespace", OPERATOR, "--ignore-not-found", "--wait"]);
        }
        // The chart keeps the definition of the resource, with all that there are.
        world.kubectl(&["delete", "crd", "orderclusters.ordermill.io", "--ignore-not-found"]);
        for namespace in [ORDERS, OTHERS, OPERATOR] {
            world.kubectl(&["delete", "namespace", namespace, "--ignore-not-found", "--timeout=120s"]);
            world.kubectl(&["create", "namespace", namespace]);
            let level = "pod-security.kubernetes.io/enforce=restricted";
            world.kubectl(&["label", "namespace", namespace, level]);
        }
        world
    }

    /// Ends the cluster unless it was there before.
    pub(crate) fn end(self) {
        if !self.found {
            timed("the cluster is down", || self.cluster.down().unwrap());
            let link = "/sys/class/net/ordermill0";
            let cgroups = ["/sys/fs/cgroup/ordermill-cluster", "/sys/fs/cgroup/pids/ordermill-cluster"];
            for left in cgroups.into_iter().chain([link]) {
                assert!(!Path::new(left).exists(), "{left} is left");
            }
            assert!(!self.cluster.kubeconfig().exists() && !self.cluster.runs());
        }
    }

    /// The resource's definition is one for all: what somebody tries out by hand would go with it.
    fn spares_what_is_not_of_tests(&self) {
        let path = "jsonpath={.items[*].metadata.namespace}";
        let list = ["get", "orderclusters", "--all-namespaces", "--output", path];
        let namespaces = self.try_kubectl(&list).unwrap_or_default();
        let other = namespaces.split_whitespace().find(|namespace| ![ORDERS, OTHERS].contains(namespace));
        assert!(other.is_none(), "somebody uses this cluster, in {other:?}: `cargo xtask cluster down` ends it");
    }

    fn load(&self) {
        let directory = tempfile::tempdir().unwrap();
        let binaries = ordermill_e2e::binary("ordermill");
        let shipped = shipped(binaries.parent().unwrap(), "ghcr.io/ordermill", env!("CARGO_PKG_VERSION")).unwrap();
        let stores = [("pd", "ORDERMILL_PD_SERVER"), ("store", "ORDERMILL_TIKV_SERVER")].map(|(name, variable)| {
            let program = std::env::var_os(variable).map(PathBuf::from).expect("`cargo xtask test` names it");
            Image {
                name: format!("e2e.ordermill.invalid/{name}:1"),
                description: "For tests".to_owned(),
                program: Program::read(&program).unwrap(),
                arguments: Vec::new(),
                ports: Vec::new(),
                directories: ["/data", "/data/kv", "/data/raft"].map(PathBuf::from).into(),
            }
        });
        let mut images: Vec<Image> = shipped.into_iter().map(|(_, image)| image).chain(stores).collect();
        // The build after it, as far as Kubernetes knows.
        let next = images[0].name.replace(env!("CARGO_PKG_VERSION"), NEXT_VERSION);
        images.push(Image { name: next, ..images[0].clone() });
        for image in images {
            let archive = directory.path().join("image.tar");
            image.write(&archive).unwrap();
            self.cluster.load(&archive).unwrap();
        }
    }

    /// kubectl; what it says.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).unwrap()
    }

    /// kubectl; what it says, or what went wrong.
    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        output(&mut self.cluster.kubectl(arguments).unwrap()).map_err(|error| format!("{error:#}"))
    }

    /// What is in a namespace.
    pub(crate) fn namespace(&self, name: &'static str) -> Namespace<'_> {
        Namespace { world: self, name }
    }

    /// Kills the operator; another one comes, and acts once nobody holds the Lease.
    pub(crate) fn kill_operator(&self) {
        let selector = "--selector=app.kubernetes.io/name=ordermill-operator";
        self.kubectl(&["delete", "pods", "--namespace", OPERATOR, selector, "--grace-period=0", "--force"]);
    }

    /// Helm, in the folder with the charts.
    #[track_caller]
    pub(crate) fn helm(&self, arguments: &[&str]) -> String {
        let program = std::env::var_os("ORDERMILL_HELM").expect("`cargo xtask test` names it");
        let home = tempfile::tempdir().unwrap();
        let mut helm = Command::new(program);
        helm.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts"));
        output(helm.env("HOME", home.path()).env("KUBECONFIG", self.cluster.kubeconfig())).unwrap()
    }

    /// Waits until `look` finds something, and prints how long it took; what the cluster looks like when it takes too
    /// long.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        within: Duration,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> T {
        let begun = Instant::now();
        loop {
            match tokio::task::block_in_place(&mut look) {
                Ok(found) => {
                    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
                    return found;
                }
                Err(_) if begun.elapsed() < within => tokio::time::sleep(EVERY).await,
                Err(error) => {
                    for arguments in [
                        ["get", "nodes,pods,orderclusters", "--all-namespaces", "--output=wide"],
                        ["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"],
                        ["describe", "pods", "--namespace", ORDERS],
                        ["describe", "pods", "--namespace", OTHERS],
                        ["logs", "--namespace", OPERATOR, "deployment/ordermill-operator"],
                    ] {
                        println!("{}", self.try_kubectl(&arguments).unwrap_or_else(|error| error));
                    }
                    panic!("not within {within:?}: {what}: {error}");
                }
            }
        }
    }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    done
}
