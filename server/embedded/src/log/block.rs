//! The bytes of a block: what one fsync covers. Knows no file.
//!
//! A block is a head and its frames, padded to eight bytes; integers are little-endian:
//!
//! ```text
//! head   magic u32 | crc u32 | payload u32 | frames u32 | generation u64 | sequence u64
//! frame  shard u32 | length u32 | number u64 | crc u32 | zero u32 | bytes, padded to eight
//! ```
//!
//! The head's CRC covers everything after it, so that a block is there as a whole or not at all.
//! A frame's CRC covers the frame alone, so that a reader of one record need not read its block.
//! Both begin with the segment's salt: bytes of another segment, or bytes that somebody put into a
//! record, never pass for a block of this one.

use bytes::Bytes;

/// Bytes before a block's frames.
pub(crate) const HEAD_BYTES: usize = 32;
/// Bytes before a frame's record.
pub(crate) const FRAME_HEAD_BYTES: usize = 24;
/// Blocks and frames begin at multiples of this.
pub(crate) const ALIGN: usize = 8;

const MAGIC: [u8; 4] = *b"omBK";

/// A block's head, as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of all frames, padding included.
    pub(crate) payload: usize,
    /// How many frames follow.
    pub(crate) frames: u32,
    /// The generation of the segment that the block belongs to.
    pub(crate) generation: u64,
    /// The block's number in the whole journal, without gaps.
    pub(crate) sequence: u64,
}

/// One record's place inside a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The shard that the record belongs to.
    pub(crate) shard: u32,
    /// The record's number.
    pub(crate) number: u64,
    /// Where the frame's head begins, counted from the frames' first byte.
    pub(crate) offset: usize,
    /// Bytes of the record.
    pub(crate) length: usize,
}

/// `bytes` rounded up to where the next frame or block may begin.
pub(crate) const fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGN)
}

/// Bytes that a record of `length` bytes takes up inside a block.
pub(crate) const fn frame_bytes(length: usize) -> usize {
    FRAME_HEAD_BYTES + padded(length)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("a slice of four bytes is four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a slice of eight bytes is eight bytes"))
}

/// Builds blocks, one after the other, in one buffer.
#[derive(Debug)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
    frames: u32,
    seed: u32,
}

impl Builder {
    /// An empty block for a segment with this salt.
    pub(crate) fn new(salt: u64) -> Self {
        Self { bytes: Vec::new(), frames: 0, seed: seed(salt) }
    }

    /// Begins anew, for a segment with this salt.
    pub(crate) fn clear(&mut self, salt: u64) {
        self.seed = seed(salt);
        self.frames = 0;
        self.bytes.clear();
        self.bytes.resize(HEAD_BYTES, 0);
    }

    /// Adds a record; returns where its frame begins, counted from the block's first byte.
    pub(crate) fn push(&mut self, shard: u32, number: u64, record: &Bytes) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&shard.to_le_bytes());
        self.bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&number.to_le_bytes());
        let crc = frame_crc(self.seed, &self.bytes[at..at + 16], record);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(record);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.frames += 1;
        at
    }

    /// Bytes of the block as it stands.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Writes the head; the result is what goes into the file with one write.
    pub(crate) fn finish(&mut self, generation: u64, sequence: u64) -> &[u8] {
        let payload = (self.bytes.len() - HEAD_BYTES) as u32;
        self.bytes[0..4].copy_from_slice(&MAGIC);
        self.bytes[8..12].copy_from_slice(&payload.to_le_bytes());
        self.bytes[12..16].copy_from_slice(&self.frames.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&generation.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&sequence.to_le_bytes());
        let crc = crc32c::crc32c_append(self.seed, &self.bytes[8..]);
        self.bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        &self.bytes
    }

    /// Gives memory back after an unusually large block.
    pub(crate) fn shrink(&mut self, keep: usize) {
        if self.bytes.capacity() > keep {
            self.bytes.clear();
            self.bytes.shrink_to(keep);
        }
    }
}

fn seed(salt: u64) -> u32 {
    crc32c::crc32c(&salt.to_le_bytes())
}

fn frame_crc(seed: u32, head: &[u8], record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, head), record)
}

