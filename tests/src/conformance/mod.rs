//! What every store must do, as functions over the `Store` trait.
//!
//! An implementation says with [`Place`] where a new store is and how it is opened, and runs
//! everything with [`store_conformance!`](crate::store_conformance). Knows no implementation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod opened;
mod sealed;

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use ordermill_store::keys::{Key, Kind};
use ordermill_store::{Error, Extent, Page, Record, ShardId, Store};
use parking_lot::Mutex;

use self::opened::{FENCE, Opened};
pub use self::sealed::{a_seal_and_a_takeover_exclude_each_other, a_sealed_journal_stays_as_it_is};

/// Where one store is. Nobody else uses it, and it is empty at first.
#[async_trait::async_trait]
pub trait Place: Send + Sync {
    /// Opens the store, or opens it again after `close`.
    async fn open(&self) -> Arc<dyn Store>;
    /// The cluster that the store was made for.
    fn cluster(&self) -> u32;
}

/// Shards that a store under test has at least.
pub const SHARDS: u32 = 4;

const A: ShardId = ShardId(0);
const B: ShardId = ShardId(1);

/// Runs every function of the suite as a test of its own; the argument makes a new
/// [`Place`](crate::conformance::Place).
#[macro_export]
macro_rules! store_conformance {
    ($place:expr) => {
        $crate::store_conformance!(@ $place,
            a_new_store_is_empty,
            records_read_back_in_pages,
            a_page_holds_at_least_one_record,
            numbers_have_no_gaps_and_no_repeats,
            shards_do_not_see_each_other,
            records_may_be_empty_and_have_a_largest_size,
            appends_of_all_shards_at_once,
            readers_follow_the_tail,
            rows_and_mark_change_together,
            a_mark_stays_between_the_last_one_and_the_journal,
            scans_go_from_bound_to_bound,
            many_rows_survive_many_flushes,
            shards_that_flush_at_once_have_what_is_theirs,
            trimming_stops_at_the_mark,
            below_the_trim_mark_nothing_is_read,
            values_change_only_as_expected,
            one_of_many_writers_wins,
            everything_is_there_after_opening_again,
            an_owner_begins_where_the_last_one_ended,
            only_one_owner_can_prove_and_write,
            a_sealed_journal_stays_as_it_is,
            a_seal_and_a_takeover_exclude_each_other,
        );
    };
    (@ $place:expr, $($name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                $crate::conformance::$name(&$place).await;
            }
        )*
    };
}

fn key(place: &dyn Place, slot: u16, rest: &str) -> Bytes {
    Key { cluster: place.cluster(), slot, kind: Kind::Item, tenant: "", rest: rest.as_bytes() }.encode().to_bytes()
}

fn record(number: u64, bytes: usize) -> Bytes {
    let mut record = vec![number as u8; bytes.max(8)];
    record[..8].copy_from_slice(&number.to_le_bytes());
    record.into()
}

async fn fill(store: &Opened, shard: ShardId, numbers: std::ops::RangeInclusive<u64>, bytes: usize) {
    for number in numbers {
        store.append(shard, number, record(number, bytes)).await.unwrap();
    }
}

async fn read_all(store: &Opened, shard: ShardId, mut after: u64, max_bytes: usize) -> Vec<Record> {
    let mut all = Vec::new();
    loop {
        let page = store.read(shard, after, max_bytes).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = last.number;
        all.extend(page);
    }
}

fn kind<T: std::fmt::Debug>(done: Result<T, Error>) -> &'static str {
    done.unwrap_err().kind()
}

/// Nothing is there, and asking for it is no error.
pub async fn a_new_store_is_empty(place: &dyn Place) {
    let store = Opened::at(place).await;
    assert_eq!(store.extent(A).await.unwrap(), Extent::default());
    assert_eq!(store.read(A, 0, 1 << 20).await.unwrap(), []);
    assert_eq!(store.get(&[key(place, 1, "a")]).await.unwrap(), [None]);
    assert_eq!(store.get(&[]).await.unwrap(), []);
    assert_eq!(store.scan(Bound::Unbounded, Bound::Unbounded, 10).await.unwrap(), Page::default());
    assert_eq!(store.load("map").await.unwrap(), None);
}

