//! Writes the images of what is shipped: the server and the operator, from binaries that are built already.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use ordermill_image::{Image, shipped};

/// Megabytes that one image may have, unpacked: pods start on nodes that have never seen it.
const SIZE_MAX_MB: u64 = 60;

/// Write the images of the server and the operator.
#[derive(Debug, Parser)]
#[command(name = "ordermill-image")]
struct Arguments {
    /// Where the binaries are.
    #[arg(long)]
    binaries: PathBuf,
    /// Where the archives go.
    #[arg(long)]
    out: PathBuf,
    /// What the images' names begin with.
    #[arg(long, default_value = "ghcr.io/ordermill")]
    repository: String,
    /// Their tag.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    tag: String,
    /// Take binaries that need libraries of the system, and images of any size: for tests.
    #[arg(long)]
    for_tests: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("{} cannot be made", arguments.out.display()))?;
    for (file, image) in shipped(&arguments.binaries, &arguments.repository, &arguments.tag)? {
        if !arguments.for_tests && !image.program.is_static() {
            bail!("{} is not linked statically: build it with `cargo xtask image`", image.name);
        }
        write(arguments, &image, &arguments.out.join(file))?;
    }
    Ok(())
}

fn write(arguments: &Arguments, image: &Image, path: &Path) -> Result<()> {
    let written = image.write(path)?;
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    let (packed, unpacked) = (megabytes(written.archive), megabytes(written.unpacked));
    println!("{} ({packed} MB, {unpacked} MB unpacked): {} {}", path.display(), image.name, written.digest);
    if unpacked > SIZE_MAX_MB && !arguments.for_tests {
        bail!("{} has {unpacked} MB unpacked; {SIZE_MAX_MB} MB are the most", image.name);
    }
    Ok(())
}
