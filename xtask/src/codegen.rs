//! What is generated and committed.

use std::fs::File;

use anyhow::{Context, Result};

use crate::executables::{self, Executable};
use crate::run;

/// Tests that hold what is committed against what would be written, and write it when they are told to: their package, their
/// target unless they are unit tests, and their name unless it is all of them.
const WRITERS: [(&str, Option<&str>, Option<&str>); 3] = [
    ("ordermill-order", None, Some("table")),
    ("orderctl", Some("capacity"), None),
    ("ordermill-operator", Some("generated"), None),
];

/// Writes it anew. With what the suites run: nothing is built for this alone.
pub(crate) fn run() -> Result<()> {
    let tests = executables::build()?;
    let openapi = run::root().join("docs/openapi.json");
    // Into a file of its own first: a program that fails must not leave an empty one.
    let fresh = run::target_dir().join("openapi.json");
    let server = run::target_dir().join("debug/ordermill");
    let mut print = run::command(&server.to_string_lossy(), &["openapi"]);
    print.stdout(File::create(&fresh).with_context(|| format!("{} cannot be written", fresh.display()))?);
    run::check(print)?;
    std::fs::copy(&fresh, &openapi).with_context(|| format!("{} cannot be written", openapi.display()))?;
    for (package, target, name) in WRITERS {
        let writes = |test: &Executable| {
            test.package == package && target.map_or(test.is_unit, |target| test.target == target && !test.is_unit)
        };
        executables::run(&tests, writes, |command| {
            command.env("ORDERMILL_CODEGEN", "1").args(name);
        })?;
    }
    Ok(())
}
