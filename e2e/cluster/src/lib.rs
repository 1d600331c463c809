//! A real Kubernetes on this machine: control plane, nodes with containerd and kubelet, kube-proxy, CoreDNS, volumes.
//!
//! Each node has a network and mounts of its own, and a cgroup in which all of it runs; one link leads there from the
//! machine. So the machine's own network is never changed, and what is killed is gone. Knows nothing of orders.

mod add_ons;
mod certificates;
mod cgroup;
mod command;
mod control_plane;
mod kernel;
mod network;
mod node;
mod place;
mod requirements;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

pub use add_ons::PAUSE;
pub use command::{output, until};
pub use tools::Tools;

use crate::node::Node;

/// A cluster, or the place for one.
#[derive(Clone, Debug)]
pub struct Cluster {
    directory: PathBuf,
}

impl Cluster {
    /// The one cluster of this machine: its addresses are fixed.
    pub fn here() -> Result<Self> {
        let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")));
        let state = state.context("neither XDG_STATE_HOME nor HOME names a directory")?;
        Ok(Self { directory: state.join("ordermill/cluster") })
    }

    /// Brings up what is not up: all of it, or a node that was killed.
    pub fn up(&self, tools: &Tools, nodes: u8) -> Result<()> {
        requirements::check()?;
        if !self.runs() {
            self.down()?;
            fs::create_dir_all(&self.directory)
                .with_context(|| format!("{} cannot be made", self.directory.display()))?;
            kernel::remember(&self.directory)?;
            certificates::write(&self.directory, nodes)?;
        }
        let first = self.node(1);
        if !first.place.is_open() {
            first.place.open()?;
            network::first(&first.place)?;
            control_plane::start(&self.directory, &first.place, tools)?;
        }
        let images = add_ons::images(&self.directory, tools)?;
        for number in 1..=nodes {
            self.start(tools, number, &images)?;
        }
        for number in 1..=nodes {
            self.node(number).wait_until_ready(self)?;
        }
        add_ons::apply(self, nodes)
    }

    /// Starts a node if it does not run.
    pub fn start_node(&self, tools: &Tools, number: u8) -> Result<()> {
        let images = add_ons::images(&self.directory, tools)?;
        self.start(tools, number, &images)?;
        self.node(number).wait_until_ready(self)
    }

    fn start(&self, tools: &Tools, number: u8, images: &[PathBuf]) -> Result<()> {
        let node = self.node(number);
        if !node.place.is_open() {
            node.place.open()?;
            network::further(&self.node(1).place, &node.place, number)?;
        }
        node.start(&self.directory, tools, images)
    }

    /// Kills a node with all that runs on it, as if its power had failed.
    pub fn kill_node(&self, number: u8) -> Result<()> {
        self.node(number).place.kill()
    }

    /// Ends everything, and leaves nothing behind but the caches.
    pub fn down(&self) -> Result<()> {
        for number in self.numbers()? {
            self.node(number).place.kill()?;
        }
        network::end();
        cgroup::remove()?;
        kernel::restore(&self.directory)?;
        if self.directory.exists() {
            fs::remove_dir_all(&self.directory)
                .with_context(|| format!("{} cannot be removed", self.directory.display()))?;
        }
        Ok(())
    }

    /// Whether its control plane runs.
    pub fn runs(&self) -> bool {
        let place = self.node(1).place;
        place.is_open() && control_plane::NAMES.iter().all(|name| place.runs(name))
    }

    /// Gives all nodes an image.
    pub fn load(&self, archive: &Path) -> Result<()> {
        for number in self.numbers()? {
            let node = self.node(number);
            if node.place.is_open() {
                node.import(archive)?;
            }
        }
        Ok(())
    }

    /// For whoever speaks to it as an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.conf")
    }

    /// kubectl as an administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Command> {
        let mut kubectl = Command::new(tools::path("ORDERMILL_KUBECTL")?);
        kubectl.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        Ok(kubectl)
    }

    /// What there is of it, in words.
    pub fn status(&self) -> Result<String> {
        if !self.runs() {
            bail!("no cluster runs on this machine: `cargo xtask cluster up` brings one up");
        }
        let nodes = output(&mut self.kubectl(&["get", "nodes", "-o", "wide"])?)?;
        let pods = output(&mut self.kubectl(&["get", "pods", "--all-namespaces", "-o", "wide"])?)?;
        Ok(format!("{nodes}\n{pods}\nexport KUBECONFIG={}", self.kubeconfig().display()))
    }

    fn node(&self, number: u8) -> Node {
        Node::new(&self.directory, number)
    }

    /// The nodes that were made.
    fn numbers(&self) -> Result<Vec<u8>> {
        let Ok(entries) = fs::read_dir(&self.directory) else { return Ok(Vec::new()) };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.strip_prefix("node-")?.parse::<u8>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}
