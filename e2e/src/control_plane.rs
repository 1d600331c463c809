//! etcd, kube-apiserver and kube-controller-manager, on free ports of the loopback.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use http::Request;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use crate::process::Process;
use crate::{Audit, until};

/// Who may do everything.
const ADMIN: &str = "admin";
/// Tokens are as secret as a loopback needs.
const TOKENS: &str = "admin-token,admin,1,system:masters\noperator-token,ordermill-operator,2\n";
/// Every request, without what it carries, once it was answered.
const AUDIT_POLICY: &str =
    "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";
/// Those that the operator's objects need; there are no nodes.
const CONTROLLERS: &str = "--controllers=garbage-collector-controller,statefulset-controller,disruption-controller,serviceaccount-controller,\
     persistentvolumeclaim-protection-controller";

/// A control plane; it ends with its handle.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order in which they stop.
    controllers: Process,
    api_server: Process,
    etcd: Process,
    directory: TempDir,
}

impl ControlPlane {
    /// Starts one, and waits until it answers.
    pub async fn start() -> Self {
        let [api_server_binary, controllers_binary] =
            ["ORDERMILL_KUBE_APISERVER", "ORDERMILL_KUBE_CONTROLLER_MANAGER"].map(variable);
        let etcd_binary = variable("ORDERMILL_ETCD");
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (port, client_port, peer_port) = (free_port(), free_port(), free_port());
        certificates(directory.path());
        fs::write(at("tokens.csv"), TOKENS).unwrap();
        fs::write(at("audit.yaml"), AUDIT_POLICY).unwrap();
        for who in ["admin", "operator"] {
            fs::write(at(&format!("{who}.conf")), kubeconfig(who, port)).unwrap();
        }
        let client_url = format!("http://127.0.0.1:{client_port}");
        let peer_url = format!("http://127.0.0.1:{peer_port}");
        let etcd = [
            "--data-dir=etcd".to_owned(),
            "--unsafe-no-fsync".to_owned(),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={peer_url}"),
            format!("--initial-advertise-peer-urls={peer_url}"),
            format!("--initial-cluster=default={peer_url}"),
        ];
        let etcd = Process::start("etcd", &etcd_binary, directory.path(), etcd, &[]);
        let api_server = [
            format!("--etcd-servers={client_url}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--tls-cert-file=server.crt".to_owned(),
            "--tls-private-key-file=server.key".to_owned(),
            "--client-ca-file=ca.crt".to_owned(),
            "--service-account-key-file=accounts.pub".to_owned(),
            "--service-account-signing-key-file=accounts.key".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--token-auth-file=tokens.csv".to_owned(),
            "--audit-policy-file=audit.yaml".to_owned(),
            "--audit-log-path=audit.log".to_owned(),
        ];
        let mut api_server = Process::start("api-server", &api_server_binary, directory.path(), api_server, &[]);
        let controllers = [
            "--kubeconfig=admin.conf",
            "--authentication-kubeconfig=admin.conf",
            "--authorization-kubeconfig=admin.conf",
            "--service-account-private-key-file=accounts.key",
            "--leader-elect=false",
            "--secure-port=0",
            CONTROLLERS,
        ];
        let client = client(&at("admin.conf"), ADMIN).await;
        until("the API server is ready", async || {
            api_server.check();
            let answer = client.request_text(Request::get("/readyz").body(Vec::new()).ok()?).await.ok()?;
            (answer == "ok").then_some(())
        })
        .await;
        let controllers = Process::start("controllers", &controllers_binary, directory.path(), controllers, &[]);
        Self { controllers, api_server, etcd, directory }
    }

    /// A client that may do everything.
    pub async fn admin(&self) -> Client {
        client(&self.kubeconfig("admin"), ADMIN).await
    }

    /// A client that may do what the operator may.
    pub async fn operator(&self) -> Client {
        client(&self.kubeconfig("operator"), "operator").await
    }

    /// The kubeconfig of `admin` or `operator`.
    pub fn kubeconfig(&self, who: &str) -> PathBuf {
        self.directory.path().join(format!("{who}.conf"))
    }

    /// Where processes may write.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What was asked of the API server so far.
    pub fn audit(&self) -> Audit {
        Audit::read(&self.directory.path().join("audit.log"))
    }

    /// Fails if any of it has ended.
    pub fn check(&mut self) {
        self.etcd.check();
        self.api_server.check();
        self.controllers.check();
    }
}

async fn client(kubeconfig: &Path, user: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions { user: Some(user.to_owned()), ..KubeConfigOptions::default() };
    Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap()
}

fn kubeconfig(who: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority: ca.crt}}}}]\n\
         users: [{{name: {who}, user: {{token: {who}-token}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: {who}, namespace: operators}}}}]\n"
    )
}

/// An authority, the API server's certificate, and the key by which service accounts' tokens are signed.
fn certificates(directory: &Path) {
    let write = |name: &str, text: String| fs::write(directory.join(name), text).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.crt", authority.self_signed(&key).unwrap().pem());
    let issuer = Issuer::new(authority, key);
    let server_key = KeyPair::generate().unwrap();
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
    let server = CertificateParams::new(names).unwrap().signed_by(&server_key, &issuer).unwrap();
    write("server.crt", server.pem());
    write("server.key", server_key.serialize_pem());
    let accounts = KeyPair::generate().unwrap();
    write("accounts.key", accounts.serialize_pem());
    write("accounts.pub", accounts.public_key_pem());
}

/// A port of the loopback that nobody uses.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// The file that a variable names.
pub fn variable(name: &str) -> PathBuf {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists()).unwrap_or_else(|| {
        panic!(
            "{name} names no file: run the tests with `cargo xtask test`, or set it to the path that \
             `cargo xtask kubernetes` prints"
        )
    })
}
