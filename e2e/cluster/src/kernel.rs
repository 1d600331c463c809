//! Settings of the kernel that a kubelet changes for the whole machine: put back in the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Result;

const CHANGED: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];
const FILE: &str = "kernel.json";

/// Writes down what they are.
pub(crate) fn remember(directory: &Path) -> Result<()> {
    let values = CHANGED.iter().filter_map(|name| Some((*name, fs::read_to_string(path(name)).ok()?)));
    let values: BTreeMap<&str, String> = values.collect();
    Ok(fs::write(directory.join(FILE), serde_json::to_vec(&values)?)?)
}

/// Makes them what they were.
pub(crate) fn restore(directory: &Path) -> Result<()> {
    let Ok(text) = fs::read(directory.join(FILE)) else { return Ok(()) };
    let values: BTreeMap<String, String> = serde_json::from_slice(&text)?;
    for (name, value) in values {
        if fs::read_to_string(path(&name)).is_ok_and(|now| now != value) {
            fs::write(path(&name), value)?;
        }
    }
    Ok(())
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new("/proc/sys").join(name)
}
