//! The bytes of an archive: a layer, its configuration, a manifest, an index.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use crate::Program;

/// Who runs what is in an image: nobody of the machine's. The same as in the operator's pod templates.
const USER: u64 = 65_532;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image with one program, which is what it runs.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name with registry and tag, as in `ghcr.io/ordermill/ordermill:0.1.0`.
    pub name: String,
    /// What it is, for those who look at it in a registry.
    pub description: String,
    /// The program.
    pub program: Program,
    /// What it is told when nobody says otherwise.
    pub arguments: Vec<String>,
    /// Ports that it listens on.
    pub ports: Vec<u16>,
    /// Directories that it may write to.
    pub directories: Vec<PathBuf>,
}

/// What an archive came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Written {
    /// The manifest's digest: what `name@digest` means.
    pub digest: String,
    /// Bytes of the archive.
    pub archive: u64,
    /// Bytes of what a node unpacks.
    pub unpacked: u64,
}

impl Image {
    /// Writes the archive.
    pub fn write(&self, path: &Path) -> Result<Written> {
        let layer = self.layer()?;
        let mut gzip = GzBuilder::new().write(Vec::new(), Compression::default());
        gzip.write_all(&layer)?;
        let packed = gzip.finish()?;
        let config = serde_json::to_vec(&self.config(&digest(&layer)))?;
        let blob = |media: &str, body: &[u8]| json!({"mediaType": media, "digest": digest(body), "size": body.len()});
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": blob(CONFIG, &config), "layers": [blob(LAYER, &packed)],
        }))?;
        let mut entry = blob(MANIFEST, &manifest);
        let tag = self.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
        entry["annotations"] = json!({"io.containerd.image.name": self.name, "org.opencontainers.image.ref.name": tag});
        let index = json!({"schemaVersion": 2, "manifests": [entry]});

        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut archive = Builder::new(file);
        put(&mut archive, Path::new("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
        put(&mut archive, Path::new("index.json"), &serde_json::to_vec(&index)?, 0o644)?;
        for body in [&packed, &config, &manifest] {
            let name = digest(body).replace(':', "/");
            put(&mut archive, &Path::new("blobs").join(name), body, 0o644)?;
        }
        let size = archive.into_inner()?.metadata()?.len();
        Ok(Written { digest: digest(&manifest), archive: size, unpacked: layer.len() as u64 })
    }

    /// What is in it.
    fn layer(&self) -> Result<Vec<u8>> {
        let mut layer = Builder::new(Vec::new());
        let mut made = BTreeSet::new();
        let passwd = format!("root:x:0:0::/:/none\nordermill:x:{USER}:{USER}::/:/none\n");
        let group = format!("root:x:0:\nordermill:x:{USER}:\n");
        let known = [("/etc/passwd", passwd), ("/etc/group", group)];
        let known = known.into_iter().map(|(path, text)| (PathBuf::from(path), text.into_bytes(), 0o644));
        let program = self.program.files.iter().map(|(path, body)| (path.clone(), body.clone(), 0o755));
        for (path, body, mode) in known.chain(program) {
            parents(&mut layer, &mut made, &path)?;
            put(&mut layer, relative(&path), &body, mode)?;
        }
        for path in &self.directories {
            parents(&mut layer, &mut made, path)?;
            directory(&mut layer, relative(path), USER, 0o750)?;
        }
        Ok(layer.into_inner()?)
    }

    fn config(&self, layer: &str) -> Value {
        let program = self.program.files.first().map(|(path, _)| path);
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let ports: serde_json::Map<_, _> = self.ports.iter().map(|port| (format!("{port}/tcp"), json!({}))).collect();
        json!({
            "architecture": architecture, "os": "linux",
            "config": {
                "User": format!("{USER}:{USER}"), "Entrypoint": [program], "Cmd": self.arguments, "ExposedPorts": ports,
                "WorkingDir": "/", "Labels": {
                    "org.opencontainers.image.title": self.name.rsplit('/').next().and_then(|name| name.split(':').next()),
                    "org.opencontainers.image.description": self.description,
                    "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
                    "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
                },
            },
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        })
    }
}

fn digest(body: &[u8]) -> String {
    Sha256::digest(body).iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn header(kind: EntryType, mode: u32, owner: u64, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner);
    header.set_gid(owner);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn put<W: std::io::Write>(tar: &mut Builder<W>, path: &Path, body: &[u8], mode: u32) -> Result<()> {
    Ok(tar.append_data(&mut header(EntryType::Regular, mode, 0, body.len() as u64), path, body)?)
}

fn directory<W: std::io::Write>(tar: &mut Builder<W>, path: &Path, owner: u64, mode: u32) -> Result<()> {
    Ok(tar.append_data(&mut header(EntryType::Directory, mode, owner, 0), path, std::io::empty())?)
}

/// The directories above a path, each once.
fn parents<W: std::io::Write>(tar: &mut Builder<W>, made: &mut BTreeSet<PathBuf>, path: &Path) -> Result<()> {
    let mut above: Vec<&Path> = relative(path).ancestors().skip(1).filter(|it| !it.as_os_str().is_empty()).collect();
    above.reverse();
    for path in above {
        if made.insert(path.to_owned()) {
            directory(tar, path, 0, 0o755)?;
        }
    }
    Ok(())
}
