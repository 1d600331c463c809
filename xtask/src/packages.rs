//! Programs of the system that chores need, installed as Debian's packages where that can be done.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::run;

/// A program in the PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Installs a package; `why` ends before the word for it, as in "the tests need".
pub(crate) fn install(package: &str, why: &str) -> Result<()> {
    if find("apt-get").is_none() {
        bail!("{package} is not installed, {why} it, and there is no apt-get here to install it with");
    }
    eprintln!("Installing Debian's package {package}: {why} it …");
    let apt = |arguments: &[&str]| {
        let mut apt = run::command("apt-get", arguments);
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        run::check(apt)
    };
    let arguments = ["install", "--yes", "--no-install-recommends", package];
    // A machine that has never looked has no list of packages.
    if apt(&arguments).is_err() {
        apt(&["update"])?;
        apt(&arguments).with_context(|| {
            format!("{package} could not be installed: as root, `apt-get update && apt-get install {package}`")
        })?;
    }
    Ok(())
}