/// Records come back in order, without gaps, as they were written, whatever the page.
pub async fn records_read_back_in_pages(place: &dyn Place) {
    let store = Opened::at(place).await;
    for number in 1..=200 {
        store.append(A, number, record(number, 10 + number as usize * 7)).await.unwrap();
    }
    assert_eq!(store.extent(A).await.unwrap().last, 200);
    for max_bytes in [1, 700, 100_000, usize::MAX] {
        let all = read_all(&store, A, 0, max_bytes).await;
        assert_eq!(all.len(), 200);
        for (found, number) in all.iter().zip(1..) {
            assert_eq!((found.number, &found.bytes), (number, &record(number, 10 + number as usize * 7)));
        }
    }
    let few = store.read(A, 100, 3_000).await.unwrap();
    assert!((1..=10).contains(&few.len()), "a page is about as large as asked for, not {} records", few.len());
    assert_eq!(few[0].number, 101);
    assert_eq!(store.read(A, 200, 1000).await.unwrap(), []);
    assert_eq!(store.read(A, 300, 1000).await.unwrap(), []);
}

/// A record larger than the page comes alone.
pub async fn a_page_holds_at_least_one_record(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=3, 50_000).await;
    for max_bytes in [0, 1, 10_000] {
        let page = store.read(A, 1, max_bytes).await.unwrap();
        assert_eq!(page.iter().map(|found| found.number).collect::<Vec<_>>(), [2]);
    }
}

/// Anything but the next number is refused, and nothing of it is written.
pub async fn numbers_have_no_gaps_and_no_repeats(place: &dyn Place) {
    let store = Opened::at(place).await;
    let refused = |done: Result<(), Error>| ["invalid", "fenced"].contains(&kind(done));
    assert!(refused(store.append(A, 0, record(0, 8)).await));
    assert_eq!(kind(store.append(A, 2, record(2, 8)).await), "invalid");
    fill(&store, A, 1..=2, 20).await;
    assert!(refused(store.append(A, 2, record(77, 20)).await));
    assert!(refused(store.append(A, 1, record(77, 20)).await));
    assert_eq!(kind(store.append(A, 4, record(4, 20)).await), "invalid");
    store.append(A, 3, record(3, 20)).await.unwrap();
    let all = read_all(&store, A, 0, 1 << 20).await;
    assert_eq!(all, (1..=3).map(|number| Record { number, bytes: record(number, 20) }).collect::<Vec<_>>());
}

/// Each shard has numbers, extent and records of its own; a shard that is not there is refused.
pub async fn shards_do_not_see_each_other(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=5, 100).await;
    fill(&store, B, 1..=2, 200).await;
    fill(&store, A, 6..=7, 100).await;
    assert_eq!(read_all(&store, A, 0, 1 << 20).await.len(), 7);
    assert_eq!(read_all(&store, B, 0, 1 << 20).await.len(), 2);
    store.flush(A, vec![], 6).await.unwrap();
    assert_eq!(store.extent(A).await.unwrap(), Extent { checkpoint: 6, trimmed: 0, last: 7 });
    assert_eq!(store.extent(B).await.unwrap(), Extent { checkpoint: 0, trimmed: 0, last: 2 });
}

/// From nothing to 1 MiB.
pub async fn records_may_be_empty_and_have_a_largest_size(place: &dyn Place) {
    let store = Opened::at(place).await;
    let largest = ordermill_station::limits::RECORD_BYTES;
    store.append(A, 1, Bytes::new()).await.unwrap();
    store.append(A, 2, record(2, largest)).await.unwrap();
    assert_eq!(kind(store.append(A, 3, record(3, largest + 1)).await), "invalid");
    store.append(A, 3, Bytes::new()).await.unwrap();
    let all = read_all(&store, A, 0, 1 << 20).await;
    assert_eq!(all.iter().map(|found| found.bytes.len()).collect::<Vec<_>>(), [0, largest, 0]);
    assert_eq!(all[1].bytes, record(2, largest));
}

