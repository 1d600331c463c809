//! The images that are shipped: the server and the operator.

use std::path::Path;

use anyhow::Result;

use crate::{Image, Program};

/// Both, from the binaries in a directory, by the names of their files.
pub fn shipped(binaries: &Path, repository: &str, tag: &str) -> Result<[(&'static str, Image); 2]> {
    let name = |name: &str| format!("{repository}/{name}:{tag}");
    let server = Image {
        name: name("ordermill"),
        description: "The order-processing engine".to_owned(),
        program: Program::read(&binaries.join("ordermill"))?,
        arguments: ["serve", "--listen=0.0.0.0:8080", "--data-dir=/var/lib/ordermill"].map(str::to_owned).into(),
        ports: vec![8080, 7080],
        directories: vec!["/var/lib/ordermill".into()],
    };
    let operator = Image {
        name: name("ordermill-operator"),
        description: "The Kubernetes operator of the order-processing engine".to_owned(),
        program: Program::read(&binaries.join("ordermill-operator"))?,
        arguments: vec!["run".to_owned()],
        ports: vec![9090],
        directories: Vec::new(),
    };
    Ok([("ordermill.tar", server), ("ordermill-operator.tar", operator)])
}
