//! What runs on the nodes before anybody asks: CoreDNS, metrics-server, and volumes of the nodes' own disks.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ordermill_image::{Image, Program};
use serde_json::json;

use crate::Cluster;
use crate::command::{output, until};
use crate::network;
use crate::tools::Tools;

/// What keeps a pod's namespaces.
pub const PAUSE: &str = "cluster.ordermill.invalid/pause:1";
const COREDNS: &str = "cluster.ordermill.invalid/coredns:1";
const METRICS: &str = "cluster.ordermill.invalid/metrics-server:1";
/// Makes volumes, and what it has done on a node.
const PROVISIONER: &str = "cluster.ordermill.invalid/local-path-provisioner:1";
const VOLUME: &str = "cluster.ordermill.invalid/volume:1";

/// Writes the images that every node has.
pub(crate) fn images(directory: &Path, tools: &Tools) -> Result<Vec<PathBuf>> {
    let programs = [
        (PAUSE, &tools.pause, "Keeps a pod's namespaces"),
        (COREDNS, &tools.coredns, "Names of Services"),
        (METRICS, &tools.metrics, "What pods and nodes use"),
        (PROVISIONER, &tools.provisioner, "Volumes of the nodes' own disks"),
        (VOLUME, &tools.volume, "Makes and removes a volume's directory"),
    ];
    let mut archives = Vec::new();
    for (name, program, description) in programs {
        let file = name.rsplit(['/', ':']).nth(1).unwrap_or(name);
        let archive = directory.join(format!("{file}.tar"));
        if !archive.exists() {
            let image = Image {
                name: name.to_owned(),
                description: description.to_owned(),
                program: Program::read(program)?,
                arguments: Vec::new(),
                ports: Vec::new(),
                directories: Vec::new(),
            };
            image.write(&archive)?;
        }
        archives.push(archive);
    }
    Ok(archives)
}

/// Writes them to the API server, and waits for them.
pub(crate) fn apply(cluster: &Cluster, nodes: u8) -> Result<()> {
    write(cluster, &volumes(cluster, nodes))?;
    let coredns = include_str!("../manifests/coredns.yaml").replace("IMAGE", COREDNS).replace("ADDRESS", network::DNS);
    write(cluster, &coredns)?;
    write(cluster, &include_str!("../manifests/metrics-server.yaml").replace("IMAGE", METRICS))?;
    for name in ["coredns", "metrics-server", "local-path-provisioner"] {
        until(&format!("{name} is available"), Duration::from_secs(90), || {
            let path = "jsonpath={.status.availableReplicas}";
            let get = ["get", "deployment", name, "--namespace", "kube-system", "--output", path];
            if output(&mut cluster.kubectl(&get)?)? == "1" {
                return Ok(());
            }
            let pods = ["describe", "pods", "--namespace", "kube-system"];
            bail!("{}", output(&mut cluster.kubectl(&pods)?)?)
        })?;
    }
    // As long as one of the APIs does not answer, no namespace can be deleted.
    until("metrics-server answers through the API server", Duration::from_mins(1), || {
        output(&mut cluster.kubectl(&["get", "--raw", "/apis/metrics.k8s.io/v1beta1"])?).map(drop)
    })
}

/// The class of volumes that a claim has unless it names another: directories of the nodes, made when they are wanted.
fn volumes(cluster: &Cluster, nodes: u8) -> String {
    let path = |number: u8| cluster.directory.join(format!("node-{number}/volumes"));
    let node = |number: u8| json!({"node": format!("node-{number}"), "paths": [path(number)]});
    let config = json!({
        "nodePathMap": (1..=nodes).map(node).collect::<Vec<_>>(),
        "setupCommand": "/volume", "teardownCommand": "/volume",
    });
    let manifest = include_str!("../manifests/volumes.yaml");
    manifest.replace("IMAGE", PROVISIONER).replace("HELPER", VOLUME).replace("CONFIG", &config.to_string())
}

fn write(cluster: &Cluster, manifest: &str) -> Result<()> {
    let mut kubectl = cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", "-"])?;
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("kubectl cannot be started")?;
    child.stdin.take().context("kubectl has an input")?.write_all(manifest.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "what the cluster needs could not be written: {status}");
    Ok(())
}
