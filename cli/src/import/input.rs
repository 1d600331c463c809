//! Where the lines come from: a file or standard input, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

/// How much of a file is looked at to tell it from another.
const HEAD_BYTES: u64 = 64 << 10;
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// What is imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// What tells a file from another of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Its size in bytes.
    pub size: u64,
    /// XXH3 of its first 64 KiB, in hexadecimal.
    pub head: String,
}

/// An opened input, decompressed.
pub struct Source {
    /// The text.
    pub reader: Box<dyn BufRead + Send>,
    /// How many bytes of the input have been read, before decompression.
    pub position: Position,
    /// Lines may come slowly and are to be sent as they come.
    pub live: bool,
}

/// How far an input has been read; shared with the one who shows it.
#[derive(Clone, Debug, Default)]
pub struct Position(Arc<AtomicU64>);

impl Position {
    /// Bytes read so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Input {
    /// The input that `-` or a path names.
    pub fn from_arg(arg: &Path) -> Self {
        if arg.as_os_str() == "-" { Self::Stdin } else { Self::File(arg.to_owned()) }
    }

    /// How it is called.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "standard input".to_owned(),
        }
    }

    /// Its size in bytes, where that is known.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::File(path) => std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|data| data.len()),
            Self::Stdin => None,
        }
    }

    /// What tells it from another; none for standard input and other things that cannot be read twice.
    pub fn fingerprint(&self) -> io::Result<Option<Fingerprint>> {
        let Self::File(path) = self else { return Ok(None) };
        let mut file = File::open(path)?;
        let data = file.metadata()?;
        if !data.is_file() {
            return Ok(None);
        }
        file.rewind()?;
        let mut head = Vec::new();
        file.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(Some(Fingerprint { size: data.len(), head: format!("{:016x}", XxHash3_64::oneshot(&head)) }))
    }

    /// Opens it. Compressed input is known by its first bytes, whatever its name.
    pub fn open(&self) -> io::Result<Source> {
        let position = Position::default();
        let (raw, mut live): (Box<dyn Read + Send>, _) = match self {
            Self::File(path) => (Box::new(File::open(path)?), false),
            Self::Stdin => (Box::new(io::stdin()), true),
        };
        let mut reader = BufReader::with_capacity(READ_BYTES, Counted { inner: raw, position: position.clone() });
        let head = reader.fill_buf()?;
        let reader: Box<dyn BufRead + Send> = if head.starts_with(&[0x1f, 0x8b]) {
            live = false;
            Box::new(BufReader::with_capacity(READ_BYTES, MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        Ok(Source { reader: without_byte_order_mark(reader)?, position, live })
    }
}

fn without_byte_order_mark(mut reader: Box<dyn BufRead + Send>) -> io::Result<Box<dyn BufRead + Send>> {
    if reader.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
        reader.consume(3);
    }
    Ok(reader)
}

struct Counted {
    inner: Box<dyn Read + Send>,
    position: Position,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.position.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn text_of(path: &Path) -> String {
        let mut source = Input::from_arg(path).open().unwrap();
        let mut text = String::new();
        source.reader.read_to_string(&mut text).unwrap();
        assert_eq!(source.position.get(), std::fs::metadata(path).unwrap().len());
        text
    }

    #[test]
    fn compressed_files_are_known_by_their_content() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain.gz");
        std::fs::write(&plain, "\u{feff}one\ntwo\n").unwrap();
        assert_eq!(text_of(&plain), "one\ntwo\n");

        let packed = dir.path().join("packed");
        let mut file = File::create(&packed).unwrap();
        for part in ["one\n", "two\n"] {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(part.as_bytes()).unwrap();
            file.write_all(&encoder.finish().unwrap()).unwrap();
        }
        assert_eq!(text_of(&packed), "one\ntwo\n");
    }

    #[test]
    fn another_file_has_another_fingerprint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let input = Input::from_arg(&path);
        assert!(input.fingerprint().is_err());
        std::fs::write(&path, "one").unwrap();
        let one = input.fingerprint().unwrap();
        assert_eq!(one, input.fingerprint().unwrap());
        std::fs::write(&path, "two").unwrap();
        assert_ne!(one, input.fingerprint().unwrap());
        assert_eq!(Input::from_arg(Path::new("-")).fingerprint().unwrap(), None);
    }
}
