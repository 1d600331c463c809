//! A node: containerd, a kubelet and kube-proxy, in a place of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::command::{output, until};
use crate::place::Place;
use crate::requirements::{self, program};
use crate::tools::Tools;
use crate::{Cluster, add_ons, cgroup, network};

const CONTAINERD: &str = "containerd";
const KUBELET: &str = "kubelet";
const PROXY: &str = "kube-proxy";
/// Where it listens, as seen from the node.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// How long until a node is ready, on a machine that builds something beside.
const READY: Duration = Duration::from_mins(2);

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    number: u8,
    pub(crate) place: Place,
}

impl Node {
    pub(crate) fn new(directory: &Path, number: u8) -> Self {
        let name = format!("node-{number}");
        Self { number, place: Place { directory: directory.join(&name), name } }
    }

    /// Starts what does not run of it.
    pub(crate) fn start(&self, directory: &Path, tools: &Tools, images: &[PathBuf]) -> Result<()> {
        let (place, name) = (&self.place, &self.place.name);
        let at = |file: &str| place.directory.join(file).display().to_string();
        let conf = |file: &str| directory.join(file).display().to_string();
        if !place.runs(CONTAINERD) {
            self.configure(directory)?;
            let socket = format!("/run/containerd of {name}");
            place.start(CONTAINERD, &program(CONTAINERD)?, ["--config".to_owned(), at("containerd.toml")])?;
            until(&format!("containerd answers in {socket}"), Duration::from_secs(30), || {
                ensure!(place.runs(CONTAINERD), "it has ended:\n{}", place.log(CONTAINERD));
                place.run(&format!("ctr --address {SOCKET} version"))
            })?;
            for image in images {
                self.import(image)?;
            }
        }
        if !place.runs(KUBELET) {
            let arguments = [
                format!("--config={}", at("kubelet.yaml")),
                format!("--kubeconfig={}", conf(&format!("kubelet-{}.conf", self.number))),
                format!("--hostname-override={name}"),
                format!("--node-labels=topology.kubernetes.io/zone=zone-{}", self.number),
                format!("--node-ip={}", network::address(self.number)),
                format!("--root-dir={}", at("kubelet")),
                format!("--cert-dir={}", at("certificates")),
            ];
            place.start(KUBELET, &tools.kubelet, arguments)?;
        }
        if !place.runs(PROXY) {
            let arguments = [
                format!("--kubeconfig={}", conf("proxy.conf")),
                format!("--hostname-override={name}"),
                format!("--cluster-cidr={}", network::PODS),
                "--proxy-mode=iptables".to_owned(),
                // What would count for the whole machine stays as it is.
                "--conntrack-max-per-core=0".to_owned(),
                "--conntrack-tcp-timeout-established=0s".to_owned(),
                "--conntrack-tcp-timeout-close-wait=0s".to_owned(),
            ];
            place.start(PROXY, &tools.proxy, arguments)?;
        }
        Ok(())
    }

    pub(crate) fn wait_until_ready(&self, cluster: &Cluster) -> Result<()> {
        let (place, name) = (&self.place, &self.place.name);
        until(&format!("{name} is ready"), READY, || {
            for process in [CONTAINERD, KUBELET, PROXY] {
                ensure!(place.runs(process), "its {process} has ended:\n{}", place.log(process));
            }
            let path = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
            let ready = output(&mut cluster.kubectl(&["get", "node", name, "--output", path])?)?;
            // A node that was killed is called ready for some seconds more.
            let unreachable = "jsonpath={.spec.taints[*].key}";
            let taints = output(&mut cluster.kubectl(&["get", "node", name, "--output", unreachable])?)?;
            if ready != "True" || taints.contains("node.kubernetes.io/") {
                bail!("Ready is {ready:?}, taints: {taints:?}\n{}", place.log(KUBELET));
            }
            Ok(())
        })
    }

    /// Takes an image from an archive.
    pub(crate) fn import(&self, archive: &Path) -> Result<()> {
        let archive = fs::canonicalize(archive).with_context(|| format!("{} is not there", archive.display()))?;
        let words = format!("ctr --address {SOCKET} --namespace k8s.io image import {}", archive.display());
        self.place.run(&words).map(drop)
    }

    fn configure(&self, directory: &Path) -> Result<()> {
        let place = &self.place;
        let at = |file: &str| place.directory.join(file).display().to_string();
        fs::create_dir_all(place.directory.join("cni"))?;
        let plugins = requirements::network_plugins()?;
        fs::write(place.directory.join("cni/10-pods.conflist"), network_configuration(self.number))?;
        fs::write(
            place.directory.join("containerd.toml"),
            format!(
                r#"version = 2
root = "{root}"
state = "/run/containerd/state"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
# Where a capability is missing, no process may protect itself from the kernel's killer.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{plugins}"
conf_dir = "{cni}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"#,
                root = at("containerd"),
                pause = add_ons::PAUSE,
                plugins = plugins.display(),
                cni = at("cni"),
            ),
        )?;
        let authority = directory.join("ca.crt");
        Ok(fs::write(
            place.directory.join("kubelet.yaml"),
            format!(
                r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: {cgroup}
failSwapOn: false
authentication: {{anonymous: {{enabled: false}}, webhook: {{enabled: true}}, x509: {{clientCAFile: "{authority}"}}}}
authorization: {{mode: Webhook}}
containerRuntimeEndpoint: unix://{SOCKET}
clusterDNS: ["{dns}"]
clusterDomain: cluster.local
resolvConf: /dev/null
podLogsDir: "{logs}"
# Nodes share one machine: the disk is never one node's own fault, and images are not thrown away.
evictionHard: {{memory.available: "100Mi", nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}}
imageGCHighThresholdPercent: 100
# A node that is gone is noticed soon.
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
"#,
                address = network::address(self.number),
                cgroup = cgroup::name(&place.name),
                authority = authority.display(),
                dns = network::DNS,
                logs = at("pods"),
            ),
        )?)
    }
}

/// A bridge per node; what it hands out is forgotten with the node's mounts.
fn network_configuration(number: u8) -> String {
    serde_json::json!({
        "cniVersion": "1.0.0", "name": "pods",
        "plugins": [
            {
                "type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true,
                "ipam": {
                    "type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": network::pods(number)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}
