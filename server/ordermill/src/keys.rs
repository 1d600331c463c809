//! API keys: those of the settings, and those of a directory that is looked at again and again, as a mounted Secret is
//! changed while the process runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use ordermill_ingress::Tenants;

use crate::follow::follow;

/// A key and its tenant.
type Key = (String, String);

/// Who may ask. With a directory, new keys in it count without a restart, and those that are gone count no more; while it
/// cannot be read, or holds what is no key, those before it count.
pub(crate) fn tenants(keys: BTreeMap<String, String>, directory: Option<PathBuf>) -> anyhow::Result<Tenants> {
    let of = |keys: Vec<Key>| Tenants::with_keys(keys).map_err(|why| anyhow!("the settings do not fit: {why}"));
    let given: Vec<Key> = keys.into_iter().collect();
    let Some(directory) = directory else {
        return if given.is_empty() { Ok(Tenants::open()) } else { of(given) };
    };
    let known = [given.clone(), read(&directory)?].concat();
    let tenants = of(known.clone())?;
    let shared = tenants.clone();
    let look = move || Ok([given.clone(), read(&directory)?].concat());
    follow("API keys", known, look, move |now| shared.replace(now.clone()));
    Ok(tenants)
}

/// The keys in a directory: each file is a tenant, each of its lines a key. Names that begin with a dot are not tenants:
/// a mounted Secret has such beside its entries.
fn read(directory: &Path) -> anyhow::Result<Vec<Key>> {
    let at = || format!("API keys cannot be read in {}", directory.display());
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(at)? {
        let entry = entry.with_context(at)?;
        let tenant =
            entry.file_name().into_string().map_err(|name| anyhow!("{} is no name of a tenant", name.display()))?;
        if tenant.starts_with('.') {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).with_context(at)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        keys.extend(lines.map(|key| (key.to_owned(), tenant.clone())));
    }
    keys.sort();
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_a_tenant_and_each_line_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("default", "0123456789abcdef\n");
        write("acme", "\n second-key-of-acme \nfirst-key-of-acme\n");
        std::fs::create_dir(directory.path().join("..data")).unwrap();
        let key = |key: &str, tenant: &str| (key.to_owned(), tenant.to_owned());
        let expected = vec![
            key("0123456789abcdef", "default"),
            key("first-key-of-acme", "acme"),
            key("second-key-of-acme", "acme"),
        ];
        assert_eq!(read(directory.path()).unwrap(), expected);
        assert!(read(&directory.path().join("nowhere")).is_err());
    }
}
