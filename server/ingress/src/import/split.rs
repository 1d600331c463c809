//! Splits a stream into chunks of whole lines, in constant memory.

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter, memrchr};

/// Bounds of chunks and lines.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) chunk_lines: usize,
    pub(super) chunk_bytes: usize,
    pub(super) line_bytes: usize,
}

/// Whole lines that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Number of the first line in the stream, from 1.
    pub(super) first_line: u64,
    /// The lines, each with its end; only the stream's last one may lack it.
    pub(super) bytes: Bytes,
    /// Whether one more line follows that was longer than a line may be and is not kept.
    pub(super) then_too_long: bool,
}

/// The splitter: bytes in, chunks out.
#[derive(Debug)]
pub(super) struct Splitter {
    bounds: Bounds,
    buffer: BytesMut,
    /// Number of the next line.
    line: u64,
    /// Inside a line that was too long: skip to its end.
    skipping: bool,
}

impl Splitter {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, buffer: BytesMut::new(), line: 1, skipping: false }
    }

    /// Whether more bytes should be pushed before a chunk is taken: a full chunk is not there yet,
    /// or a line that is longer than a chunk has not ended.
    pub(super) fn wants_more(&self) -> bool {
        let length = self.buffer.len();
        length < self.bounds.chunk_bytes || (length <= self.bounds.line_bytes && memchr(b'\n', &self.buffer).is_none())
    }

    /// Takes bytes of the stream.
    pub(super) fn push(&mut self, mut data: Bytes) {
        if self.skipping {
            let Some(end) = memchr(b'\n', &data) else { return };
            let _ = data.split_to(end + 1);
            self.skipping = false;
        }
        self.buffer.extend_from_slice(&data);
    }

    /// Cuts a chunk off: as many whole lines as there are, within the bounds. `None`: there is no
    /// whole line. At the `end` of the stream what is left is a line.
    pub(super) fn cut(&mut self, end: bool) -> Option<Chunk> {
        let window = &self.buffer[..self.buffer.len().min(self.bounds.chunk_bytes.max(self.bounds.line_bytes + 1))];
        let short = &window[..window.len().min(self.bounds.chunk_bytes)];
        let (length, lines) = match memchr_iter(b'\n', short).nth(self.bounds.chunk_lines - 1) {
            Some(at) => (at + 1, self.bounds.chunk_lines as u64),
            // A line that is longer than a chunk is a chunk of its own.
            None => match memrchr(b'\n', short).or_else(|| memchr(b'\n', window)) {
                Some(at) => (at + 1, memchr_iter(b'\n', &short[..short.len().min(at + 1)]).count().max(1) as u64),
                None if window.len() > self.bounds.line_bytes => return Some(self.drop_line()),
                None if end && !window.is_empty() => (window.len(), 1),
                None => return None,
            },
        };
        let first_line = self.line;
        self.line += lines;
        Some(Chunk { first_line, bytes: self.buffer.split_to(length).freeze(), then_too_long: false })
    }

    /// Forgets a line that is too long, now and as it goes on.
    fn drop_line(&mut self) -> Chunk {
        match memchr(b'\n', &self.buffer) {
            Some(end) => drop(self.buffer.split_to(end + 1)),
            None => {
                self.buffer.clear();
                self.skipping = true;
            }
        }
        self.line += 1;
        Chunk { first_line: self.line - 1, bytes: Bytes::new(), then_too_long: true }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOUNDS: Bounds = Bounds { chunk_lines: 3, chunk_bytes: 16, line_bytes: 24 };

    /// Lines as the chunks have them: `None` where one was too long.
    fn lines(pieces: &[&[u8]], eager: bool) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut splitter = Splitter::new(BOUNDS);
        let mut all = Vec::new();
        let mut take = |chunk: Chunk| {
            assert!(chunk.bytes.len() <= BOUNDS.line_bytes + 1);
            let mut number = chunk.first_line;
            for line in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
                all.push((number, Some(line.strip_suffix(b"\n").unwrap_or(line).to_vec())));
                number += 1;
            }
            if chunk.then_too_long {
                all.push((number, None));
            }
        };
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(chunk) = (eager || !splitter.wants_more()).then(|| splitter.cut(false)).flatten() {
                take(chunk);
            }
        }
        while let Some(chunk) = splitter.cut(true) {
            take(chunk);
        }
        all
    }

    fn expected(stream: &[u8]) -> Vec<(u64, Option<Vec<u8>>)> {
        let whole = stream.strip_suffix(b"\n").unwrap_or(stream);
        if stream.is_empty() {
            return Vec::new();
        }
        let kept = |line: &[u8]| (line.len() <= BOUNDS.line_bytes).then(|| line.to_vec());
        whole.split(|byte| *byte == b'\n').zip(1..).map(|(line, number)| (number, kept(line))).collect()
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_to_its_end() {
        let long = [b'x'; 100];
        let stream = [b"a\n".as_slice(), &long, b"\nb\n"].concat();
        assert_eq!(lines(&[&stream], true), expected(&stream));
        assert_eq!(expected(&stream)[1], (2, None));
        let pieces: Vec<&[u8]> = stream.chunks(7).collect();
        assert_eq!(lines(&pieces, true), expected(&stream));
    }

    proptest! {
        #[test]
        fn lines_survive_any_cut(text in "[ab\n]{0,120}|([a]{15,30}\n?){0,6}", size in 1usize..40, eager: bool) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            prop_assert_eq!(lines(&pieces, eager), expected(text.as_bytes()));
        }
    }
}
