//! The images of a test: what is shipped, and PD and a store in images of their own.

use std::path::Path;

use ordermill_e2e::variable;
use ordermill_image::{Image, Program, shipped};

/// What images of servers that are not ours begin with.
const REPOSITORY: &str = "e2e.ordermill.invalid";

/// Another build of the server: the same program by another name.
pub(crate) const NEXT: &str = "0.1.1-next";

/// All of them, from the binaries beside this test and those that the environment names.
pub(crate) fn all() -> Vec<Image> {
    let binaries = ordermill_e2e::binary("ordermill");
    let shipped = shipped(binaries.parent().unwrap(), "ghcr.io/ordermill", env!("CARGO_PKG_VERSION")).unwrap();
    let mut images: Vec<Image> = shipped.into_iter().map(|(_, image)| image).collect();
    images.push(Image { name: format!("ghcr.io/ordermill/ordermill:{NEXT}"), ..images[0].clone() });
    images.push(foreign("pd", Program::read(&variable("ORDERMILL_PD_SERVER")).unwrap()));
    let store = Program::read(&variable("ORDERMILL_TIKV_SERVER")).unwrap();
    let start = Program::read(&variable("ORDERMILL_STORE_START")).unwrap();
    images.push(foreign("store", start.beside(store, "server")));
    images
}

fn foreign(name: &str, program: Program) -> Image {
    Image {
        name: format!("{REPOSITORY}/{name}:1"),
        description: "For tests".to_owned(),
        program,
        arguments: Vec::new(),
        ports: Vec::new(),
        directories: vec![Path::new("/data").to_owned()],
    }
}