/// Shards append side by side without getting into each other's way.
pub async fn appends_of_all_shards_at_once(place: &dyn Place) {
    let store = Opened::at(place).await;
    let mut shards = tokio::task::JoinSet::new();
    for shard in 0..SHARDS {
        let store = Arc::clone(&store);
        shards.spawn(async move { fill(&store, ShardId(shard), 1..=50, 300 + shard as usize).await });
    }
    while let Some(done) = shards.join_next().await {
        done.unwrap();
    }
    for shard in 0..SHARDS {
        let all = read_all(&store, ShardId(shard), 0, 4_000).await;
        assert_eq!(all.len(), 50);
        assert!(all.iter().zip(1..).all(|(found, number)| found.bytes == record(number, 300 + shard as usize)));
    }
}

/// What is acknowledged can be read at once, and what is read is acknowledged or becomes so.
pub async fn readers_follow_the_tail(place: &dyn Place) {
    let store = Opened::at(place).await;
    let writer = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for number in 1..=150 {
                store.append(A, number, record(number, 500)).await.unwrap();
                assert_eq!(store.read(A, number - 1, 1).await.unwrap()[0].number, number);
            }
        }
    });
    let mut seen = 0;
    while seen < 150 {
        for found in store.read(A, seen, 10_000).await.unwrap() {
            assert_eq!((found.number, found.bytes), (seen + 1, record(seen + 1, 500)));
            seen += 1;
        }
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

/// A flush adds, replaces and deletes rows, and moves the mark.
pub async fn rows_and_mark_change_together(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=3, 20).await;
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|rest| key(place, 1, rest));
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    store.flush(A, vec![(a.clone(), value("1")), (b.clone(), value("")), (c.clone(), value("3"))], 2).await.unwrap();
    assert_eq!(store.extent(A).await.unwrap().checkpoint, 2);
    let keys = [c.clone(), d.clone(), a.clone(), b.clone(), c.clone()];
    assert_eq!(store.get(&keys).await.unwrap(), [value("3"), None, value("1"), value(""), value("3")]);
    store.flush(A, vec![(a.clone(), None), (c.clone(), value("4")), (d.clone(), None)], 3).await.unwrap();
    assert_eq!(store.get(&keys).await.unwrap(), [value("4"), None, None, value(""), value("4")]);
    assert_eq!(store.extent(A).await.unwrap(), Extent { checkpoint: 3, trimmed: 0, last: 3 });
}

/// A mark goes neither back nor past the last record.
pub async fn a_mark_stays_between_the_last_one_and_the_journal(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=3, 20).await;
    assert_eq!(kind(store.flush(A, vec![], 4).await), "invalid");
    store.flush(A, vec![], 2).await.unwrap();
    assert_eq!(kind(store.flush(A, vec![], 1).await), "invalid");
    store.flush(A, vec![(key(place, 1, "a"), Some(Bytes::from_static(b"x")))], 2).await.unwrap();
    assert_eq!(store.extent(A).await.unwrap().checkpoint, 2);
    assert_eq!(store.get(&[key(place, 1, "a")]).await.unwrap(), [Some(Bytes::from_static(b"x"))]);
}

