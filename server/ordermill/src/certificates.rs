//! The certificate that clients are shown, from files that may change while the process runs.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ordermill_ingress::Tls;

use crate::follow::follow;

/// What is in the two files.
type Pair = (Vec<u8>, Vec<u8>);

/// TLS with what is in the files of the certificate and its key. A renewed certificate counts without a restart.
pub(crate) fn tls(certificate: PathBuf, key: PathBuf) -> anyhow::Result<Tls> {
    let read = move || -> anyhow::Result<Pair> { Ok((file(&certificate)?, file(&key)?)) };
    let known = read()?;
    let tls = Tls::new(&known.0, &known.1).map_err(|why| anyhow!("TLS to clients cannot be set up: {why}"))?;
    let shown = tls.clone();
    follow("certificate and key", known, read, move |(certificate, key)| shown.replace(certificate, key));
    Ok(tls)
}

fn file(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}
