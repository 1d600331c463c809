//! The small file that remembers how far an import has come, so that it can go on after a restart.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::input::Fingerprint;

/// The version of the file's layout.
const VERSION: u32 = 1;

/// What of an import has been answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Lines that changed something.
    pub created: u64,
    /// Lines whose reference was there already.
    pub duplicate: u64,
    /// Lines that the server refused.
    pub refused: u64,
    /// Units of credits that no order could give back.
    pub unmatched: u64,
}

impl Counts {
    /// All lines answered.
    pub fn lines(&self) -> u64 {
        self.created + self.duplicate + self.refused
    }
}

/// Which import a state belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The layout's version.
    pub version: u32,
    /// The server.
    pub server: String,
    /// The input.
    pub input: Fingerprint,
    /// A hash of the way the input is read, for CSV.
    pub mapping: Option<String>,
}

impl Identity {
    /// The import of `input`, read by `mapping`, into `server`.
    pub fn new(server: &str, input: Fingerprint, mapping: Option<String>) -> Self {
        Self { version: VERSION, server: server.to_owned(), input, mapping }
    }
}

/// How far an import has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which import it is.
    pub identity: Identity,
    /// Every line up to this one has been answered.
    pub line: u64,
    /// What the answers were.
    pub counts: Counts,
    /// Length of the file of results at that line.
    pub results_bytes: u64,
    /// Length of the file of refused lines at that line.
    pub rejects_bytes: u64,
}

impl State {
    /// The beginning of an import.
    pub fn new(identity: Identity) -> Self {
        Self { identity, line: 0, counts: Counts::default(), results_bytes: 0, rejects_bytes: 0 }
    }

    /// The state kept at `path`; none when there is none that can be read.
    pub fn load(path: &Path) -> io::Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the state at `path`: the old one or the new one, never half of one. It is not forced to
    /// the disk: without it the import begins again, which changes nothing twice.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let temporary = sibling(path, ".new");
        let mut file = std::fs::File::create(&temporary)?;
        serde_json::to_writer(&mut file, self)?;
        file.write_all(b"\n")?;
        std::fs::rename(&temporary, path)
    }
}

/// Where the state of an import of `file` is kept unless said otherwise.
pub fn default_path(file: &Path) -> PathBuf {
    sibling(file, ".orderctl-import")
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let input = Fingerprint { size: 3, head: "ab".into() };
        let mut state = State::new(Identity::new("http://x", input, None));
        state.line = 7;
        state.counts.created = 6;
        state
    }

    #[test]
    fn a_state_is_kept_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = default_path(&dir.path().join("orders.ndjson"));
        assert!(path.ends_with("orders.ndjson.orderctl-import"));
        assert_eq!(State::load(&path).unwrap(), None);
        state().save(&path).unwrap();
        assert_eq!(State::load(&path).unwrap(), Some(state()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_no_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "{half").unwrap();
        assert_eq!(State::load(&path).unwrap(), None);
    }
}
