//! What a journal is that has ended, and who may end it.

use bytes::Bytes;
use ordermill_store::{Error, Extent, Known};

use super::opened::FENCE;
use super::{A, Place, key, kind, record};

/// Nobody writes to a sealed journal or takes it over; it is read as before, and trimmed by anybody.
pub async fn a_sealed_journal_stays_as_it_is(place: &dyn Place) {
    let store = place.open().await;
    let fence = |_: Option<&[u8]>| Ok(Bytes::from_static(FENCE));
    let began = store.take_over(A, &fence).await.unwrap().last;
    if !store.is_shared() {
        assert_eq!(kind(store.seal(A, began).await), "invalid", "its shards are fixed");
        store.append(A, began + 1, record(1, 20)).await.unwrap();
        return;
    }
    let row = key(place, 1, "a");
    let rows = |text: &'static str| vec![(row.clone(), Some(Bytes::from_static(text.as_bytes())))];
    for number in began + 1..=began + 4 {
        store.append(A, number, record(number, 20)).await.unwrap();
    }
    let last = began + 4;
    store.flush(A, rows("a"), last).await.unwrap();
    assert_eq!(kind(store.seal(A, last - 1).await), "invalid", "a record behind it is there");
    store.seal(A, last).await.unwrap();
    assert_eq!(kind(store.seal(A, last).await), "invalid", "it is not owned here any more");
    let other = place.open().await;
    for one in [&store, &other] {
        let sealed = one.take_over(A, &fence).await;
        assert!(matches!(sealed, Err(Error::Sealed(number)) if number == last), "{sealed:?}");
        assert!(one.append(A, last + 1, record(last + 1, 20)).await.is_err());
        assert!(one.flush(A, rows("b"), last).await.is_err());
        assert!(one.prove(A).await.is_err());
        assert_eq!(one.extent(A).await.unwrap(), Extent { checkpoint: last, trimmed: 0, last });
        assert_eq!(one.read(A, last - 1, 1).await.unwrap()[0].bytes, record(last, 20));
        assert_eq!(one.read(A, last, 1).await.unwrap(), []);
        assert_eq!(one.get(std::slice::from_ref(&row)).await.unwrap(), [Some(Bytes::from_static(b"a"))]);
        let peeked = one.peek(A, &row, Known::default()).await;
        assert!(matches!(peeked, Err(Error::Sealed(number)) if number == last), "{peeked:?}");
    }
    assert_eq!(kind(other.trim(A, last + 1).await), "invalid");
    other.trim(A, last - 1).await.unwrap();
    other.trim(A, last - 1).await.unwrap();
    assert_eq!(kind(other.read(A, last - 2, 1).await), "invalid");
    assert_eq!(store.read(A, last - 1, 1).await.unwrap()[0].bytes, record(last, 20));
    assert_eq!(store.extent(A).await.unwrap(), Extent { checkpoint: last, trimmed: last - 1, last });
}

/// Of an owner that ends its journal and one that takes it over at the same time one succeeds, and the other
/// is told so.
pub async fn a_seal_and_a_takeover_exclude_each_other(place: &dyn Place) {
    let old = place.open().await;
    if !old.is_shared() {
        return;
    }
    let new = place.open().await;
    let fence = |_: Option<&[u8]>| Ok(Bytes::from_static(FENCE));
    for shard in (0..super::SHARDS).map(ordermill_store::ShardId) {
        let began = old.take_over(shard, &fence).await.unwrap().last;
        old.append(shard, began + 1, record(1, 20)).await.unwrap();
        let last = began + 1;
        old.flush(shard, vec![], last).await.unwrap();
        let (sealed, taken) = if shard == A {
            // One after the other; below both at once.
            let taken = new.take_over(shard, &fence).await;
            (old.seal(shard, last).await, taken)
        } else {
            futures::future::join(old.seal(shard, last), new.take_over(shard, &fence)).await
        };
        match (&sealed, &taken) {
            (Ok(()), Err(Error::Sealed(number))) => assert_eq!(*number, last),
            (Err(Error::Fenced(_)), Ok(extent)) => {
                assert_eq!(extent.last, last + 1);
                new.append(shard, last + 2, record(2, 20)).await.unwrap();
            }
            other => panic!("{other:?}"),
        }
        assert!(old.append(shard, last + 1, record(2, 20)).await.is_err(), "whatever came of it");
        let again = new.take_over(shard, &fence).await;
        assert_eq!(matches!(again, Err(Error::Sealed(number)) if number == last), sealed.is_ok(), "{again:?}");
    }
}
