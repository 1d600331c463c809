//! NDJSON is passed through as it is: cut at line ends, lines counted, never parsed.

use std::io::Read as _;

use bytes::Bytes;
use memchr::memrchr;
use ordermill_station::limits;

use super::chunk::{CHUNK_BYTES, Chunk};
use super::input::Source;
use super::{Emit, Flow, InputError};

/// Cuts `source` into chunks and hands on those after line `skip`.
pub fn produce(mut source: Source, skip: u64, emit: &mut Emit<'_>) -> Result<(), InputError> {
    let mut pending = Vec::with_capacity(2 * CHUNK_BYTES);
    let mut next_line = 1;
    loop {
        let start = pending.len();
        pending.resize(start + CHUNK_BYTES, 0);
        let count = source.reader.read(&mut pending[start..])?;
        pending.truncate(start + count);
        if count == 0 && !pending.is_empty() && pending.last() != Some(&b'\n') {
            pending.push(b'\n');
        }
        if count > 0 && pending.len() < CHUNK_BYTES && !source.live {
            continue;
        }
        if let Some(end) = memrchr(b'\n', &pending) {
            let mut rest = Vec::with_capacity(2 * CHUNK_BYTES);
            rest.extend_from_slice(&pending[end + 1..]);
            pending.truncate(end + 1);
            let lines = Bytes::from(std::mem::replace(&mut pending, rest));
            let chunk = Chunk::of_lines(next_line, lines, source.position.get());
            next_line += chunk.lines;
            if chunk.last_line() > skip && emit(chunk.after(skip)) == Flow::Stop {
                return Ok(());
            }
        } else if pending.len() > limits::IMPORT_LINE_BYTES {
            return Err(InputError::LineTooLong { line: next_line });
        }
        if count == 0 {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::input::Input;

    fn chunks(text: &[u8], skip: u64) -> Result<Vec<Chunk>, InputError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, text).unwrap();
        let mut chunks = Vec::new();
        let mut emit = |chunk| {
            chunks.push(chunk);
            Flow::Continue
        };
        produce(Input::File(path).open().unwrap(), skip, &mut emit)?;
        Ok(chunks)
    }

    #[test]
    fn lines_stay_whole_and_the_last_gets_its_end() {
        let line = format!("{{\"reference\":\"{}\"}}\n", "x".repeat(80));
        let text = line.repeat(20_000);
        let chunks = chunks(text.trim_end().as_bytes(), 0).unwrap();
        assert!(chunks.len() > 3);
        assert!(chunks.iter().all(|chunk| chunk.bytes.ends_with(b"}\n")));
        assert_eq!(chunks.iter().map(|chunk| chunk.lines).sum::<u64>(), 20_000);
        assert!(chunks.windows(2).all(|pair| pair[0].last_line() + 1 == pair[1].first_line));
        assert_eq!(chunks.iter().map(|chunk| chunk.bytes.to_vec()).collect::<Vec<_>>().concat(), text.as_bytes());
    }

    #[test]
    fn a_resumed_file_begins_after_the_lines_that_are_done() {
        let chunks = chunks(b"a\n\nb\nc", 3).unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!((&chunks[0].bytes[..], chunks[0].first_line), (&b"c\n"[..], 4));
    }

    #[test]
    fn nothing_is_no_chunk_and_an_endless_line_is_an_error() {
        assert!(chunks(b"", 0).unwrap().is_empty());
        let long = vec![b'x'; limits::IMPORT_LINE_BYTES + CHUNK_BYTES + 1];
        assert!(matches!(chunks(&long, 0), Err(InputError::LineTooLong { line: 1 })));
    }
}
