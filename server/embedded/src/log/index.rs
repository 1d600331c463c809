//! Where the records of one segment are: eight bytes per record.
//!
//! A shard has at most one append under way, so a block holds at most one of its records: an index
//! by blocks would be as long as one by records, and this one lets a reader of one shard step over
//! the records of the others. The numbers of a shard have no gaps, so only the places are kept.

use super::block::{FRAME_HEAD_BYTES, padded};

/// Where a frame is in its file, its head included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    offset: u32,
    length: u32,
}

impl Place {
    /// The place of a frame at `offset` whose record has `length` bytes.
    pub(crate) fn new(offset: u64, length: usize) -> Self {
        let offset = u32::try_from(offset).expect("a segment is smaller than 4 GiB");
        Self { offset, length: length as u32 }
    }

    /// Where the frame's head begins.
    pub(crate) fn begin(self) -> u64 {
        u64::from(self.offset)
    }

    /// Where the record ends.
    pub(crate) fn end(self) -> u64 {
        self.begin() + FRAME_HEAD_BYTES as u64 + u64::from(self.length)
    }

    /// Bytes of the record.
    pub(crate) fn length(self) -> usize {
        self.length as usize
    }
}

/// Where the records of a segment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    shards: Vec<Numbers>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbers {
    first: u64,
    places: Vec<Place>,
}

impl Index {
    /// An index of a segment in which the shards begin with these numbers.
    pub(crate) fn new(first: &[u64]) -> Self {
        Self { shards: first.iter().map(|&first| Numbers { first, places: Vec::new() }).collect() }
    }

    /// The number that `shard` has next; `None` for a shard that does not exist.
    pub(crate) fn next(&self, shard: u32) -> Option<u64> {
        self.shards.get(shard as usize).map(|numbers| numbers.first + numbers.places.len() as u64)
    }

    /// Adds the place of the next record of `shard`.
    pub(crate) fn push(&mut self, shard: u32, place: Place) {
        self.shards[shard as usize].places.push(place);
    }

    /// The places of records of `shard` from number `from` on.
    pub(crate) fn from(&self, shard: u32, from: u64) -> &[Place] {
        let numbers = &self.shards[shard as usize];
        let skip = from.saturating_sub(numbers.first).min(numbers.places.len() as u64);
        &numbers.places[skip as usize..]
    }

    /// Bytes of memory in use.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.shards.iter().map(|numbers| numbers.places.capacity() * size_of::<Place>()).sum()
    }
}

/// Places that are read with one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Number of the first record.
    pub(crate) first: u64,
    /// The frames, in the order of the file.
    pub(crate) places: Vec<Place>,
}

/// Bytes of other shards' records that are read along instead of beginning another call.
const GAP_BYTES: u64 = 4096;
/// Bytes that one call reads at most, unless one record is larger.
const RUN_BYTES: u64 = 1 << 20;

/// Takes places until `max_bytes` are reached, at least one, and puts neighbours together.
/// Returns the runs and the bytes of their records.
pub(crate) fn runs(places: &[Place], first: u64, max_bytes: usize) -> (Vec<Run>, usize) {
    let mut runs: Vec<Run> = Vec::new();
    let mut bytes = 0;
    for (&place, number) in places.iter().zip(first..) {
        if bytes > 0 && bytes + place.length() > max_bytes {
            break;
        }
        // An empty record counts too: a page of them has an end.
        bytes += padded(place.length().max(1));
        match runs.last_mut() {
            Some(run) if belongs(run, place) => run.places.push(place),
            _ => runs.push(Run { first: number, places: vec![place] }),
        }
    }
    (runs, bytes)
}

fn belongs(run: &Run, place: Place) -> bool {
    let (begin, end) = (run.places[0].begin(), run.places[run.places.len() - 1].end());
    place.begin() - end <= GAP_BYTES && place.end() - begin <= RUN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_places_by_number() {
        let mut index = Index::new(&[1, 100]);
        index.push(1, Place::new(4096, 10));
        index.push(1, Place::new(8192, 20));
        assert_eq!(index.next(1), Some(102));
        assert_eq!(index.next(2), None);
        assert_eq!(index.from(1, 101), [Place::new(8192, 20)]);
        assert_eq!(index.from(1, 102), []);
        assert_eq!(index.from(0, 1), []);
    }

    #[test]
    fn neighbours_are_read_together() {
        let places = [Place::new(0, 100), Place::new(160, 100), Place::new(100_000, 100), Place::new(2_000_000, 100)];
        let (all, _) = runs(&places, 7, usize::MAX);
        assert_eq!(all.iter().map(|run| (run.first, run.places.len())).collect::<Vec<_>>(), [(7, 2), (9, 1), (10, 1)]);
        let (one, _) = runs(&places, 7, 1);
        assert_eq!(one.iter().map(|run| run.places.len()).sum::<usize>(), 1);
    }
}
