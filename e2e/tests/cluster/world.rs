//! The cluster under test, as people work with it: kubectl and Helm, and waits that say what they wait for.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use ordermill_cluster::{Cluster, Tools, output};
use ordermill_image::{Image, Program, shipped};
use tokio::time::Instant;

/// Where the orders are.
pub(crate) const ORDERS: &str = "e2e-orders";
/// Where the operator is.
pub(crate) const OPERATOR: &str = "e2e-operator";
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
        // The chart keeps the resource with what is in it.
        world.kubectl(&["delete", "crd", "orderclusters.ordermill.io", "--ignore-not-found"]);
        for namespace in [ORDERS, OPERATOR] {
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
        let other = namespaces.split_whitespace().find(|namespace| *namespace != ORDERS);
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
        for image in shipped.into_iter().map(|(_, image)| image).chain(stores) {
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

    /// Something of an object among the orders, by its path.
    pub(crate) fn get(&self, object: &str, path: &str) -> Result<String, String> {
        self.try_kubectl(&["get", object, "--namespace", ORDERS, "--output", &format!("jsonpath={path}")])
    }

    /// Applies a manifest among the orders.
    #[track_caller]
    pub(crate) fn apply(&self, manifest: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest).unwrap();
        self.kubectl(&["apply", "--namespace", ORDERS, "--filename", file.path().to_str().unwrap()]);
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

    /// Forwards a port of this machine to a Service; where, and what ends it.
    pub(crate) fn forward(&self, service: &str) -> (String, Forward) {
        let mut kubectl = self.cluster.kubectl(&["port-forward", "--namespace", ORDERS, service, ":8080"]).unwrap();
        let mut child = kubectl.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("kubectl port-forward says {line:?}")).to_owned();
        (format!("http://{address}"), Forward { child, _said: said })
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
                        ["logs", "--namespace", OPERATOR, "deployment/ordermill-operator"],
                    ] {
                        println!("{}", self.try_kubectl(&arguments).unwrap_or_else(|error| error));
                    }
                    panic!("not within {within:?}: {what}: {error}");
                }
            }
        }
    }

    /// Waits until a cluster is as its spec says, with so many members.
    pub(crate) async fn settled(&self, name: &str, members: usize, within: Duration) {
        let object = format!("ordercluster/{name}");
        let wanted = format!("Running {members}/{members} true");
        self.until(&format!("{name} has settled with {members} members"), within, || {
            let generations = self.get(&object, "{.metadata.generation} {.status.observedGeneration}")?;
            let current = generations.split_once(' ').is_some_and(|(now, seen)| now == seen);
            let said = self.get(&object, "{.status.summary} {.status.ready}")?;
            let said = format!("{said} {current}");
            if said == wanted { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// The members' pods that are ready and not going, and the node of each.
    pub(crate) fn ready(&self, name: &str) -> Result<Vec<(String, String)>, String> {
        let selector = format!("app.kubernetes.io/name=ordermill,app.kubernetes.io/instance={name}");
        let path = "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.metadata.deletionTimestamp} \
                    {.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}";
        let said =
            self.try_kubectl(&["get", "pods", "--namespace", ORDERS, "--selector", &selector, "--output", path])?;
        let pods = said.lines().filter_map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            let [pod, node, "", "True"] = parts[..] else { return None };
            Some((pod.to_owned(), node.to_owned()))
        });
        Ok(pods.collect())
    }
}

/// A forwarded port.
#[derive(Debug)]
pub(crate) struct Forward {
    child: Child,
    /// It ends when nobody listens to what it says.
    _said: BufReader<ChildStdout>,
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = work();
    println!("{what}: {:.1} s", begun.elapsed().as_secs_f64());
    done
}
