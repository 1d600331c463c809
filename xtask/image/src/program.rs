//! A program as a file in an image, and beside it what it needs of the system.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What every ELF file begins with.
const ELF: &[u8] = b"\x7fELF";

/// Files of an image: where each lies there, and what is in it.
#[derive(Clone, Debug)]
pub struct Program {
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
}

impl Program {
    /// Reads a program that will lie at `/NAME`. One that is not linked statically brings its loader and its libraries,
    /// each at the path where it was found.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?;
        let body = read(path)?;
        if !body.starts_with(ELF) {
            bail!("{} is no program for Linux", path.display());
        }
        let mut files = vec![(Path::new("/").join(name), body)];
        for library in libraries(path)? {
            let body = read(&library)?;
            files.push((library, body));
        }
        Ok(Self { files })
    }

    /// Whether it needs nothing of the system.
    pub fn is_static(&self) -> bool {
        self.files.len() == 1
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// What the loader would load, itself included.
fn libraries(path: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(path).output().context("ldd cannot be started")?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if said.contains("statically linked") || complained.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() || said.contains("not found") {
        bail!("what {} needs is not there:\n{said}{complained}", path.display());
    }
    // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, and the loader without an arrow.
    let paths = said.lines().filter_map(|line| {
        let line = line.trim();
        line.split_once(" => ").map_or(line, |(_, path)| path).split(" (").next().map(PathBuf::from)
    });
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_absolute()).collect();
    paths.sort();
    Ok(paths)
}
