//! Whole lines on their way to the server, and what has to be known of them until they are answered.

use bytes::Bytes;
use memchr::memchr;

/// How large a chunk becomes before it is handed on.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Something that was refused here, before it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRefusal {
    /// The line that would have come next.
    pub before_line: u64,
    /// The row of the CSV file, from 1, the head included.
    pub row: u64,
    /// The reference, where it could be read.
    pub reference: Option<String>,
    /// Why.
    pub reason: String,
}

/// Whole lines, each with its line end.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The number of the first line, from 1.
    pub first_line: u64,
    /// How many lines there are.
    pub lines: u64,
    /// The last line that is not blank and so gets an answer; `first_line - 1` when all are blank.
    pub last_answered: u64,
    /// The lines.
    pub bytes: Bytes,
    /// For lines made from CSV: the row at which each begins. Empty for NDJSON.
    pub rows: Vec<u64>,
    /// What was refused on the way, in order.
    pub refusals: Vec<LocalRefusal>,
    /// How many bytes of the input had been read by then.
    pub position: u64,
}

impl Chunk {
    /// A chunk of NDJSON as it was read.
    pub fn of_lines(first_line: u64, bytes: Bytes, position: u64) -> Self {
        let mut line = first_line - 1;
        let mut last_answered = line;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &bytes) {
            line += 1;
            if !is_blank(&bytes[start..end]) {
                last_answered = line;
            }
            start = end + 1;
        }
        debug_assert_eq!(start, bytes.len(), "a chunk ends with a line end");
        Self { first_line, lines: line + 1 - first_line, last_answered, bytes, position, ..Self::default() }
    }

    /// The last line.
    pub fn last_line(&self) -> u64 {
        self.first_line + self.lines - 1
    }

    /// What is left after `line`.
    #[must_use]
    pub fn after(mut self, line: u64) -> Self {
        self.refusals.retain(|refusal| refusal.before_line > line);
        if line < self.first_line {
            return self;
        }
        let gone = (line + 1 - self.first_line).min(self.lines);
        let mut cursor = Cursor::default();
        cursor.skip(&self.bytes, gone);
        self.bytes = self.bytes.slice(cursor.offset..);
        self.rows.drain(..self.rows.len().min(gone as usize));
        self.first_line += gone;
        self.lines -= gone;
        self.last_answered = self.last_answered.max(self.first_line - 1);
        self
    }
}

/// A place in a chunk that only moves on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor {
    /// Lines passed.
    pub passed: u64,
    /// Where the next line begins.
    pub offset: usize,
}

impl Cursor {
    /// Passes `lines` more lines.
    pub fn skip(&mut self, bytes: &[u8], lines: u64) {
        for _ in 0..lines {
            match memchr(b'\n', &bytes[self.offset..]) {
                Some(end) => self.offset += end + 1,
                None => self.offset = bytes.len(),
            }
            self.passed += 1;
        }
    }

    /// The line at this place, without its line end.
    pub fn line<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        let rest = &bytes[self.offset..];
        memchr(b'\n', rest).map_or(rest, |end| &rest[..end])
    }
}

/// Whether the server would pass over `line`.
pub fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_count_and_get_no_answer() {
        let chunk = Chunk::of_lines(5, Bytes::from_static(b"{}\n\n{}\n \r\n"), 9);
        assert_eq!((chunk.lines, chunk.last_answered, chunk.last_line()), (4, 7, 8));
        let blank = Chunk::of_lines(5, Bytes::from_static(b"\n"), 1);
        assert_eq!((blank.lines, blank.last_answered), (1, 4));
    }

    #[test]
    fn a_chunk_goes_on_after_a_line() {
        let mut chunk = Chunk::of_lines(5, Bytes::from_static(b"a\nb\n\nc\n"), 9);
        chunk.rows = vec![10, 20, 30, 40];
        chunk.refusals = vec![LocalRefusal { before_line: 6, row: 15, reference: None, reason: String::new() }];
        assert_eq!(chunk.clone().after(3).bytes, chunk.bytes);
        assert_eq!(chunk.clone().after(5).refusals.len(), 1);
        let rest = chunk.clone().after(6);
        assert_eq!((&rest.bytes[..], rest.first_line, rest.lines, rest.last_answered), (&b"\nc\n"[..], 7, 2, 8));
        assert_eq!((rest.rows, rest.refusals), (vec![30, 40], vec![]));
        let none = chunk.after(99);
        assert_eq!((none.bytes.len(), none.first_line, none.lines, none.last_answered), (0, 9, 0, 8));
    }
}
