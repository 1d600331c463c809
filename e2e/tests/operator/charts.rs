//! The charts, installed, upgraded and removed by Helm itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::api::{Api, ListParams};
use ordermill_e2e::{ControlPlane, Operator, namespace};
use ordermill_operator::{OrderCluster, rights};
use serde_json::json;

use crate::{apply, cluster};

/// Runs helm in the folder with the charts; what it says, or what went wrong.
fn helm(control_plane: &ControlPlane, arguments: &[&str]) -> Result<String, String> {
    let program = std::env::var_os("ORDERMILL_HELM").map(PathBuf::from).expect(
        "ORDERMILL_HELM names no file: run the tests with `cargo xtask test`, or set it to the path that \
         `cargo xtask kubernetes` prints",
    );
    let mut command = Command::new(program);
    command.args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts"));
    // Nothing of whoever runs the tests: no repositories, no plugins, no cluster.
    command.env("HOME", control_plane.directory()).env("KUBECONFIG", control_plane.kubeconfig("admin"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn charts_are_installed_upgraded_and_removed_and_the_crd_outlives_its_chart() {
    let mut control_plane = ControlPlane::start().await;
    let client = control_plane.admin().await;
    namespace(&client, "operators").await;
    namespace(&client, "orders").await;
    for chart in ["ordermill-crds", "ordermill"] {
        helm(&control_plane, &["lint", "--strict", chart]).unwrap();
    }
    let refused = helm(&control_plane, &["template", "x", "ordermill", "--set", "replicas=9"]).unwrap_err();
    assert!(refused.contains("/replicas"), "{refused}");

    let monitored = ["template", "x", "ordermill", "--api-versions", "monitoring.coreos.com/v1"];
    let rendered = helm(&control_plane, &monitored).unwrap();
    assert_eq!(
        (rendered.matches("kind: PrometheusRule").count(), rendered.matches("kind: PodMonitor").count()),
        (1, 1)
    );
    let labels = |arguments: &[&str]| {
        let rendered = helm(&control_plane, &[&["template", "x", "ordermill"], arguments].concat()).unwrap();
        ["--pod-monitor-labels=release=prometheus", "--no-pod-monitors"].map(|argument| rendered.contains(argument))
    };
    assert_eq!(labels(&["--set", "monitoring.labels.release=prometheus"]), [true, false]);
    assert_eq!(labels(&["--set", "monitoring.enabled=false"]), [false, true]);

    helm(&control_plane, &["install", "ordermill-crds", "ordermill-crds"]).unwrap();
    let notes = helm(&control_plane, &["install", "ordermill", "ordermill"]).unwrap();
    assert!(notes.contains("kubectl apply -n default"), "{notes}");
    let everywhere: Api<ClusterRole> = Api::all(client.clone());
    let rules = everywhere.get("ordermill-operator").await.unwrap().rules.unwrap();
    assert_eq!(json!(rules), json!(rights::watched()));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "operators");
    let deployment = deployments.get("ordermill-operator").await.unwrap();
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert!(Operator::takes(pod.containers[0].args.as_ref().unwrap()), "{pod:?}");

    // Narrowed to one namespace: a Role there, and nothing everywhere.
    let narrowed = ["upgrade", "ordermill", "ordermill", "--set", "watchNamespaces={orders}"];
    helm(&control_plane, &narrowed).unwrap();
    assert!(everywhere.get_opt("ordermill-operator").await.unwrap().is_none());
    let roles: Api<Role> = Api::namespaced(client.clone(), "orders");
    assert_eq!(json!(roles.get("ordermill-operator").await.unwrap().rules), json!(rights::watched()));
    assert_eq!(deployments.get("ordermill-operator").await.unwrap().metadata.uid, deployment.metadata.uid);

    // The resource and its OrderClusters stay when the charts go.
    apply(&client, "orders", &cluster("shop", json!({}))).await.unwrap();
    for chart in ["ordermill", "ordermill-crds"] {
        helm(&control_plane, &["uninstall", chart]).unwrap();
    }
    assert!(deployments.get_opt("ordermill-operator").await.unwrap().is_none());
    let clusters: Api<OrderCluster> = Api::namespaced(client.clone(), "orders");
    assert_eq!(clusters.list(&ListParams::default()).await.unwrap().items.len(), 1);
    control_plane.check();
}
