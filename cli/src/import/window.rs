//! The chunks that are on their way: sent or about to be, and not yet answered.
//!
//! Bounded, so that memory does not grow with the file. After a lost connection everything in here
//! is sent again; the orders' references make that harmless.

use std::collections::VecDeque;

use bytes::Bytes;

use super::chunk::{Chunk, Cursor, LocalRefusal, is_blank};

/// How many bytes may be on their way.
pub const WINDOW_BYTES: usize = 16 << 20;

/// The chunks on their way, in order.
#[derive(Debug, Default)]
pub struct Window {
    chunks: VecDeque<Chunk>,
    /// Chunks of the front that the current request has sent.
    sent: usize,
    bytes: usize,
    /// Every line up to this one has been answered.
    settled: u64,
    position: u64,
    cursor: Cursor,
}

impl Window {
    /// A window in which every line up to `settled` has been answered before.
    pub fn after(settled: u64) -> Self {
        Self { settled, ..Self::default() }
    }

    /// Every line up to this one has been answered.
    pub fn settled(&self) -> u64 {
        self.settled
    }

    /// How many bytes of the input are settled.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether another chunk may come in.
    pub fn has_room(&self) -> bool {
        self.bytes < WINDOW_BYTES
    }

    /// Whether the current request has more to send.
    pub fn has_unsent(&self) -> bool {
        self.sent < self.chunks.len()
    }

    /// Whether everything that was sent and gets an answer has got it.
    pub fn sent_is_settled(&self) -> bool {
        self.chunks.iter().take(self.sent).all(|chunk| chunk.last_answered <= self.settled)
    }

