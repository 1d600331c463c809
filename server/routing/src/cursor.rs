//! Where a reader of the event feed is: a frontier over the shards, those that were split included.
//!
//! A shard that was split is read to its end, and then its place is taken by those it was split into, from their
//! beginning. So the shards of a cursor have every slot once, whatever was split since it was made. Reads nothing.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ordermill_store::ShardId;

use crate::view::View;

/// A format byte, then as LEB128: the version of a map that has these shards, and per shard its number, the
/// number of the last record that was read whole, and how many events of the next one.
const FORMAT: u8 = 2;
/// The same without the version and the shards' numbers: those count from 0. Read, and written no more.
const FORMAT_BEFORE_SPLITS: u8 = 1;

/// How far one shard has been read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) record: u64,
    pub(crate) events: u64,
}

/// How far every shard has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Maps of this version, and newer ones, know all of its shards.
    pub(crate) version: u64,
    pub(crate) positions: BTreeMap<ShardId, Position>,
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

impl Cursor {
    pub(crate) fn to_text(&self) -> String {
        let mut bytes = vec![FORMAT];
        put_number(&mut bytes, self.version);
        for (shard, position) in &self.positions {
            put_number(&mut bytes, shard.0.into());
            put_number(&mut bytes, position.record);
            put_number(&mut bytes, position.events);
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor; `None` when it is none.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (&format, mut rest) = bytes.split_first()?;
        let version = match format {
            FORMAT => take_number(&mut rest)?,
            FORMAT_BEFORE_SPLITS => 0,
            _ => return None,
        };
        let mut positions = BTreeMap::new();
        while !rest.is_empty() {
            let shard = match format {
                FORMAT => u32::try_from(take_number(&mut rest)?).ok()?,
                _ => positions.len() as u32,
            };
            let position = Position { record: take_number(&mut rest)?, events: take_number(&mut rest)? };
            if positions.insert(ShardId(shard), position).is_some() {
                return None;
            }
        }
        // There is no feed without a shard.
        (!positions.is_empty()).then_some(Self { version, positions })
    }

    /// How far a shard has been read.
    pub(crate) fn position(&mut self, shard: ShardId) -> &mut Position {
        self.positions.entry(shard).or_default()
    }

    /// Whether its shards have every slot once, by a map that knows all of them.
    pub(crate) fn fits(&self, view: &View) -> bool {
        let mut found = 0;
        let mut next = roots(view);
        while let Some(shard) = next.pop() {
            match view.was_split(shard) {
                _ if self.positions.contains_key(&shard) => found += 1,
                Some(one) => next.extend([one.split.left, one.split.right]),
                None => return false,
            }
        }
        found == self.positions.len()
    }

    /// Goes on from every split shard that was read to its end to those it was split into; says whether there
    /// was one.
    pub(crate) fn advance(&mut self, view: &View) -> bool {
        let ended = view
            .split()
            .iter()
            .filter(|one| self.positions.get(&one.id).is_some_and(|position| position.record >= one.number));
        let ended: Vec<_> = ended.collect();
        for one in &ended {
            self.positions.remove(&one.id);
            self.positions.extend([one.split.left, one.split.right].map(|child| (child, Position::default())));
            self.version = self.version.max(view.version);
        }
        !ended.is_empty()
    }

    /// Takes every split shard for one that was read to its end.
    #[cfg(feature = "planted-faults")]
    pub(crate) fn pass_over(&mut self, view: &View) {
        for one in view.split() {
            if let Some(position) = self.positions.get_mut(&one.id) {
                position.record = position.record.max(one.number);
            }
        }
    }
}

/// The shards that were split from none.
pub(crate) fn roots(view: &View) -> Vec<ShardId> {
    let children: BTreeSet<ShardId> = view.split().iter().flat_map(|one| [one.split.left, one.split.right]).collect();
    let all = view.places().iter().map(|place| place.id).chain(view.split().iter().map(|one| one.id));
    all.filter(|shard| !children.contains(shard)).collect()
}

#[cfg(test)]
mod tests {
    use ordermill_members::{Split, WasSplit};
    use ordermill_order::SlotRange;
    use proptest::prelude::*;

    use super::*;
    use crate::view::{Owner, Place};

    /// A map of `shards` shards of which one after the other was split: `picks` says which, and how long it was.
    fn view(shards: u32, picks: &[(usize, u64)]) -> View {
        let mut leaves: Vec<(ShardId, SlotRange)> =
            (0..shards).map(|index| (ShardId(index), ordermill_members::range_of(index, shards))).collect();
        let (mut split, mut next) = (Vec::new(), shards);
        for &(pick, number) in picks {
            let place = pick % leaves.len();
            let (id, SlotRange { first, last }) = leaves[place];
            let at = first + (last - first) / 2 + 1;
            let (left, right) = (ShardId(next), ShardId(next + 1));
            next += 2;
            let both = [(left, SlotRange { first, last: at - 1 }), (right, SlotRange { first: at, last })];
            leaves.splice(place..=place, both);
            split.push(WasSplit { id, number, split: Split { at, left, right }, split_ms: 0 });
        }
        split.sort_by_key(|one| one.id);
        let places = leaves.into_iter().map(|(id, range)| Place { id, range, owner: Owner::Nobody }).collect();
        View::new(1 + picks.len() as u64, places, split)
    }

