//! A namespace of the cluster, and the OrderClusters in it: applied, looked at, waited for.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use ordermill_tests::process::{Http, until};
use reqwest::Method;

use crate::world::World;

/// A namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Namespace<'a> {
    pub(crate) world: &'a World,
    pub(crate) name: &'static str,
}

/// A member's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: String,
    pub(crate) image: String,
}

impl Namespace<'_> {
    /// kubectl in this namespace; what it says.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).unwrap()
    }

    /// The same; what it says, or what went wrong.
    pub(crate) fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.world.try_kubectl(&[&["--namespace", self.name], arguments].concat())
    }

    /// Something of an object, by its path.
    pub(crate) fn get(&self, object: &str, path: &str) -> Result<String, String> {
        self.try_kubectl(&["get", object, "--output", &format!("jsonpath={path}")])
    }

    /// Applies a manifest.
    #[track_caller]
    pub(crate) fn apply(&self, manifest: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), manifest).unwrap();
        self.kubectl(&["apply", "--filename", file.path().to_str().unwrap()]);
    }

    /// Changes something of an OrderCluster.
    #[track_caller]
    pub(crate) fn patch(&self, name: &str, change: &str) {
        self.kubectl(&["patch", "ordercluster", name, "--type=merge", "--patch", change]);
    }

    /// Asks for another number of members.
    #[track_caller]
    pub(crate) fn scale(&self, name: &str, replicas: usize) {
        self.kubectl(&["scale", "ordercluster", name, &format!("--replicas={replicas}")]);
    }

    /// Where a Service is, as seen from this machine.
    pub(crate) fn service(&self, name: &str) -> String {
        format!("http://{}:8080", self.get(&format!("service/{name}"), "{.spec.clusterIP}").unwrap())
    }

    /// Forwards a port of this machine to a Service; where, and what ends it.
    pub(crate) fn forward(&self, service: &str) -> (String, Forward) {
        let arguments = ["port-forward", "--namespace", self.name, service, ":8080"];
        let mut kubectl = self.world.cluster.kubectl(&arguments).unwrap();
        let mut child = kubectl.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        let address = line.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next());
        let address = address.unwrap_or_else(|| panic!("kubectl port-forward says {line:?}")).to_owned();
        (format!("http://{address}"), Forward { child, _said: said })
    }

    /// Waits until a cluster says of itself that it serves.
    pub(crate) async fn available(&self, name: &str, within: Duration) {
        self.says(name, "{.status.conditions[?(@.type=='Available')].status}", "True", within).await;
    }

    /// Waits until a cluster has something at a path.
    pub(crate) async fn says(&self, name: &str, path: &str, wanted: &str, within: Duration) {
        let object = format!("ordercluster/{name}");
        self.world
            .until(&format!("{name} says {wanted} at {path}"), within, || {
                let said = self.get(&object, path)?;
                if said == wanted { Ok(()) } else { Err(format!("it is {said:?}")) }
            })
            .await;
    }

    /// Waits until an upgrade is at a step.
    pub(crate) async fn upgrade_is(&self, name: &str, step: &str, within: Duration) {
        self.says(name, "{.status.upgrade.step}", step, within).await;
    }

    /// Waits until a cluster is as its spec says, with so many members.
    pub(crate) async fn settled(&self, name: &str, members: usize, within: Duration) {
        let object = format!("ordercluster/{name}");
        let wanted = format!("Running {members}/{members} true");
        self.world
            .until(&format!("{name} has settled with {members} members"), within, || {
                let generations = self.get(&object, "{.metadata.generation} {.status.observedGeneration}")?;
                let current = generations.split_once(' ').is_some_and(|(now, seen)| now == seen);
                let said = self.get(&object, "{.status.summary} {.status.ready}")?;
                let said = format!("{said} {current}");
                if said == wanted { Ok(()) } else { Err(said) }
            })
            .await;
    }

    /// The members' pods that are ready and not going.
    pub(crate) fn ready(&self, name: &str) -> Result<Vec<Pod>, String> {
        let selector = format!("--selector=app.kubernetes.io/name=ordermill,app.kubernetes.io/instance={name}");
        let path = "jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.spec.nodeName} \
                    {.spec.containers[0].image} {.metadata.deletionTimestamp} \
                    {.status.conditions[?(@.type=='Ready')].status}{'\\n'}{end}";
        let said = self.try_kubectl(&["get", "pods", &selector, "--output", path])?;
        let pods = said.lines().filter_map(|line| {
            let parts: Vec<&str> = line.split(' ').collect();
            let [name, uid, node, image, "", "True"] = parts[..] else { return None };
            let [name, uid, node, image] = [name, uid, node, image].map(str::to_owned);
            Some(Pod { name, uid, node, image })
        });
        Ok(pods.collect())
    }
}

/// Waits until a Service leads to a member: a node hears of a pod that serves a moment later than the operator.
pub(crate) async fn serves(service: &Http) {
    until("the Service leads to a member", async || {
        let answer = service.send(service.request(Method::GET, "/readyz")).await;
        answer.map(drop).map_err(|error| format!("{error:?}"))
    })
    .await;
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
