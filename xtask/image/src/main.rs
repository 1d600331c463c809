//! Writes the images of what is shipped: the server and the operator, from binaries that are built already.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use ordermill_image::{Image, Program};

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
    let program = |name: &str| -> Result<Program> {
        let program = Program::read(&arguments.binaries.join(name))?;
        if !arguments.for_tests && !program.is_static() {
            bail!("{name} is not linked statically: build it with `cargo xtask image`");
        }
        Ok(program)
    };
    let name = |name: &str| format!("{}/{name}:{}", arguments.repository, arguments.tag);
    let server = Image {
        name: name("ordermill"),
        description: "The order-processing engine".to_owned(),
        program: program("ordermill")?,
        arguments: ["serve", "--listen=0.0.0.0:8080", "--data-dir=/var/lib/ordermill"].map(str::to_owned).into(),
        ports: vec![8080, 7080],
        directories: vec!["/var/lib/ordermill".into()],
    };
    let operator = Image {
        name: name("ordermill-operator"),
        description: "The Kubernetes operator of the order-processing engine".to_owned(),
        program: program("ordermill-operator")?,
        arguments: vec!["run".to_owned()],
        ports: vec![9090],
        directories: Vec::new(),
    };
    for (image, file) in [(server, "ordermill.tar"), (operator, "ordermill-operator.tar")] {
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