    /// Takes in the next chunk.
    pub fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.bytes.len();
        self.chunks.push_back(chunk);
    }

    /// The next bytes to send.
    pub fn send(&mut self) -> Option<Bytes> {
        let bytes = self.chunks.get(self.sent)?.bytes.clone();
        self.sent += 1;
        Some(bytes)
    }

    /// Begins a new request: what has been answered is dropped, everything else is sent again.
    /// Returns the number of the line before its first.
    pub fn rewind(&mut self) -> u64 {
        self.sent = 0;
        if let Some(front) = self.chunks.pop_front() {
            self.bytes -= front.bytes.len();
            let rest = front.after(self.settled);
            self.bytes += rest.bytes.len();
            self.chunks.push_front(rest);
        }
        self.cursor = Cursor::default();
        self.chunks.front().map_or(self.settled, |front| front.first_line - 1)
    }

    /// The text of `line` and the row it was made from. Lines can be looked at in their order only.
    pub fn line(&mut self, line: u64) -> Option<(&[u8], Option<u64>)> {
        let front = self.chunks.front()?;
        let index = line.checked_sub(front.first_line).filter(|index| *index < front.lines)?;
        self.cursor.skip(&front.bytes, index.checked_sub(self.cursor.passed)?);
        Some((self.cursor.line(&front.bytes), front.rows.get(index as usize).copied()))
    }

    /// Whether `line` was sent and waits for its answer.
    pub fn awaits(&self, line: u64) -> bool {
        let sent = self.chunks.iter().take(self.sent);
        line > self.settled && sent.last().is_some_and(|last| line <= last.last_line())
    }

    /// What was refused here before `line` goes to `refused`.
    pub fn take_refusals(&mut self, line: u64, refused: &mut Vec<LocalRefusal>) {
        if let Some(front) = self.chunks.front_mut().filter(|front| !front.refusals.is_empty()) {
            let due = front.refusals.partition_point(|refusal| refusal.before_line <= line);
            refused.extend(front.refusals.drain(..due));
        }
    }

    /// `line` has been answered, and so has everything before it.
    pub fn settle(&mut self, line: u64, refused: &mut Vec<LocalRefusal>) {
        debug_assert!(line > self.settled, "answers come in order");
        self.settled = line;
        self.release(refused);
    }

    /// Whether a line between the last settled one and `line` waits for an answer too.
    pub fn passes_over(&mut self, line: u64) -> bool {
        (self.settled + 1..line).any(|between| self.line(between).is_some_and(|(text, _)| !is_blank(text)))
    }

    /// Lets go of chunks that are answered. Call it also after sending: a chunk may hold nothing
    /// that gets an answer.
    pub fn release(&mut self, refused: &mut Vec<LocalRefusal>) {
        while self.sent > 0 && self.release_front(refused) {
            self.sent -= 1;
        }
    }

    /// Between two requests: lets go of what need not be sent, because nothing in it gets an answer.
    pub fn skip_silent(&mut self, refused: &mut Vec<LocalRefusal>) {
        self.sent = 0;
        while self.release_front(refused) {}
    }

    fn release_front(&mut self, refused: &mut Vec<LocalRefusal>) -> bool {
        let Some(front) = self.chunks.front_mut().filter(|front| front.last_answered <= self.settled) else {
            return false;
        };
        refused.append(&mut front.refusals);
        self.settled = self.settled.max(front.last_line());
        self.position = front.position;
        self.bytes -= front.bytes.len();
        self.chunks.pop_front();
        self.cursor = Cursor::default();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window() -> Window {
        let mut window = Window::default();
        window.push(Chunk::of_lines(1, Bytes::from_static(b"a\nb\n"), 4));
        window.push(Chunk::of_lines(3, Bytes::from_static(b"c\n\nd\n\n"), 10));
        window
    }

    #[test]
    fn lines_settle_in_order_and_chunks_go() {
        let (mut window, mut refused) = (window(), Vec::new());
        assert_eq!(window.rewind(), 0);
        assert_eq!(window.send().as_deref(), Some(&b"a\nb\n"[..]));
        assert_eq!(window.line(1).map(|(text, _)| text.to_vec()), Some(b"a".to_vec()));
        assert_eq!(window.line(2).map(|(text, _)| text.to_vec()), Some(b"b".to_vec()));
        window.settle(2, &mut refused);
        assert_eq!((window.position(), window.has_unsent(), window.sent_is_settled()), (4, true, true));
        assert!(window.send().is_some() && window.send().is_none());
        assert!(!window.sent_is_settled());
        window.settle(3, &mut refused);
        assert!(!window.passes_over(5), "line 4 is blank");
        assert_eq!(window.line(5).map(|(text, _)| text.to_vec()), Some(b"d".to_vec()));
        window.settle(5, &mut refused);
        assert!(window.is_empty());
        assert_eq!((window.settled(), window.position()), (6, 10));
    }

    #[test]
    fn a_new_request_begins_after_what_is_settled() {
        let (mut window, mut refused) = (window(), Vec::new());
        window.rewind();
        while window.send().is_some() {}
        window.settle(1, &mut refused);
        assert_eq!(window.rewind(), 1);
        assert_eq!(window.send().as_deref(), Some(&b"b\n"[..]));
        assert_eq!(window.line(2).map(|(text, _)| text.to_vec()), Some(b"b".to_vec()));
        window.settle(2, &mut refused);
        window.settle(3, &mut refused);
        assert_eq!(window.rewind(), 3);
        assert_eq!(window.send().as_deref(), Some(&b"\nd\n\n"[..]));
    }

    #[test]
    fn a_line_without_an_answer_is_noticed() {
        let mut window = window();
        window.rewind();
        window.send();
        assert!(!window.passes_over(1));
        assert!(window.passes_over(2));
        assert!(!window.awaits(0) && window.awaits(1) && window.awaits(2) && !window.awaits(3), "sent are 1 and 2");
    }

    #[test]
    fn local_refusals_come_out_with_the_lines_before_them() {
        let refusal = |before_line| LocalRefusal { before_line, row: 1, reference: None, reason: String::new() };
        let (mut window, mut refused) = (Window::default(), Vec::new());
        let mut chunk = Chunk::of_lines(1, Bytes::from_static(b"a\nb\n"), 4);
        chunk.refusals = vec![refusal(1), refusal(2), refusal(3)];
        window.push(chunk);
        window.rewind();
        window.send();
        window.take_refusals(1, &mut refused);
        assert_eq!(refused.len(), 1);
        window.settle(1, &mut refused);
        window.settle(2, &mut refused);
        assert_eq!(refused.len(), 3);

        let mut alone = Chunk { first_line: 3, last_answered: 2, ..Chunk::default() };
        alone.refusals = vec![refusal(3)];
        window.push(alone);
        window.send();
        window.release(&mut refused);
        assert_eq!((refused.len(), window.is_empty(), window.settled()), (4, true, 2));
    }
}
