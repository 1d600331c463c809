//! The charts, installed, upgraded and removed by Helm itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::api::Api;
use ordermill_e2e::{ControlPlane, Operator, namespace, variable};
use ordermill_operator::{OrderCluster, rights};
use serde_json::json;

use crate::{apply, cluster};

/// Runs helm in the folder with the charts, on a control plane; what it says, or what went wrong.
fn helm(control_plane: &ControlPlane, arguments: &[&str]) -> Result<String, String> {
    helm_at(control_plane.directory(), &control_plane.kubeconfig("admin"), arguments)
}

fn helm_at(home: &Path, kubeconfig: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(variable("ORDERMILL_HELM"));
    command.args(arguments).current_dir(charts());
    // Nothing of whoever runs the tests: no repositories, no plugins, no cluster.
    command.env("HOME", home).env("KUBECONFIG", kubeconfig);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

fn charts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts")
}

/// A chart as it was before: the same under a lower version.
fn previous(directory: &Path, chart: &str) -> PathBuf {
    let (from, to) = (charts().join(chart), directory.join("previous").join(chart));
    for folder in ["", "files", "templates"] {
        let Ok(files) = fs::read_dir(from.join(folder)) else { continue };
        fs::create_dir_all(to.join(folder)).unwrap();
        for file in files.map(|file| file.unwrap().path()).filter(|file| file.is_file()) {
            let text = fs::read_to_string(&file).unwrap();
            let name = file.file_name().unwrap();
            let text = if name == "Chart.yaml" { text.replace(": 0.1.0", ": 0.0.9") } else { text };
            fs::write(to.join(folder).join(name), text).unwrap();
        }
    }
    to
}

/// A change here is one for everybody who upgrades the chart: it has to be meant.
#[test]
fn what_the_chart_renders_is_as_committed() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operator/golden");
    let home = tempfile::tempdir().unwrap();
    let values = golden.join("everything.in.yaml");
    let everything = ["--values", values.to_str().unwrap(), "--api-versions", "monitoring.coreos.com/v1"];
    for (name, arguments) in [("defaults", &[][..]), ("everything", &everything[..])] {
        let template = [&["template", "ordermill", "ordermill", "--namespace", "operators"][..], arguments].concat();
        let fresh = helm_at(home.path(), Path::new("/dev/null"), &template).unwrap();
        let path = golden.join(format!("{name}.out.yaml"));
        if std::env::var_os("ORDERMILL_CODEGEN").is_some() {
            fs::write(&path, &fresh).unwrap();
        }
        assert!(
            fs::read_to_string(&path).unwrap_or_default() == fresh,
            "{} is not what is rendered: `ORDERMILL_CODEGEN=1 cargo xtask test --only operator` writes it\n{fresh}",
            path.display()
        );
    }
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

    for chart in ["ordermill-crds", "ordermill"] {
        let before = previous(control_plane.directory(), chart);
        let notes = helm(&control_plane, &["install", chart, before.to_str().unwrap()]).unwrap();
        assert!(chart == "ordermill-crds" || notes.contains("kubectl apply -n default"), "{notes}");
    }
    let everywhere: Api<ClusterRole> = Api::all(client.clone());
    let rules = everywhere.get("ordermill-operator").await.unwrap().rules.unwrap();
    assert_eq!(json!(rules), json!(rights::watched()));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "operators");
    let deployment = deployments.get("ordermill-operator").await.unwrap();
    let pod = deployment.spec.unwrap().template.spec.unwrap();
    assert!(Operator::takes(pod.containers[0].args.as_ref().unwrap()), "{pod:?}");

    // Both are upgraded, and the OrderCluster that is there stays the one that it is.
    let clusters: Api<OrderCluster> = Api::namespaced(client.clone(), "orders");
    apply(&client, "orders", &cluster("shop", json!({}))).await.unwrap();
    let shop = clusters.get("shop").await.unwrap().metadata;
    for chart in ["ordermill-crds", "ordermill"] {
        helm(&control_plane, &["upgrade", chart, chart]).unwrap();
    }
    let upgraded = deployments.get("ordermill-operator").await.unwrap().metadata;
    assert_eq!(upgraded.labels.unwrap()["app.kubernetes.io/version"], "0.1.0");
    let kept = clusters.get("shop").await.unwrap().metadata;
    assert_eq!((kept.uid, kept.resource_version), (shop.uid.clone(), shop.resource_version.clone()));

    // Narrowed to one namespace: a Role there, and nothing everywhere.
    let narrowed = ["upgrade", "ordermill", "ordermill", "--set", "watchNamespaces={orders}"];
    helm(&control_plane, &narrowed).unwrap();
    assert!(everywhere.get_opt("ordermill-operator").await.unwrap().is_none());
    let roles: Api<Role> = Api::namespaced(client.clone(), "orders");
    assert_eq!(json!(roles.get("ordermill-operator").await.unwrap().rules), json!(rights::watched()));
    assert_eq!(deployments.get("ordermill-operator").await.unwrap().metadata.uid, deployment.metadata.uid);

    // The resource and its OrderClusters stay when the charts go.
    for chart in ["ordermill", "ordermill-crds"] {
        helm(&control_plane, &["uninstall", chart]).unwrap();
    }
    assert!(deployments.get_opt("ordermill-operator").await.unwrap().is_none());
    assert_eq!(clusters.get("shop").await.unwrap().metadata.uid, shop.uid);
    control_plane.check();
}
