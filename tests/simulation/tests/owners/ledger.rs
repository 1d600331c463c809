//! What everybody was told, and whether it fits together.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// Values of rows: the mark of the record that wrote them last.
pub(crate) type Image = BTreeMap<u8, u64>;

/// A record: its mark, which no other record has, and the rows that it writes (0: deletes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mark: u64,
    pub(crate) rows: Vec<(u8, bool)>,
}

impl Entry {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = self.mark.to_be_bytes().to_vec();
        for (row, there) in &self.rows {
            bytes.extend([*row, u8::from(*there)]);
        }
        bytes.into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let (mark, rows) = bytes.split_at(8);
        let mark = u64::from_be_bytes(mark.try_into().unwrap());
        Self { mark, rows: rows.chunks(2).map(|row| (row[0], row[1] == 1)).collect() }
    }

    pub(crate) fn apply(&self, image: &mut Image) {
        for (row, there) in &self.rows {
            if *there {
                image.insert(*row, self.mark);
            } else {
                image.remove(row);
            }
        }
    }
}

/// The whole truth, as far as anybody was told.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Records that were acknowledged, and by which owner.
    pub(crate) acknowledged: BTreeMap<u64, (String, Bytes)>,
    /// Records that somebody has read, or was acknowledged.
    pub(crate) seen: BTreeMap<u64, Bytes>,
    /// Records whose append was said to have written nothing.
    refused: BTreeMap<Bytes, String>,
    /// The marks of all records so far.
    marks: u64,
    pub(crate) wrong: Vec<String>,
}

impl Ledger {
    /// A record like no other.
    pub(crate) fn entry(&mut self, rows: BTreeSet<(u8, bool)>) -> Entry {
        self.marks += 1;
        Entry { mark: self.marks, rows: rows.into_iter().collect() }
    }

    pub(crate) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    pub(crate) fn acknowledge(&mut self, number: u64, bytes: &Bytes, who: &str) {
        if let Some((other, _)) = self.acknowledged.insert(number, (who.to_owned(), bytes.clone())) {
            self.wrong(format!("record {number} was acknowledged to {other} and to {who}"));
        }
        self.see(number, bytes, who);
    }

    pub(crate) fn see(&mut self, number: u64, bytes: &Bytes, who: &str) {
        if let Some(told) = self.refused.get(bytes) {
            let told = format!("{who} reads record {number}, of which its owner was told: {told}");
            self.wrong(told);
        }
        let before = self.seen.entry(number).or_insert_with(|| bytes.clone());
        if before != bytes {
            let before = Entry::decode(before).mark;
            let now = Entry::decode(bytes).mark;
            self.wrong(format!("{who} reads {now} at {number}, where somebody has read {before}"));
        }
    }

    pub(crate) fn refuse(&mut self, bytes: &Bytes, told: String) {
        if let Some((number, _)) = self.seen.iter().find(|(_, seen)| *seen == bytes) {
            let number = *number;
            self.wrong(format!("record {number} was read, and its owner is told: {told}"));
        }
        self.refused.insert(bytes.clone(), told);
    }

    /// The last number that was acknowledged.
    pub(crate) fn last(&self) -> u64 {
        self.acknowledged.keys().next_back().copied().unwrap_or(0)
    }

    /// The rows after all records up to `number`; what nobody has seen is wrong.
    pub(crate) fn image(&mut self, number: u64) -> Image {
        let mut image = Image::new();
        for at in 1..=number {
            match self.seen.get(&at) {
                Some(bytes) => Entry::decode(bytes).apply(&mut image),
                None => self.wrong.push(format!("record {at} is contained in the rows, and nobody has seen it")),
            }
        }
        image
    }
}
