//! Running other programs from the root of the workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use wait_timeout::ChildExt as _;

use crate::{executables, peers, servers};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// The command `program` with `arguments`, at the root.
///
/// Knows nothing of the package that this program is: there are build scripts that are run again when what cargo says of that
/// changes, and everything would be built anew behind a cargo that was started by hand.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    let of_package = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|of| name.starts_with(of));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in names.filter(|name| of_package(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs a command and fails when it does.
pub(crate) fn check(mut command: Command) -> Result<()> {
    let shown = format!("{command:?}");
    succeeded(&shown, command.status().with_context(|| format!("{shown} cannot be started"))?)
}

fn succeeded(shown: &str, status: ExitStatus) -> Result<()> {
    ensure!(status.success(), "{shown} failed: {status}");
    Ok(())
}

/// The same, which ends a command that takes too long and says so. Whom it has started is not ended with it.
pub(crate) fn check_within(mut command: Command, longest: Duration) -> Result<()> {
    let shown = format!("{command:?}");
    let mut child = command.spawn().with_context(|| format!("{shown} cannot be started"))?;
    if let Some(status) = child.wait_timeout(longest)? {
        return succeeded(&shown, status);
    }
    child.kill()?;
    child.wait()?;
    bail!("{shown} was ended: it had not come to its end after {} min", longest.as_secs() / 60);
}

/// Runs cargo.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    check(command(env!("CARGO"), arguments))
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Builds what is measured and runs the benchmark: in release mode, but for a short run, which believes no rate.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    // Everything, unless something is named; what two runs are compared by has the name of an option too.
    let arguments = match arguments.first().map(String::as_str) {
        Some("--compare") => &[&["compare".to_owned()], &arguments[1..]].concat(),
        Some("--help" | "-h") => arguments,
        Some(option) if option.starts_with('-') => &[&["all".to_owned()], arguments].concat(),
        Some(_) => arguments,
        None => &["all".to_owned()][..],
    };
    let is_short = arguments.iter().any(|argument| argument == "--short");
    if is_short {
        executables::build()?;
    } else {
        let packages = ["--package", "ordermill", "--package", "orderctl", "--package", "ordermill-bench"];
        cargo(&[&["build", "--locked", "--release"], &packages[..]].concat())?;
    }
    let built = target_dir().join(if is_short { "debug" } else { "release" });
    let mut bench = Command::new(built.join("ordermill-bench"));
    match arguments.first().map(String::as_str) {
        Some("tikv") => drop(bench.envs(servers::environment(&servers::Arguments::default())?)),
        Some("all") if !is_short => drop(bench.envs(peers::environment()?)),
        _ => {}
    }
    bench.current_dir(root()).args(arguments);
    check(bench)
}

/// Simulates whole clusters.
pub(crate) fn sim(arguments: &[String]) -> Result<()> {
    let mut sim = command(env!("CARGO"), &["run", "--quiet", "--locked", "--package", "ordermill-simulation", "--"]);
    sim.args(arguments);
    check(sim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended_and_what_fails_is_told() {
        let ended = check_within(command("sleep", &["600"]), Duration::from_millis(10)).expect_err("it goes on");
        assert!(ended.to_string().contains("\"600\" was ended"), "{ended}");
        let failed = check_within(command("false", &[]), Duration::from_mins(1)).expect_err("it fails");
        assert!(failed.to_string().contains("failed: exit status: 1"), "{failed}");
        check_within(command("true", &[]), Duration::from_mins(1)).expect("it ends well");
    }
}