/// Flushes of all shards at the same time, a wrong one among them: each has its own answer, its rows
/// and its mark.
pub async fn shards_that_flush_at_once_have_what_is_theirs(place: &dyn Place) {
    let store = Opened::at(place).await;
    for shard in 0..SHARDS {
        fill(&store, ShardId(shard), 1..=20, 20).await;
    }
    let mut flushes = Vec::new();
    for round in 1..=20_u64 {
        for shard in 0..SHARDS {
            // Rows of all shards lie between each other, as timers of one band do.
            let rows = (0..10).map(|at| (key(place, 1, &format!("{round:02} {at} {shard}")), Some(record(round, 8))));
            let wrong = if shard == 1 { 100 } else { 0 };
            flushes.push((store.clone(), ShardId(shard), rows.collect(), round + wrong));
        }
        let running = flushes.drain(..).map(async |(store, shard, rows, checkpoint)| {
            (shard, store.flush(shard, rows, checkpoint).await.err().map(|error| error.kind()))
        });
        for (shard, failed) in futures::future::join_all(running).await {
            assert_eq!(failed, (shard == B).then_some("invalid"), "shard {shard} in round {round}");
            let mark = if shard == B { 0 } else { round };
            assert_eq!(store.extent(shard).await.unwrap().checkpoint, mark, "shard {shard}");
        }
    }
    let page = store.scan(Bound::Unbounded, Bound::Unbounded, 10_000).await.unwrap();
    assert_eq!(page.rows.len(), 20 * 10 * (SHARDS as usize - 1));
    assert!(page.rows.iter().all(|(key, _)| !key.ends_with(b" 1")), "nothing of a flush that was refused");
}

/// Bounds are kept to, limits too, and a page says whether there is more.
pub async fn scans_go_from_bound_to_bound(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=1, 20).await;
    let keys: Vec<Bytes> = (0..50).map(|at| key(place, 1, &format!("{at:02}"))).collect();
    store.flush(A, keys.iter().map(|key| (key.clone(), Some(key.clone()))).collect(), 1).await.unwrap();
    let scan = async |from, to, limit| {
        let page = store.scan(from, to, limit).await.unwrap();
        assert!(page.rows.iter().all(|(key, value)| key == value));
        (page.rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), page.more)
    };
    let (included, excluded) =
        (|at: usize| Bound::Included(keys[at].clone()), |at: usize| Bound::Excluded(keys[at].clone()));
    assert_eq!(scan(Bound::Unbounded, Bound::Unbounded, 100).await, (keys.clone(), false));
    assert_eq!(scan(Bound::Unbounded, Bound::Unbounded, 50).await, (keys.clone(), false));
    assert_eq!(scan(Bound::Unbounded, Bound::Unbounded, 49).await, (keys[..49].to_vec(), true));
    assert_eq!(scan(included(10), excluded(20), 100).await, (keys[10..20].to_vec(), false));
    assert_eq!(scan(excluded(10), included(20), 100).await, (keys[11..=20].to_vec(), false));
    assert_eq!(scan(excluded(10), included(20), 3).await, (keys[11..14].to_vec(), true));
    assert_eq!(scan(included(20), included(20), 3).await, (keys[20..=20].to_vec(), false));
    assert_eq!(scan(included(20), excluded(20), 3).await, (vec![], false));
    assert_eq!(scan(included(20), included(10), 3).await, (vec![], false));
}

/// Rows that are written again and again are those of the last flush.
pub async fn many_rows_survive_many_flushes(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=30, 20).await;
    let keys: Vec<Bytes> = (0..300).map(|at| key(place, 1, &format!("{at:04}"))).collect();
    for round in 1..=30_u64 {
        let of = |at: usize| (at + round as usize).is_multiple_of(3);
        let rows = (0..300).filter(|&at| of(at)).map(|at| {
            let gone = (at as u64 + round).is_multiple_of(9);
            (keys[at].clone(), (!gone).then(|| Bytes::from(format!("{at} {round}"))))
        });
        store.flush(A, rows.collect(), round).await.unwrap();
    }
    let expected = |at: usize| {
        let round = (28..=30_u64).find(|round| (at as u64 + round).is_multiple_of(3)).unwrap();
        (!(at as u64 + round).is_multiple_of(9)).then(|| Bytes::from(format!("{at} {round}")))
    };
    let wanted: Vec<Option<Bytes>> = (0..300).map(expected).collect();
    assert_eq!(store.get(&keys).await.unwrap(), wanted);
    let page = store.scan(Bound::Unbounded, Bound::Unbounded, 1_000).await.unwrap();
    assert_eq!(page.rows.len(), wanted.iter().flatten().count());
}

