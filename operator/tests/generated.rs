//! What is generated and committed: the CRD, the rights in the chart, and golden manifests of what is built.
//!
//! `cargo xtask codegen` writes it anew, with ORDERMILL_CODEGEN set.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use ordermill_operator::build::Stage;
use ordermill_operator::validate::{Defaults, Running, validate};
use ordermill_operator::{OrderCluster, build, manifest, rights};
use serde_json::Value;

const HEADER: &str = "# Generated from operator/src by `cargo xtask codegen`.\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Compares a committed file with what it should be, or writes it.
fn check(path: &Path, fresh: &str) {
    if std::env::var_os("ORDERMILL_CODEGEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, fresh).unwrap();
    }
    let committed = fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == fresh,
        "{} is not what would be generated: run `cargo xtask codegen`\n{fresh}",
        path.display()
    );
}

#[test]
fn the_crd_is_current() {
    let fresh = format!("{HEADER}{}", manifest::yaml(&manifest::crd()));
    for path in ["crds/orderclusters.yaml", "charts/ordermill-crds/templates/orderclusters.yaml"] {
        check(&root().join(path), &fresh);
    }
}

#[test]
fn the_rights_in_the_chart_are_current() {
    for (name, rules) in [("watched", rights::watched()), ("lease", rights::lease())] {
        let fresh = format!("{HEADER}{}", manifest::yaml(&serde_json::to_value(rules).unwrap()));
        check(&root().join(format!("charts/ordermill/files/{name}.yaml")), &fresh);
    }
}

/// Every field of the CRD says what it is.
#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &Value, bare: &mut Vec<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if field["description"].as_str().is_none_or(str::is_empty) && path != ".metadata" {
                bare.push(path.clone());
            }
            walk(&path, field, bare);
            walk(&path, &field["items"], bare);
        }
    }
    let crd = manifest::crd();
    let mut bare = Vec::new();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for part in ["spec", "status"] {
        walk(part, &schema["properties"][part], &mut bare);
    }
    assert!(bare.is_empty(), "no description: {bare:?}");
}

fn golden_inputs() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut inputs: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().is_some_and(|path| path.ends_with(".in.yaml")))
        .collect();
    inputs.sort();
    inputs
}

/// A change here restarts members wherever the operator is upgraded: it has to be meant.
#[test]
fn what_is_built_is_as_committed() {
    let inputs = golden_inputs();
    assert_eq!(inputs.len(), 5);
    for input in inputs {
        let mut cluster: OrderCluster = serde_saphyr::from_str(&fs::read_to_string(&input).unwrap()).unwrap();
        cluster.metadata.namespace = Some("orders".to_owned());
        cluster.metadata.uid = Some("00000000-0000-0000-0000-000000000001".to_owned());
        let defaults = Defaults {
            repository: "ghcr.io/ordermill/ordermill".to_owned(),
            version: "0.1.0".to_owned(),
            monitors: Some([("release".to_owned(), "prometheus".to_owned())].into()),
        };
        let build = || {
            let valid = validate(&cluster, &Running::default(), &defaults).unwrap();
            let mut built = build::objects(&valid, Stage::ALL);
            built.extend(build::monitor(&valid));
            built
        };
        let built = build();
        assert_eq!(built, build(), "built twice, differs");
        let fresh: String = built.iter().map(|object| format!("---\n{}", manifest::yaml(&object.body))).collect();
        let name = input.file_name().unwrap().to_str().unwrap().replace(".in.yaml", ".out.yaml");
        check(&input.with_file_name(name), &fresh);
    }
}
