//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, beside the first node's own processes.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::command::{output, until};
use crate::network;
use crate::place::Place;
use crate::tools::{self, Tools};

/// What all of it is called, in the order in which it starts.
pub(crate) const NAMES: [&str; 4] = ["etcd", "api-server", "controllers", "scheduler"];
/// How long until it answers.
const READY: Duration = Duration::from_secs(90);

/// Starts it, and waits until it answers.
pub(crate) fn start(directory: &Path, place: &Place, tools: &Tools) -> Result<()> {
    let [etcd, api_server, controllers, scheduler] = NAMES;
    let at = |file: &str| directory.join(file).display().to_string();
    let (peer, client) = ("http://127.0.0.1:2380", "http://127.0.0.1:2379");
    place.start(
        etcd,
        &tools.etcd,
        [
            format!("--data-dir={}", at("etcd")),
            // What is lost with the machine is made anew.
            "--unsafe-no-fsync".to_owned(),
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
        ],
    )?;
    place.start(
        api_server,
        &tools.api_server,
        [
            format!("--etcd-servers={client}"),
            "--secure-port=6443".to_owned(),
            format!("--advertise-address={}", network::address(1)),
            format!("--service-cluster-ip-range={}", network::SERVICES),
            format!("--tls-cert-file={}", at("server.crt")),
            format!("--tls-private-key-file={}", at("server.key")),
            format!("--client-ca-file={}", at("ca.crt")),
            format!("--service-account-key-file={}", at("accounts.pub")),
            format!("--service-account-signing-key-file={}", at("accounts.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--allow-privileged".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            format!("--kubelet-client-certificate={}", at("admin.crt")),
            format!("--kubelet-client-key={}", at("admin.key")),
            // By which it hands requests on to metrics-server, and says for whom.
            format!("--requestheader-client-ca-file={}", at("ca.crt")),
            "--requestheader-allowed-names=aggregator".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            format!("--proxy-client-cert-file={}", at("aggregator.crt")),
            format!("--proxy-client-key-file={}", at("aggregator.key")),
            // Pods that a controller replaces elsewhere leave a dead node soon: tests need not wait for five minutes.
            "--default-not-ready-toleration-seconds=20".to_owned(),
            "--default-unreachable-toleration-seconds=20".to_owned(),
        ],
    )?;
    until("the API server is ready", READY, || {
        ensure!(place.runs(etcd), "etcd has ended:\n{}", place.log(etcd));
        ensure!(place.runs(api_server), "the API server has ended:\n{}", place.log(api_server));
        let mut ready = Command::new(tools::path("ORDERMILL_KUBECTL")?);
        output(ready.args(["--kubeconfig", &at("admin.conf"), "get", "--raw", "/readyz"]))
    })?;
    let identity = |file: &str| {
        ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
            .map(|flag| format!("--{flag}={}", at(file)))
            .to_vec()
    };
    let mut arguments = identity("controllers.conf");
    arguments.extend([
        format!("--service-account-private-key-file={}", at("accounts.key")),
        format!("--root-ca-file={}", at("ca.crt")),
        "--use-service-account-credentials".to_owned(),
        "--leader-elect=false".to_owned(),
        // A node that is gone is noticed within these, not within a minute.
        "--node-monitor-period=1s".to_owned(),
        "--node-monitor-grace-period=10s".to_owned(),
    ]);
    place.start(controllers, &tools.controllers, arguments)?;
    let mut arguments = identity("scheduler.conf");
    arguments.push("--leader-elect=false".to_owned());
    place.start(scheduler, &tools.scheduler, arguments)
}
