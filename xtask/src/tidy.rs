//! What the compiler does not check: imports go one way, each tool is named by one crate only,
//! files stay readable, the docs' links lead somewhere, and the tests that promises name are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{promises, run};

/// The crates of the server in the order of an order's way. Each may import what stands behind it.
const WAY: &[&str] = &[
    "ordermill",
    "ordermill-migrate",
    "ordermill-ingress",
    "ordermill-admission",
    "ordermill-routing",
    "ordermill-members",
    "ordermill-peer",
    "ordermill-shard",
    "ordermill-delivery",
    "ordermill-order",
    "ordermill-journal",
    "ordermill-embedded",
    "ordermill-tikv",
    "ordermill-transactional",
    "ordermill-store",
    "ordermill-station",
    "ordermill-api",
];

/// Libraries that only one of our server's crates may name.
const ONE_ROOM: &[(&str, &str)] =
    &[("axum", "ordermill-ingress"), ("fjall", "ordermill-embedded"), ("tikv-client", "ordermill-tikv")];

/// Lines of a source file above which it should be split.
const FILE_LINES: usize = 500;

/// Checks everything and tells all that is wrong.
pub(crate) fn run() -> Result<()> {
    let mut wrong = Vec::new();
    imports(&mut wrong)?;
    let files = tracked()?;
    for path in &files {
        if path.extension().is_some_and(|extension| extension == "rs") {
            source(path, &mut wrong)?;
        }
        if path.extension().is_some_and(|extension| extension == "md") {
            links(path, &mut wrong)?;
        }
    }
    promises::check(&mut wrong)?;
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{} things are not tidy:\n  {}", wrong.len(), wrong.join("\n  "));
}

/// The files that belong to the project.
fn tracked() -> Result<Vec<PathBuf>> {
    let listed = run::command("git", &["ls-files", "--cached", "--others", "--exclude-standard"]).output()?;
    let listed = String::from_utf8(listed.stdout).context("file names are UTF-8")?;
    Ok(listed.lines().map(PathBuf::from).filter(|path| run::root().join(path).is_file()).collect())
}

/// The direct dependencies of every crate of the workspace, development ones left out.
fn dependencies() -> Result<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    for path in tracked()?.iter().filter(|path| path.ends_with("Cargo.toml") && path.starts_with("server")) {
        let text = std::fs::read_to_string(run::root().join(path))?;
        let (mut name, mut section, mut dependencies) = (String::new(), String::new(), Vec::new());
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                line.clone_into(&mut section);
            } else if let Some((key, value)) = line.split_once('=') {
                let key = key.trim().trim_end_matches(".workspace");
                match section.as_str() {
                    "[package]" if key == "name" => value.trim().trim_matches('"').clone_into(&mut name),
                    "[dependencies]" => dependencies.push(key.to_owned()),
                    _ => {}
                }
            }
        }
        all.insert(name, dependencies);
    }
    Ok(all)
}

fn imports(wrong: &mut Vec<String>) -> Result<()> {
    let place = |name: &str| WAY.iter().position(|other| *other == name);
    for (name, dependencies) in dependencies()? {
        let Some(here) = place(&name) else {
            wrong.push(format!("{name} has no place on the way of an order: give it one in xtask/src/tidy.rs"));
            continue;
        };
        for dependency in dependencies {
            if place(&dependency).is_some_and(|there| there <= here) {
                wrong.push(format!("{name} imports {dependency}, which stands before it"));
            }
            for (library, room) in ONE_ROOM {
                if dependency == *library && name != *room {
                    wrong.push(format!("{name} names {library}, which is {room}'s alone"));
                }
            }
        }
    }
    Ok(())
}

fn source(path: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(run::root().join(path))?;
    let lines = text.lines().count();
    if lines > FILE_LINES {
        wrong.push(format!("{} has {lines} lines: split it by noun", path.display()));
    }
    if !text.starts_with("//!") {
        wrong.push(format!("{} does not say why it exists (//! at the top)", path.display()));
    }
    // Put together here so that this file does not find itself.
    let unfinished =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore"), concat!("unimple", "mented!")];
    for (number, line) in text.lines().enumerate() {
        if unfinished.iter().any(|word| line.contains(word)) {
            wrong.push(format!("{}:{} is unfinished or switched off", path.display(), number + 1));
        }
    }
    Ok(())
}

/// Relative links in the docs must lead to a file.
fn links(path: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(run::root().join(path))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next()) {
        let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
        if !outside && !run::root().join(folder).join(target).exists() {
            wrong.push(format!("{} links to {target}, which is not there", path.display()));
        }
    }
    Ok(())
}
