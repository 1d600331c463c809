//! A cgroup for each node, in every hierarchy that there is: the kubelet puts pods under it, and whoever is in it is the
//! node's, however it was started.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Under which all nodes are.
const ROOT: &str = "ordermill-cluster";
const MOUNT: &str = "/sys/fs/cgroup";

/// What a kubelet calls the node's cgroup.
pub(crate) fn name(node: &str) -> String {
    format!("/{ROOT}/{node}")
}

/// Makes the node's cgroup and one in it for the node's own processes; the file by which a process goes there.
pub(crate) fn make(node: &str) -> Result<PathBuf> {
    for hierarchy in hierarchies()? {
        let mut path = hierarchy.clone();
        for part in [ROOT, node, "daemons"] {
            enable_controllers(&path);
            path.push(part);
            fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
            // In version 1 nobody may enter before these are filled.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let above = path.parent().map(|above| above.join(file)).filter(|above| above.is_file());
                if let Some(above) = above.filter(|_| path.join(file).is_file() && !is_v2()) {
                    fs::write(path.join(file), fs::read(above)?)?;
                }
            }
        }
    }
    Ok(tracked(node).join("daemons/cgroup.procs"))
}

/// Who is in the node's cgroup, pods included.
pub(crate) fn processes(node: &str) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    walk(&tracked(node), &mut |path| {
        let text = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    });
    found
}

/// Removes all of them, once nobody is in them.
pub(crate) fn remove() -> Result<()> {
    for hierarchy in hierarchies()? {
        let mut paths = Vec::new();
        walk(&hierarchy.join(ROOT), &mut |path| paths.push(path.to_owned()));
        // What is below comes later.
        for path in paths.iter().rev() {
            fs::remove_dir(path).with_context(|| format!("{} cannot be removed", path.display()))?;
        }
    }
    Ok(())
}

fn is_v2() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// The node's in the hierarchy by which it is known who belongs to it.
fn tracked(node: &str) -> PathBuf {
    let hierarchy = if is_v2() { Path::new(MOUNT).to_owned() } else { Path::new(MOUNT).join("pids") };
    hierarchy.join(ROOT).join(node)
}

fn hierarchies() -> Result<BTreeSet<PathBuf>> {
    if is_v2() {
        return Ok(BTreeSet::from([MOUNT.into()]));
    }
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(MOUNT).with_context(|| format!("{MOUNT} cannot be read"))? {
        // Several names may lead to one. Version 2 may be there beside version 1, and runc makes a cgroup there too.
        let path = fs::canonicalize(entry?.path())?;
        if path.join("cgroup.procs").is_file() {
            found.insert(path);
        }
    }
    Ok(found)
}

/// Version 2 hands controllers down one by one. What it lacks, the kubelet says in its own words.
fn enable_controllers(path: &Path) {
    let available = fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    for controller in available.split_whitespace() {
        let _ = fs::write(path.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

fn walk(path: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(path) else { return };
    visit(path);
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), visit);
        }
    }
}
