//! `cargo xtask image`: the images of what is shipped, from one release build.

use std::path::PathBuf;

use anyhow::Result;

use crate::{executables, run};

/// What is built and where it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the archives go; default: `images` under the build's directory.
    #[arg(long)]
    out: Option<PathBuf>,
    /// What the images' names begin with, as in `registry.example.org/team`.
    #[arg(long)]
    repository: Option<String>,
    /// Their tag; default: the version.
    #[arg(long)]
    tag: Option<String>,
    /// `release`: static, small, the same bytes each time. `dev`: what the tests run, and its libraries beside it.
    #[arg(long, default_value = "release", value_parser = ["release", "dev"])]
    profile: String,
}

/// Builds both binaries and writes their images.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let packages = ["--locked", "--package", "ordermill", "--package", "ordermill-operator", "--bins"];
    let binaries = if arguments.profile == "dev" {
        executables::build()?;
        run::target_dir().join("debug")
    } else {
        let target = host()?;
        let mut build = run::command(env!("CARGO"), &["build", "--release", "--target", &target]);
        // With the C library of the system: the one for which nothing further has to be installed. Named as a target
        // although it is the host's, so that what runs during the build is linked as ever.
        let home = std::env::var_os("CARGO_HOME")
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo").into()));
        let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), "-Cstrip=debuginfo".to_owned()];
        // Where it was built is nobody's business, nor part of the bytes.
        flags.push(format!("--remap-path-prefix={}=/ordermill", run::root().display()));
        flags.extend(home.map(|home| format!("--remap-path-prefix={}=/cargo", PathBuf::from(home).display())));
        build.args(packages).env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        run::check(build)?;
        run::target_dir().join(target).join("release")
    };
    let mut write = run::command(env!("CARGO"), &["run", "--quiet", "--locked", "--package", "ordermill-image", "--"]);
    let out = arguments.out.clone().unwrap_or_else(|| run::target_dir().join("images"));
    write.arg("--binaries").arg(binaries).arg("--out").arg(out);
    for (flag, value) in [("--repository", &arguments.repository), ("--tag", &arguments.tag)] {
        write.args(value.iter().flat_map(|value| [flag, value]));
    }
    if arguments.profile == "dev" {
        write.arg("--for-tests");
    }
    run::check(write)
}

/// The machine's own target.
fn host() -> Result<String> {
    let said = run::command("rustc", &["-vV"]).output()?.stdout;
    let said = String::from_utf8_lossy(&said).into_owned();
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("rustc does not say for which machine it builds"))
}
