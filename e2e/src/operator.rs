//! The operator as a process, with the rights that its chart gives it and no others.

use std::ffi::OsStr;
use std::process::Command;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt as _};
use ordermill_operator::rights;
use serde_json::json;

use crate::binary;
use crate::process::Process;
use crate::{ControlPlane, Proxy};

const NAME: &str = "ordermill-operator";

/// The operator; it ends with its handle.
#[derive(Debug)]
pub struct Operator {
    process: Process,
}

impl Operator {
    /// Starts it as `identity`, over all namespaces or those that are named.
    pub fn start(control_plane: &ControlPlane, identity: &str, namespaces: &[&str]) -> Self {
        Self::start_with(control_plane, identity, namespaces, None)
    }

    /// The same, which reaches pods and PD where a test says that they are.
    pub fn start_through(control_plane: &ControlPlane, identity: &str, proxy: &Proxy) -> Self {
        Self::start_with(control_plane, identity, &[], Some(proxy))
    }

    fn start_with(control_plane: &ControlPlane, identity: &str, namespaces: &[&str], proxy: Option<&Proxy>) -> Self {
        let mut arguments = vec!["run".to_owned(), "--listen=127.0.0.1:0".to_owned(), format!("--identity={identity}")];
        arguments.extend(proxy.map(|proxy| format!("--proxy={}", proxy.url())));
        if !namespaces.is_empty() {
            arguments.push(format!("--namespaces={}", namespaces.join(",")));
        }
        let kubeconfig = control_plane.kubeconfig("operator");
        let environment: [(&str, &OsStr); 1] = [("KUBECONFIG", kubeconfig.as_os_str())];
        let process = Process::start(identity, &binary(NAME), control_plane.directory(), arguments, &environment);
        Self { process }
    }

    /// Whether it has said that it leads.
    pub fn leads(&mut self) -> bool {
        self.process.check();
        self.process.log().contains("\"message\":\"leads\"")
    }

    /// Whether it has said that it is there, and waits.
    pub fn waits(&mut self) -> bool {
        self.process.check();
        self.process.log().contains("\"message\":\"waits for the Lease\"")
    }

    /// Stops it from doing anything, as a machine does that stands still.
    pub fn pause(&self) {
        self.process.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.process.signal(rustix::process::Signal::CONT);
    }

    /// Whether it has ended by itself.
    pub fn ended(&mut self) -> bool {
        self.process.ended()
    }

    /// Tells it to stop; whether it did so in order.
    pub fn stop(mut self) -> bool {
        self.process.stop()
    }

    /// Whether the binary takes these arguments, as the chart gives them.
    pub fn takes(arguments: &[String]) -> bool {
        Command::new(binary(NAME)).args(arguments).arg("--help").output().unwrap().status.success()
    }

    /// Gives the operator's user its rights: everywhere, or in the namespaces that are named.
    pub async fn grant(client: &Client, namespaces: &[&str]) {
        bind(client, Some("operators"), "lease", json!(rights::lease())).await;
        if namespaces.is_empty() {
            bind(client, None, "watched", json!(rights::watched())).await;
        }
        for namespace in namespaces {
            bind(client, Some(namespace), "watched", json!(rights::watched())).await;
        }
    }
}

async fn bind(client: &Client, namespace: Option<&str>, name: &str, rules: serde_json::Value) {
    let prefix = if namespace.is_some() { "" } else { "Cluster" };
    let subject = json!([{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "ordermill-operator"}]);
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": format!("{prefix}Role"), "name": name});
    let bodies = [
        (format!("{prefix}Role"), json!({"metadata": {"name": name}, "rules": rules})),
        (format!("{prefix}RoleBinding"), json!({"metadata": {"name": name}, "roleRef": role, "subjects": subject})),
    ];
    for (kind, mut body) in bodies {
        let resource = ApiResource {
            group: "rbac.authorization.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "rbac.authorization.k8s.io/v1".to_owned(),
            plural: format!("{}s", kind.to_lowercase()),
            kind: kind.clone(),
        };
        body["apiVersion"] = json!(resource.api_version);
        body["kind"] = json!(kind);
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        api.patch(name, &PatchParams::apply("tests").force(), &Patch::Apply(&body)).await.unwrap();
    }
}

/// Makes a namespace that lets only pods in that pass the restricted level.
pub async fn namespace(client: &Client, name: &str) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
    let made = Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    assert_eq!(made.name_any(), name);
}
