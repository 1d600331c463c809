//! What runs on the nodes before anybody asks: CoreDNS and metrics-server; and volumes of the nodes' own disks.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ordermill_image::{Image, Program};
use serde_json::{Value, json};

use crate::Cluster;
use crate::command::{output, until};
use crate::network;
use crate::tools::Tools;

/// What keeps a pod's namespaces.
pub const PAUSE: &str = "cluster.ordermill.invalid/pause:1";
const COREDNS: &str = "cluster.ordermill.invalid/coredns:1";
const METRICS: &str = "cluster.ordermill.invalid/metrics-server:1";
/// Volumes of each node.
const VOLUMES: u8 = 6;
const VOLUME_SIZE: &str = "20Gi";
const CLASS: &str = "local";

/// Writes the images that every node has.
pub(crate) fn images(directory: &Path, tools: &Tools) -> Result<Vec<PathBuf>> {
    let programs = [
        (PAUSE, &tools.pause, "Keeps a pod's namespaces"),
        (COREDNS, &tools.coredns, "Names of Services"),
        (METRICS, &tools.metrics, "What pods and nodes use"),
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
    volumes(cluster, nodes)?;
    let coredns = include_str!("../manifests/coredns.yaml").replace("IMAGE", COREDNS).replace("ADDRESS", network::DNS);
    write(cluster, &coredns)?;
    write(cluster, &include_str!("../manifests/metrics-server.yaml").replace("IMAGE", METRICS))?;
    for name in ["coredns", "metrics-server"] {
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

/// A class of volumes, the default one, and volumes in it: directories of the nodes. One that was let go is emptied.
fn volumes(cluster: &Cluster, nodes: u8) -> Result<()> {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": "WaitForFirstConsumer",
    });
    let listed = output(&mut cluster.kubectl(&["get", "persistentvolumes", "--output", "json"])?)?;
    let listed: Value = serde_json::from_str(&listed)?;
    let phase = |name: &str| {
        let items = listed["items"].as_array()?;
        items.iter().find(|item| item["metadata"]["name"] == name)?["status"]["phase"].as_str()
    };
    let mut objects = vec![class];
    for number in 1..=nodes {
        for volume in 1..=VOLUMES {
            let name = format!("node-{number}-{volume}");
            let path = cluster.directory.join(format!("node-{number}/volumes/{volume}"));
            match phase(&name) {
                Some("Available" | "Bound" | "Pending") => continue,
                None => {}
                Some(_) => {
                    output(&mut cluster.kubectl(&["delete", "persistentvolume", &name])?)?;
                    fs::remove_dir_all(&path).with_context(|| format!("{} cannot be emptied", path.display()))?;
                }
            }
            fs::create_dir_all(&path)?;
            let here = json!({"key": "kubernetes.io/hostname", "operator": "In", "values": [format!("node-{number}")]});
            objects.push(json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
                "spec": {
                    "capacity": {"storage": VOLUME_SIZE}, "accessModes": ["ReadWriteOnce"], "storageClassName": CLASS,
                    "persistentVolumeReclaimPolicy": "Retain", "local": {"path": path},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                },
            }));
        }
    }
    write(cluster, &json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string())
}

fn write(cluster: &Cluster, manifest: &str) -> Result<()> {
    let mut kubectl = cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", "-"])?;
    let mut child = kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().context("kubectl cannot be started")?;
    child.stdin.take().context("kubectl has an input")?.write_all(manifest.as_bytes())?;
    let status = child.wait()?;
    ensure!(status.success(), "what the cluster needs could not be written: {status}");
    Ok(())
}
