//! The programs that a cluster is started from, as the environment names them.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

/// What is built for it; what comes with the system is found in the PATH.
#[derive(Clone, Debug)]
pub struct Tools {
    pub(crate) api_server: PathBuf,
    pub(crate) controllers: PathBuf,
    pub(crate) scheduler: PathBuf,
    pub(crate) kubelet: PathBuf,
    pub(crate) proxy: PathBuf,
    pub(crate) coredns: PathBuf,
    pub(crate) metrics: PathBuf,
    pub(crate) pause: PathBuf,
    pub(crate) provisioner: PathBuf,
    pub(crate) volume: PathBuf,
    pub(crate) etcd: PathBuf,
}

impl Tools {
    /// Those that `cargo xtask` names.
    pub fn from_environment() -> Result<Self> {
        Ok(Self {
            api_server: path("ORDERMILL_KUBE_APISERVER")?,
            controllers: path("ORDERMILL_KUBE_CONTROLLER_MANAGER")?,
            scheduler: path("ORDERMILL_KUBE_SCHEDULER")?,
            kubelet: path("ORDERMILL_KUBELET")?,
            proxy: path("ORDERMILL_KUBE_PROXY")?,
            coredns: path("ORDERMILL_COREDNS")?,
            metrics: path("ORDERMILL_METRICS_SERVER")?,
            pause: path("ORDERMILL_PAUSE")?,
            provisioner: path("ORDERMILL_LOCAL_PATH_PROVISIONER")?,
            volume: path("ORDERMILL_VOLUME")?,
            etcd: path("ORDERMILL_ETCD")?,
        })
    }
}

/// The file that a variable names.
pub(crate) fn path(name: &str) -> Result<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_file()).with_context(|| {
        format!("{name} names no file: `cargo xtask cluster` sets it, and `cargo xtask kubernetes` prints the paths")
    })
}