/// Only what the rows contain may be trimmed.
pub async fn trimming_stops_at_the_mark(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=10, 50).await;
    assert_eq!(kind(store.trim(A, 1).await), "invalid");
    store.flush(A, vec![], 6).await.unwrap();
    assert_eq!(kind(store.trim(A, 7).await), "invalid");
    store.trim(A, 6).await.unwrap();
    store.trim(A, 3).await.unwrap();
    assert_eq!(store.extent(A).await.unwrap(), Extent { checkpoint: 6, trimmed: 6, last: 10 });
}

/// A reader that comes too late is told so; one at the mark is not too late.
pub async fn below_the_trim_mark_nothing_is_read(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=10, 50).await;
    store.flush(A, vec![], 10).await.unwrap();
    store.trim(A, 6).await.unwrap();
    assert_eq!(kind(store.read(A, 5, 1000).await), "invalid");
    let rest = read_all(&store, A, 6, 1000).await;
    assert_eq!(rest.iter().map(|found| found.number).collect::<Vec<_>>(), [7, 8, 9, 10]);
    store.trim(A, 10).await.unwrap();
    assert_eq!(store.read(A, 10, 1000).await.unwrap(), []);
    store.append(A, 11, record(11, 50)).await.unwrap();
    assert_eq!(store.read(A, 10, 1000).await.unwrap()[0].number, 11);
}

/// A coordination value changes only from what the caller believes it to be.
pub async fn values_change_only_as_expected(place: &dyn Place) {
    let store = Opened::at(place).await;
    let [one, two] = ["one", "two"].map(|text| Bytes::from_static(text.as_bytes()));
    assert!(!store.compare_and_set("map", Some(one.clone()), two.clone()).await.unwrap());
    assert!(store.compare_and_set("map", None, one.clone()).await.unwrap());
    assert!(!store.compare_and_set("map", None, two.clone()).await.unwrap());
    assert!(!store.compare_and_set("map", Some(two.clone()), two.clone()).await.unwrap());
    assert_eq!(store.load("map").await.unwrap(), Some(one.clone()));
    assert!(store.compare_and_set("map", Some(one.clone()), two.clone()).await.unwrap());
    assert_eq!(store.load("map").await.unwrap(), Some(two));
    assert_eq!(store.load("other").await.unwrap(), None);
}

/// Of many who expect the same value one succeeds.
pub async fn one_of_many_writers_wins(place: &dyn Place) {
    let store = Opened::at(place).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u8 {
        let store = Arc::clone(&store);
        writers.spawn(async move {
            let mine = Bytes::from(vec![writer]);
            store.compare_and_set("leader", None, mine.clone()).await.unwrap().then_some(mine)
        });
    }
    let winners: Vec<Bytes> = writers.join_all().await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.load("leader").await.unwrap().as_ref(), winners.first());
}

/// Closing and opening changes nothing; a closed store does nothing more.
pub async fn everything_is_there_after_opening_again(place: &dyn Place) {
    let store = Opened::at(place).await;
    fill(&store, A, 1..=20, 5_000).await;
    fill(&store, B, 1..=3, 50).await;
    let row = (key(place, 1, "a"), Some(Bytes::from_static(b"1")));
    store.flush(A, vec![row.clone()], 10).await.unwrap();
    store.trim(A, 5).await.unwrap();
    assert!(store.compare_and_set("map", None, Bytes::from_static(b"x")).await.unwrap());
    store.close().await.unwrap();
    assert!(store.append(A, 21, record(21, 20)).await.is_err());
    let store = store.again(place).await;
    assert_eq!(store.extent(A).await.unwrap(), Extent { checkpoint: 10, trimmed: 5, last: 20 });
    assert_eq!(store.extent(B).await.unwrap(), Extent { checkpoint: 0, trimmed: 0, last: 3 });
    assert_eq!(store.get(&[row.0]).await.unwrap(), [row.1]);
    assert_eq!(store.load("map").await.unwrap().as_deref(), Some(&b"x"[..]));
    assert_eq!(kind(store.read(A, 4, 1000).await), "invalid");
    let rest = read_all(&store, A, 5, 20_000).await;
    assert!(rest.iter().zip(6..).all(|(found, number)| found.bytes == record(number, 5_000)));
    assert_eq!(rest.len(), 15);
    fill(&store, A, 21..=22, 20).await;
    assert_eq!(read_all(&store, B, 0, 1000).await.len(), 3);
}

