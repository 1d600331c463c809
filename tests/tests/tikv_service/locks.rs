//! Locks that a process has left: they block, and cleaning up ends them.

use bytes::Bytes;
use ordermill_transactional::{Failure, Service as _};

use super::{Room, begin, insert, now, put, timestamp, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_blocks_readers_and_writers_until_it_is_cleaned_up() {
    let room = Room::alone().await;
    let client = &room.client;
    let (locked, first, beside) = (room.key("locked"), room.key("first"), room.key("beside"));
    insert(client, &locked, "before").await.unwrap();
    insert(client, &beside, "x").await.unwrap();
    let earlier = timestamp(client).await;
    let start = begin(client).await;
    room.cluster.leave_lock(start, &locked, &first).await;

    let at = timestamp(client).await;
    // Whoever reads an earlier moment is not concerned, nor is another key.
    assert_eq!(client.get(earlier, locked.clone()).await.unwrap(), Some(value("before")));
    assert_eq!(client.get(at, beside.clone()).await.unwrap(), Some(value("x")));
    let (from, to) = (room.key(""), room.key("~"));
    let blocked = tokio::join!(
        client.get(at, locked.clone()),
        client.get_many(at, vec![beside, locked.clone()]),
        client.scan(at, from.clone(), to.clone(), 10),
        put(client, vec![(locked.clone(), Some(value("after")))]),
    );
    let (get, many, scan, write) = &blocked;
    let is_locked = |failure: Option<&Failure>| matches!(failure, Some(Failure::Locked(_)));
    assert!(is_locked(get.as_ref().err()), "{get:?}");
    assert!(is_locked(many.as_ref().err()), "{many:?}");
    assert!(is_locked(scan.as_ref().err()), "{scan:?}");
    assert!(is_locked(write.as_ref().err()), "{write:?}");

    // Of transactions that began earlier, and of ranges without keys.
    client.clean_up(earlier, from.clone(), to.clone()).await.unwrap();
    client.clean_up(at, to.clone(), from.clone()).await.unwrap();
    client.clean_up(at, from.clone(), Bytes::new()).await.unwrap();
    let get = client.get(at, locked.clone()).await;
    assert!(is_locked(get.as_ref().err()), "{get:?}");

    client.clean_up(at, from, to).await.unwrap();
    assert_eq!(client.get(at, locked.clone()).await.unwrap(), Some(value("before")));
    assert_eq!(now(client, &first).await.unwrap(), None);
    put(client, vec![(locked.clone(), Some(value("after")))]).await.unwrap();
    assert_eq!(now(client, &locked).await.unwrap(), Some(value("after")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleaning_up_goes_through_all_regions_and_leaves_what_was_committed() {
    let room = Room::alone().await;
    let client = &room.client;
    let keys = room.keys_everywhere("all");
    let committed = room.keys_everywhere("committed");
    put(client, committed.iter().map(|key| (key.clone(), Some(value("x")))).collect()).await.unwrap();
    let mut starts = Vec::new();
    for key in &keys {
        let start = begin(client).await;
        room.cluster.leave_lock(start, key, &room.key("nothing")).await;
        starts.push(start);
    }
    let at = timestamp(client).await;
    client.clean_up(at, Bytes::from("a"), Bytes::from("z")).await.unwrap();
    assert_eq!(client.get_many(at, keys).await.unwrap(), vec![None; 5]);
    assert_eq!(client.get_many(at, committed).await.unwrap(), vec![Some(value("x")); 5]);
}

/// A lock in the way of an insert is no conflict: nobody knows yet whether the key will be there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_meets_a_lock() {
    let room = Room::alone().await;
    let client = &room.client;
    let key = room.key("contested");
    let start = begin(client).await;
    room.cluster.leave_lock(start, &key, &key).await;
    let inserted = insert(client, &key, "x").await;
    assert!(matches!(inserted, Err(Failure::Locked(_))), "{inserted:?}");
    let at = timestamp(client).await;
    client.clean_up(at, room.key(""), room.key("~")).await.unwrap();
    insert(client, &key, "x").await.unwrap();
    assert_eq!(now(client, &key).await.unwrap(), Some(value("x")));
}
