//! What is generated and committed.

use std::fs::File;

use anyhow::{Context, Result};

use crate::run;

/// Writes it anew.
pub(crate) fn run() -> Result<()> {
    let openapi = run::root().join("docs/openapi.json");
    let mut print = run::command(env!("CARGO"), &["run", "--quiet", "--package", "ordermill", "--", "openapi"]);
    // Into a file of its own first: a build that fails must not leave an empty one.
    let fresh = run::target_dir().join("openapi.json");
    print.stdout(File::create(&fresh).with_context(|| format!("{} cannot be written", fresh.display()))?);
    run::check(print)?;
    std::fs::copy(&fresh, &openapi).with_context(|| format!("{} cannot be written", openapi.display()))?;
    // Tests that hold what is committed against what would be written write it here.
    let writers = [
        ("ordermill-order", &["table"][..]),
        ("orderctl", &["--test", "capacity"]),
        ("ordermill-operator", &["--test", "generated"]),
    ];
    for (package, which) in writers {
        let mut tests = run::command(env!("CARGO"), &["test", "--quiet", "--package", package]);
        tests.args(which).env("ORDERMILL_CODEGEN", "1");
        run::check(tests)?;
    }
    Ok(())
}