    fn cursor(version: u64, positions: &[(u32, u64, u64)]) -> Cursor {
        let position = |&(shard, record, events)| (ShardId(shard), Position { record, events });
        Cursor { version, positions: positions.iter().map(position).collect() }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let cursor = cursor(900, &[(0, 300, 2), (7, u64::MAX, 0), (131_071, 0, 0)]);
        let text = cursor.to_text();
        assert_eq!(Cursor::of_text(&text), Some(cursor.clone()));
        assert_eq!(text, "AoQHAKwCAgf___________8BAP__BwAA");
        let with = |bytes: &[u8]| Cursor::of_text(&URL_SAFE_NO_PAD.encode(bytes));
        for nonsense in
            [&[][..], &[2], &[2, 5], &[2, 5, 0], &[2, 5, 0, 1], &[2, 5, 0, 1, 0, 0, 1, 0], &[3, 1, 1, 1, 1], &[1]]
        {
            assert_eq!(with(nonsense), None, "{nonsense:?}");
        }
        assert_eq!(Cursor::of_text("nonsense!"), None);
    }

    #[test]
    fn a_cursor_from_before_there_were_splits_goes_on() {
        let text = URL_SAFE_NO_PAD.encode([1, 7, 0, 9, 1]);
        let mut old = Cursor::of_text(&text).unwrap();
        assert_eq!(old, cursor(0, &[(0, 7, 0), (1, 9, 1)]));
        assert!(old.fits(&view(2, &[])) && !old.fits(&view(3, &[])) && !old.fits(&view(1, &[])));
        let split = view(2, &[(0, 7)]);
        assert!(old.fits(&split));
        assert!(old.advance(&split) && !old.advance(&split));
        assert_eq!(old, cursor(2, &[(1, 9, 1), (2, 0, 0), (3, 0, 0)]));
    }

    #[test]
    fn a_cursor_of_other_shards_does_not_fit() {
        let split = view(2, &[(0, 7)]);
        for (fits, positions) in [
            (true, vec![(0, 1, 0), (1, 1, 0)]),
            (true, vec![(1, 1, 0), (2, 1, 0), (3, 1, 0)]),
            (false, vec![(1, 1, 0), (2, 1, 0)]),
            (false, vec![(0, 1, 0), (1, 1, 0), (2, 1, 0)]),
            (false, vec![(0, 1, 0), (1, 1, 0), (9, 1, 0)]),
            (false, vec![(0, 1, 0)]),
        ] {
            assert_eq!(cursor(1, &positions).fits(&split), fits, "{positions:?}");
        }
    }

    proptest! {
        /// Whoever reads shard after shard, in any order and as far as he likes each time, while they are being
        /// split, reads every record once, and those of a shard before those of its children.
        #[test]
        fn every_record_is_read_once_across_splits(
            shards in 1_u32..4,
            picks in prop::collection::vec((0_usize..8, 1_u64..6), 0..6),
            reads in prop::collection::vec((0_usize..8, 1_u64..4, 0_usize..7), 0..60),
            last in 0_u64..4,
        ) {
            let views: Vec<View> = (0..=picks.len()).map(|done| view(shards, &picks[..done])).collect();
            let mut at = cursor(1, &(0..shards).map(|shard| (shard, 0, 0)).collect::<Vec<_>>());
            let (mut seen, mut known) = (Vec::new(), 0);
            // Journals as the last map has them: a shard that is split later grows until then.
            let end = &views[picks.len()];
            let ends = |shard: ShardId| end.was_split(shard).map_or(last, |one| one.number);
            let all = (0..200).map(|step| (step, 1, step + 6));
            for (pick, count, newer) in reads.into_iter().chain(all) {
                // A member that knows an older map than the cursor waits for a newer one.
                known = (known + newer / 6).min(picks.len()).max(at.version as usize - 1);
                let view = &views[known];
                prop_assert!(at.fits(view));
                at.advance(view);
                let shards: Vec<ShardId> = at.positions.keys().copied().collect();
                let shard = shards[pick % shards.len()];
                let position = at.positions.get_mut(&shard).unwrap();
                let to = (position.record + count).min(ends(shard));
                seen.extend((position.record + 1..=to).map(|record| (shard, record)));
                position.record = position.record.max(to);
                at = Cursor::of_text(&at.to_text()).unwrap();
            }
            for (place, (shard, record)) in seen.iter().enumerate() {
                let before = &seen[..place];
                let follows = *record == 1 || before.contains(&(*shard, record - 1));
                prop_assert!(follows && !before.contains(&(*shard, *record)), "{shard}/{record}");
                let parent = end.split().iter().find(|one| one.split.left == *shard || one.split.right == *shard);
                prop_assert!(parent.is_none_or(|parent| before.contains(&(parent.id, parent.number))));
            }
            let wanted: u64 = end.split().iter().map(|one| one.number).sum::<u64>() + last * end.places().len() as u64;
            prop_assert_eq!(seen.len() as u64, wanted);
        }
    }
}
