//! What the engine is measured against: Postgres from the system, Restate from its npm package, and our services
//! beside them.
//!
//! What is installed for it lies outside the checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages::{find, install};
use crate::{run, servers};

/// The package of Restate's server, and the version that results are told of.
const RESTATE: &str = "@restatedev/restate-server@1.7.12";

/// The environment that tells the benchmark where its peers are; what is missing is installed.
pub(crate) fn environment() -> Result<[(&'static str, PathBuf); 3]> {
    Ok([
        ("ORDERMILL_POSTGRES_BIN", postgres()?),
        ("ORDERMILL_RESTATE_SERVER", restate()?),
        ("ORDERMILL_BENCH_PEERS", services()?),
    ])
}

/// The directory of the newest Postgres that is installed as Debian does.
fn postgres() -> Result<PathBuf> {
    let newest = || {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let version = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
        let programs = versions.filter(|path| path.join("bin/initdb").is_file());
        programs.max_by_key(|path| version(path)).map(|path| path.join("bin"))
    };
    if newest().is_none() {
        install("postgresql", "the benchmark compares with")?;
    }
    newest().context("postgresql is installed, and there is no /usr/lib/postgresql/*/bin/initdb")
}

/// Restate's server, which its npm package for this machine holds.
fn restate() -> Result<PathBuf> {
    let directory = servers::cache()?.join(RESTATE.replace(['/', '@'], "_"));
    let server = || {
        let packages = std::fs::read_dir(directory.join("node_modules/@restatedev")).ok()?;
        let programs = packages.filter_map(|entry| Some(entry.ok()?.path().join("bin/restate-server")));
        programs.into_iter().find(|path| path.is_file())
    };
    if server().is_none() {
        if find("npm").is_none() {
            bail!("npm is not installed, and Restate's server, which the benchmark compares with, comes with it");
        }
        std::fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
        eprintln!("Installing {RESTATE}: the benchmark compares with it …");
        let mut npm = run::command("npm", &["install", "--no-audit", "--no-fund", "--prefix"]);
        npm.arg(&directory).arg(RESTATE);
        run::check(npm)?;
    }
    server().with_context(|| format!("{RESTATE} is installed, and holds no server for this machine"))
}

/// Our services beside them: a workspace of its own.
fn services() -> Result<PathBuf> {
    run::cargo(&["build", "--release", "--locked", "--manifest-path", "bench/peers/Cargo.toml"])?;
    let place = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => run::root().join("bench/peers/target"),
    };
    Ok(place.join("release/ordermill-bench-peers"))
}
