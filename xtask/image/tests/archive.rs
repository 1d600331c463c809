//! What is in an archive, read back by other means than those that wrote it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use ordermill_image::{Image, Program, Written};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tar::Archive;

/// An image of this very test, which is linked as the system links.
fn image() -> Image {
    Image {
        name: "example.org/some/thing:7".to_owned(),
        description: "a test".to_owned(),
        program: Program::read(&std::env::current_exe().unwrap()).unwrap(),
        arguments: vec!["--list".to_owned()],
        ports: vec![8080],
        directories: vec!["/var/lib/thing".into()],
    }
}

fn write(name: &str, directory: &Path) -> (Written, BTreeMap<String, Vec<u8>>) {
    let path = directory.join(name);
    let written = image().write(&path).unwrap();
    assert_eq!(written.archive, path.metadata().unwrap().len());
    let mut files = BTreeMap::new();
    for entry in Archive::new(File::open(path).unwrap()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut body = Vec::new();
        entry.read_to_end(&mut body).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), body);
    }
    (written, files)
}

#[test]
fn every_blob_is_what_its_digest_says_and_the_program_is_there_for_a_user_without_rights() {
    let directory = tempfile::tempdir().unwrap();
    let (written, files) = write("image.tar", directory.path());
    let blob = |digest: &str| -> &Vec<u8> {
        let body = &files[&format!("blobs/{}", digest.replace(':', "/"))];
        let sum = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(digest, format!("sha256:{sum}"));
        body
    };
    let json = |body: &[u8]| -> Value { serde_json::from_slice(body).unwrap() };
    let index = json(&files["index.json"]);
    let entry = &index["manifests"][0];
    assert_eq!(entry["digest"], written.digest);
    assert_eq!(entry["annotations"]["io.containerd.image.name"], "example.org/some/thing:7");
    let manifest = json(blob(&written.digest));
    let config = json(blob(manifest["config"]["digest"].as_str().unwrap()));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Cmd"][0], "--list");

    let mut layer = Vec::new();
    GzDecoder::new(&blob(manifest["layers"][0]["digest"].as_str().unwrap())[..]).read_to_end(&mut layer).unwrap();
    assert_eq!(written.unpacked, layer.len() as u64);
    let sum = Sha256::digest(&layer).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{sum}"));
    let mut archive = Archive::new(&layer[..]);
    let headers = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        (format!("/{}", entry.path().unwrap().display()), entry.header().clone())
    });
    let headers: BTreeMap<_, _> = headers.collect();
    let program = &headers[config["config"]["Entrypoint"][0].as_str().unwrap()];
    assert_eq!(program.mode().unwrap(), 0o755);
    assert_eq!(headers["/var/lib/thing"].uid().unwrap(), 65_532);
    // What the system's linker made wants the system's loader, and nothing that could run a command is there.
    assert!(headers.keys().any(|path| path.contains("ld-")), "{:?}", headers.keys());
    assert!(headers.keys().all(|path| !path.contains("/bin/")), "{:?}", headers.keys());
}

#[test]
fn the_same_program_makes_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(write("one.tar", directory.path()), write("two.tar", directory.path()));
}

#[test]
fn what_is_no_program_is_refused() {
    let error = Program::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap_err();
    assert!(error.to_string().contains("is no program"), "{error}");
}
