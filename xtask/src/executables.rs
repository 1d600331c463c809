//! Binaries and test executables, built once for all suites.
//!
//! Each choice of packages has cargo build what they depend on, and every crate here that does, with that choice's features.
//! So there is one, the whole workspace, of which a suite runs what it wants. What is shipped has the features of its own
//! choice: a suite sees that it compiles with these, and `cargo xtask image` builds it so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::run;

/// The longest that the tests of one executable, or of one of its modules, may take: three times as long as the slowest.
const LONGEST: Duration = Duration::from_mins(35);

/// A suite that runs nothing must not pass.
const NONE_THERE: &str = "none of these tests is there";

/// A test target, built.
#[derive(Debug)]
pub(crate) struct Executable {
    /// The package that it tests, by its name.
    pub(crate) package: String,
    /// The target: a file or folder of `tests/`, or the crate itself.
    pub(crate) target: String,
    /// Whether it holds the unit tests of a library or a program.
    pub(crate) is_unit: bool,
    program: PathBuf,
    directory: PathBuf,
}

impl Executable {
    /// The command that runs its tests, in its package's directory, as cargo does.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.directory).env("CARGO_MANIFEST_DIR", &self.directory);
        command
    }
}

/// What cargo says of one thing that it has built; the rest of its messages is passed over.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    manifest_path: PathBuf,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds the binaries and the test executables of the whole workspace; the latter in the order of packages and targets.
pub(crate) fn build() -> Result<Vec<Executable>> {
    let build =
        ["build", "--workspace", "--bins", "--tests", "--locked", "--message-format", "json-render-diagnostics"];
    let mut command = run::command(env!("CARGO"), &build);
    // Progress and diagnostics go past; what is there is told on the other stream.
    let output = command.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", output.status);
    }
    let mut found = Vec::new();
    for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"{")) {
        let message: Message = serde_json::from_slice(line).context("cargo says what no one understands")?;
        let is_test = message.reason == "compiler-artifact" && message.profile.is_some_and(|profile| profile.test);
        if let (true, Some(target), Some(program)) = (is_test, message.target, message.executable) {
            let directory = message.manifest_path.parent().unwrap_or(Path::new(".")).to_owned();
            let is_unit = !target.kind.iter().any(|kind| kind == "test");
            found.push(Executable {
                package: name(&message.package_id),
                target: target.name,
                is_unit,
                program,
                directory,
            });
        }
    }
    ensure!(!found.is_empty(), "{command:?} has built no tests");
    found.sort_by(|one, other| {
        (&one.package, !one.is_unit, &one.target).cmp(&(&other.package, !other.is_unit, &other.target))
    });
    Ok(found)
}

/// Runs those of the executables that are wanted, one after the other, and fails with the first that does.
pub(crate) fn run(
    all: &[Executable],
    wanted: impl Fn(&Executable) -> bool,
    prepare: impl Fn(&mut Command),
) -> Result<()> {
    let mut wanted = all.iter().filter(|executable| wanted(executable)).peekable();
    ensure!(wanted.peek().is_some(), "{NONE_THERE}");
    for executable in wanted {
        one(executable, &executable.target, &prepare, &[])?;
    }
    Ok(())
}

/// Runs those modules of an executable's tests that are wanted, one after the other, and fails with the first that does.
pub(crate) fn run_by_module(
    executable: &Executable,
    wanted: impl Fn(&str) -> bool,
    prepare: impl Fn(&mut Command),
) -> Result<()> {
    let mut list = executable.command();
    let output = list.args(["--list", "--format", "terse"]).output().context("the tests cannot be started")?;
    ensure!(output.status.success(), "{list:?} failed: {}", output.status);
    let listed = String::from_utf8(output.stdout).context("names of tests are text")?;
    let mut wanted = by_module(&listed).into_iter().filter(|(module, _)| wanted(module)).peekable();
    ensure!(wanted.peek().is_some(), "{NONE_THERE}");
    for (module, tests) in wanted {
        one(executable, module, &prepare, &[&["--exact"], &tests[..]].concat())?;
    }
    Ok(())
}

/// Runs an executable's tests, or those that `arguments` choose: `name` says which.
fn one(executable: &Executable, name: &str, prepare: impl Fn(&mut Command), arguments: &[&str]) -> Result<()> {
    println!("     Running {name} of {}", executable.package);
    let mut command = executable.command();
    prepare(&mut command);
    command.args(arguments);
    run::check_within(command, LONGEST)
}

/// The tests of each module, of a list with a line `module::test: test` each.
fn by_module(listed: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut modules = BTreeMap::<_, Vec<_>>::new();
    for test in listed.lines().filter_map(|line| line.strip_suffix(": test")) {
        modules.entry(test.split("::").next().unwrap_or(test)).or_default().push(test);
    }
    modules
}

/// The name in a package's id: `path+file:///somewhere/name#0.1.0` or `path+file:///somewhere#name@0.1.0`.
fn name(id: &str) -> String {
    let (place, version) = id.rsplit_once('#').unwrap_or(("", id));
    match version.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => place.rsplit('/').next().unwrap_or(place).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_its_name() {
        assert_eq!(name("path+file:///src/ordermill/xtask#0.1.0"), "xtask");
        assert_eq!(name("path+file:///src/ordermill/server/shard#ordermill-shard@0.1.0"), "ordermill-shard");
    }

    #[test]
    fn tests_are_told_apart_by_their_modules() {
        let listed = "faults::all: test\nmembers::go: test\nmembers::faults::come: test\n";
        let modules = [("faults", vec!["faults::all"]), ("members", vec!["members::go", "members::faults::come"])];
        assert_eq!(by_module(listed), modules.into());
    }
}
