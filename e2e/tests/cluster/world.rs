//! The cluster under test, as people work with it: kubectl and Helm, and waits that say what they wait for.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use ordermill_cluster::{Cluster, Tools, output};
use tokio::time::Instant;

use crate::images;
use crate::measured::Measured;

/// Where orders are.
pub(crate) const ORDERS: &str = "e2e-orders";
/// Where other people's orders are.
pub(crate) const OTHERS: &str = "e2e-others";
/// Where the operator is.
pub(crate) const OPERATOR: &str = "e2e-operator";

/// An OrderCluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
}

/// With an embedded store.
pub(crate) const FIVE: Named = Named { namespace: ORDERS, name: "five" };
/// On a TiKV that is there.
pub(crate) const SHOP: Named = Named { namespace: ORDERS, name: "shop" };
/// On a TiKV that the operator runs.
pub(crate) const OWN: Named = Named { namespace: OTHERS, name: "own" };
/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// A cluster with our images.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) tools: Tools,
    pub(crate) measured: Measured,
    /// Whether it ran before.
    found: bool,
}

impl World {
    /// Brings the cluster up if it is not there, gives it our images, and takes away what an earlier test left.
    pub(crate) fn new() -> Self {
        let (cluster, tools) = (Cluster::here().unwrap(), Tools::from_environment().unwrap());
        let found = cluster.runs();
        timed("the cluster is up", || cluster.up(&tools, 2).unwrap());
        let world = Self { cluster, tools, measured: Measured::default(), found };
        world.spares_what_is_not_of_tests();
        timed("the nodes have the images", || world.load());
        for chart in ["ordermill", "ordermill-crds"] {
            world.helm(&["uninstall", chart, "--namespace", OPERATOR, "--ignore-not-found", "--wait"]);
        }
        // The chart keeps the resource with what is in it.
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
    pub(crate) fn end(&self) {
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
        for image in images::all() {
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

    /// Something of an object of a namespace, by its path.
    pub(crate) fn get(&self, namespace: &str, object: &str, path: &str) -> Result<String, String> {
        self.try_kubectl(&["get", object, "--namespace", namespace, "--output", &format!("jsonpath={path}")])
    }

    /// Something of an OrderCluster, by its path.
    pub(crate) fn of(&self, of: Named, path: &str) -> Result<String, String> {
        self.get(of.namespace, &format!("ordercluster/{}", of.name), path)
    }

    /// Changes an OrderCluster.
    #[track_caller]
    pub(crate) fn patch(&self, of: Named, patch: &serde_json::Value) {
        let (object, patch) = (format!("ordercluster/{}", of.name), patch.to_string());
        self.kubectl(&["patch", &object, "--namespace", of.namespace, "--type=merge", "--patch", &patch]);
    }

    /// Applies a manifest in a namespace.
    #[track_caller]
    pub(crate) fn apply(&self, namespace: &str, manifest: &str) {
        self.try_apply(namespace, manifest).unwrap();
    }

    /// The same, or what went wrong.
    pub(crate) fn try_apply(&self, namespace: &str, manifest: &str) -> Result<(), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest).unwrap();
        // Nor does kubectl look whether it is well formed: the API server does.
        let flags = ["--validate=ignore", "--filename", file.path().to_str().unwrap()];
        self.try_kubectl(&[&["apply", "--namespace", namespace], &flags[..]].concat()).map(drop)
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

    /// Forwards a port of this machine to a cluster's Service; where, and what ends it.
    pub(crate) fn forward(&self, to: Named) -> (String, Forward) {
        let service = format!("service/{}", to.name);
        let mut kubectl =
            self.cluster.kubectl(&["port-forward", "--namespace", to.namespace, &service, ":8080"]).unwrap();
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
                        [
                            "describe",
                            "pods",
                            "--all-namespaces",
                            "--selector=app.kubernetes.io/managed-by=ordermill-operator",
                        ],
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
    pub(crate) async fn settled(&self, which: Named, members: usize, within: Duration) {
        // One call for all: on a busy machine, kubectl is no small part of what there is to do.
        let path = "{.status.summary} {.status.ready} {.metadata.generation} {.status.observedGeneration}";
        self.until(&format!("{} has settled with {members} members", which.name), within, || {
            let said = self.of(which, path)?;
            let wanted = format!("Running {members}/{members}");
            let current = said.strip_prefix(&wanted).is_some_and(|rest| {
                let generations: Vec<&str> = rest.split_whitespace().collect();
                matches!(generations[..], [now, seen] if now == seen)
            });
            if current { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// The members' pods that are ready and not going, and the node of each.
    pub(crate) fn ready(&self, of: Named) -> Result<Vec<(String, String)>, String> {
        let selector = format!("app.kubernetes.io/name=ordermill,app.kubernetes.io/instance={}", of.name);
        let path = "jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName} {.metadata.deletionTimestamp} \
                    {.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}";
        let list = ["get", "pods", "--namespace", of.namespace, "--selector", &selector, "--output", path];
        let said = self.try_kubectl(&list)?;
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
