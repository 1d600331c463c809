//! `cargo xtask test`: everything that can be tested, suite by suite, with the time each took.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{run, tidy};

/// A name and what to run.
type Suite = (&'static str, fn() -> Result<()>);

const CHECKS: &[Suite] = &[
    ("formatting", || run::cargo(&["fmt", "--all", "--check"])),
    ("tidy", tidy::run),
    ("clippy", || run::cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"])),
    ("dependencies", dependencies),
];

/// Tests that need nothing but this process.
const UNIT: Suite =
    ("unit and property tests", || run::cargo(&["test", "--workspace", "--locked", "--exclude", "ordermill-tests"]));

/// Tests that run real stores, real processes and real files.
const BLACK_BOX: Suite = ("black-box tests", || {
    run::cargo(&["build", "--locked", "--package", "ordermill", "--package", "orderctl"])?;
    run::cargo(&["test", "--locked", "--package", "ordermill-tests"])
});

/// Runs all suites, or with `fast` those that take no more than a few minutes.
#[expect(clippy::disallowed_methods, reason = "a chore may look at the clock")]
pub(crate) fn run(fast: bool) -> Result<()> {
    let mut suites = CHECKS.to_vec();
    suites.push(UNIT);
    if !fast {
        suites.push(BLACK_BOX);
    }
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, suite) in suites {
        println!("==> {name}");
        std::io::stdout().flush()?;
        let begun = Instant::now();
        let result = suite();
        times.push((name, begun.elapsed()));
        if result.is_err() {
            eprintln!("==> {name} failed after {:.0?}", begun.elapsed());
            return result;
        }
    }
    // To the other stream: the last lines of this one stay the test runners' own.
    for (name, time) in times {
        eprintln!("==> {name}: {} s", time.as_secs());
    }
    Ok(())
}

/// Licences, bans and sources, where cargo-deny is installed; it is not needed to build or test.
fn dependencies() -> Result<()> {
    let installed = run::command("cargo-deny", &["--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("cargo-deny is not installed (`cargo install cargo-deny`): licences and sources are not checked");
        return Ok(());
    }
    run::check(run::command("cargo-deny", &["check", "bans", "licenses", "sources"]))
}