/// What is handed on from owner to owner is the last record, whoever wrote it.
pub async fn an_owner_begins_where_the_last_one_ended(place: &dyn Place) {
    let store = place.open().await;
    let asked = Mutex::new(Vec::new());
    let fence = |last: Option<&[u8]>| {
        asked.lock().push(last.map(<[u8]>::to_vec));
        Ok(Bytes::from_static(FENCE))
    };
    let first = store.take_over(A, &fence).await.unwrap();
    store.append(A, first.last + 1, record(1, 20)).await.unwrap();
    let second = store.take_over(A, &fence).await.unwrap();
    if !store.is_shared() {
        assert_eq!((first.last, second.last), (0, 1));
        assert_eq!(*asked.lock(), Vec::<Option<Vec<u8>>>::new(), "nobody asks for what is not written");
        return;
    }
    assert_eq!((first.last, second.last), (1, 3));
    assert_eq!(*asked.lock(), [None, Some(record(1, 20).to_vec())]);
    let third = store.take_over(A, &fence).await.unwrap();
    assert_eq!(third, Extent { checkpoint: 0, trimmed: 0, last: 4 });
    assert_eq!(asked.lock().last().unwrap().as_deref(), Some(FENCE));
    let all: Vec<Bytes> = store.read(A, 0, 1 << 20).await.unwrap().into_iter().map(|found| found.bytes).collect();
    assert_eq!(all, [FENCE.into(), record(1, 20), FENCE.into(), FENCE.into()]);
}

/// Where a store is shared, two have it open, and the earlier owner is told that it is no more.
pub async fn only_one_owner_can_prove_and_write(place: &dyn Place) {
    let old = place.open().await;
    let began = old.take_over(A, &|_| Ok(FENCE.into())).await.unwrap().last;
    old.prove(A).await.unwrap();
    old.append(A, began + 1, record(1, 20)).await.unwrap();
    old.prove(A).await.unwrap();
    if !old.is_shared() {
        return;
    }
    let row = |text: &'static str| vec![(key(place, 1, "a"), Some(Bytes::from_static(text.as_bytes())))];
    assert_eq!(kind(old.append(B, 1, record(1, 20)).await), "invalid", "a shard that it has not taken over");
    let new = place.open().await;
    let taken = new.take_over(A, &|_| Ok(FENCE.into())).await.unwrap();
    assert_eq!(taken, Extent { checkpoint: 0, trimmed: 0, last: began + 2 });
    new.prove(A).await.unwrap();
    assert_eq!(kind(old.prove(A).await), "fenced");
    assert_eq!(kind(old.flush(A, row("old"), began + 1).await), "fenced");
    assert_eq!(kind(old.append(A, began + 2, record(2, 20)).await), "fenced");
    assert_eq!(new.get(&[key(place, 1, "a")]).await.unwrap(), [None]);
    new.append(A, began + 3, record(2, 30)).await.unwrap();
    new.flush(A, row("new"), began + 3).await.unwrap();
    assert_eq!(new.get(&[key(place, 1, "a")]).await.unwrap(), [Some(Bytes::from_static(b"new"))]);
    assert_eq!(old.extent(A).await.unwrap(), Extent { checkpoint: began + 3, trimmed: 0, last: began + 3 });
    let all: Vec<u64> = old.read(A, 0, 1 << 20).await.unwrap().into_iter().map(|found| found.number).collect();
    assert_eq!(all, (1..=began + 3).collect::<Vec<_>>());
}
