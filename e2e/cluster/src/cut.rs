//! A way between two pods that is cut: what stands for a broken network, or a policy that forbids it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::command::output;

/// A way that is cut. Dropped, it stays so.
#[derive(Debug)]
pub struct Cut {
    network: PathBuf,
    to: String,
}

impl Cut {
    pub(crate) fn new(network: PathBuf, to: &str) -> Result<Self> {
        let cut = Self { network, to: to.to_owned() };
        cut.route("add").map(|()| cut)
    }

    /// Mends it.
    pub fn mend(self) -> Result<()> {
        // Where the pod is gone, so is what was cut.
        if self.network.exists() { self.route("delete") } else { Ok(()) }
    }

    fn route(&self, verb: &str) -> Result<()> {
        let route = ["ip", "route", verb, "blackhole", &format!("{}/32", self.to)].map(str::to_owned);
        output(inside(&self.network).args(route)).map(drop)
    }
}

/// What runs a command in a network.
pub(crate) fn inside(network: &Path) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", network.display()));
    command
}