/// Says whether a block may begin with these bytes.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Reads a head; `None` when the bytes are none. Says nothing about the frames yet.
pub(crate) fn head(bytes: &[u8]) -> Option<Head> {
    if bytes.len() < HEAD_BYTES || !begins(bytes) {
        return None;
    }
    let payload = u32_at(bytes, 8) as usize;
    payload.is_multiple_of(ALIGN).then(|| Head {
        payload,
        frames: u32_at(bytes, 12),
        generation: u64_at(bytes, 16),
        sequence: u64_at(bytes, 24),
    })
}

/// Says whether `block`, head and frames, is what was written into the segment with this salt.
pub(crate) fn is_whole(block: &[u8], salt: u64) -> bool {
    block.len() > HEAD_BYTES && crc32c::crc32c_append(seed(salt), &block[8..]) == u32_at(block, 4)
}

/// The frames of a block that [`is_whole`]; `None` when they are not laid out as frames.
pub(crate) fn frames(head: Head, payload: &[u8]) -> Option<Vec<Frame>> {
    let mut found = Vec::with_capacity(head.frames as usize);
    let mut offset = 0;
    while offset < payload.len() {
        let frame = frame(payload, offset)?;
        offset += frame_bytes(frame.length);
        if offset > payload.len() {
            return None;
        }
        found.push(frame);
    }
    (found.len() == head.frames as usize).then_some(found)
}

fn frame(payload: &[u8], offset: usize) -> Option<Frame> {
    let head = payload.get(offset..offset + FRAME_HEAD_BYTES)?;
    Some(Frame { shard: u32_at(head, 0), number: u64_at(head, 8), offset, length: u32_at(head, 4) as usize })
}

/// The record of the frame that begins at `bytes`; `None` when it is not the one that was written.
pub(crate) fn record(bytes: &Bytes, shard: u32, number: u64, salt: u64) -> Option<Bytes> {
    let found = frame(bytes, 0)?;
    let end = FRAME_HEAD_BYTES + found.length;
    if found.shard != shard || found.number != number || bytes.len() < end {
        return None;
    }
    let record = bytes.slice(FRAME_HEAD_BYTES..end);
    (frame_crc(seed(salt), &bytes[0..16], &record) == u32_at(bytes, 16)).then_some(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(salt: u64) -> Vec<u8> {
        let mut builder = Builder::new(salt);
        builder.clear(salt);
        builder.push(3, 7, &Bytes::from_static(b"hello"));
        builder.push(4, 1, &Bytes::new());
        builder.finish(2, 9).to_vec()
    }

    #[test]
    fn reads_back_what_was_built() {
        let bytes = block(5);
        let head = head(&bytes).unwrap();
        assert_eq!(head, Head { payload: bytes.len() - HEAD_BYTES, frames: 2, generation: 2, sequence: 9 });
        assert!(is_whole(&bytes, 5));
        let found = frames(head, &bytes[HEAD_BYTES..]).unwrap();
        assert_eq!(found.iter().map(|f| (f.shard, f.number, f.length)).collect::<Vec<_>>(), [(3, 7, 5), (4, 1, 0)]);
        let frame = Bytes::copy_from_slice(&bytes[HEAD_BYTES + found[0].offset..]);
        assert_eq!(record(&frame, 3, 7, 5).as_deref(), Some(&b"hello"[..]));
        assert_eq!(record(&frame, 3, 8, 5), None);
    }

    #[test]
    fn golden_bytes() {
        let mut builder = Builder::new(0);
        builder.clear(0);
        builder.push(1, 2, &Bytes::from_static(&[0xab]));
        let bytes = builder.finish(3, 4);
        assert_eq!(bytes[0..4], *b"omBK");
        assert_eq!(bytes[8..16], [0x20, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(bytes[16..32], [3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[32..48], [1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[52..64], [0, 0, 0, 0, 0xab, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!([u32_at(bytes, 4), u32_at(bytes, 48)], [0x10c2_e21a, 0xa4d4_9f46]);
    }

    #[test]
    fn every_flipped_bit_and_every_other_salt_is_noticed() {
        let bytes = block(5);
        assert!(!is_whole(&bytes, 6));
        for bit in 8 * 4..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_whole(&flipped, 5), "bit {bit}");
        }
    }
}
