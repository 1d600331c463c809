//! Inserts and writes: what they refuse, and that they happen whole or not at all.

use bytes::Bytes;
use ordermill_transactional::{Failure, Service as _, Timestamp};

use super::{Room, begin, insert, now, put, timestamp, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_inserted_once_whatever_the_start() {
    let room = Room::new().await;
    let (client, key) = (&room.client, room.key("once"));
    let (early, start) = (begin(client).await, begin(client).await);
    assert!(early < start);
    client.insert(start, key.clone(), value("first")).await.unwrap();
    let late = begin(client).await;
    for start in [early, late] {
        let again = client.insert(start, key.clone(), value("second")).await;
        assert!(matches!(again, Err(Failure::Conflict(_))), "{again:?}");
    }
    assert_eq!(now(client, &key).await.unwrap(), Some(value("first")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_that_insert_at_once_succeeds() {
    let room = Room::new().await;
    let key = room.key("race");
    let texts: Vec<String> = (0..16).map(|number| number.to_string()).collect();
    let inserts = texts.iter().map(|text| insert(&room.client, &key, text));
    let done = futures::future::join_all(inserts).await;
    let there = now(&room.client, &key).await.unwrap().unwrap();
    let winners: Vec<_> =
        done.iter().zip(&texts).filter(|(done, _)| done.is_ok()).map(|(_, text)| value(text)).collect();
    assert_eq!(winners, [there], "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_deleted_is_free_for_those_who_begin_later() {
    let room = Room::new().await;
    let (client, key) = (&room.client, room.key("freed"));
    insert(client, &key, "old").await.unwrap();
    let early = begin(client).await;
    put(client, vec![(key.clone(), None)]).await.unwrap();
    let late = client.insert(early, key.clone(), value("late")).await;
    assert!(matches!(late, Err(Failure::Conflict(_))), "{late:?}");
    assert_eq!(now(client, &key).await.unwrap(), None);
    insert(client, &key, "new").await.unwrap();
    assert_eq!(now(client, &key).await.unwrap(), Some(value("new")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_serves_once_and_must_have_been_begun() {
    let room = Room::new().await;
    let (client, key) = (&room.client, room.key("first"));
    let start = begin(client).await;
    client.insert(start, key.clone(), value("x")).await.unwrap();
    let failed = begin(client).await;
    client.insert(failed, key, value("y")).await.unwrap_err();
    let never = timestamp(client).await;
    for start in [start, failed, never, Timestamp(0)] {
        let inserted = client.insert(start, room.key("second"), value("x")).await;
        assert!(matches!(inserted, Err(Failure::Unavailable(_))), "{inserted:?}");
        let written = client.write(start, vec![(room.key("second"), Some(value("x")))]).await;
        assert!(matches!(written, Err(Failure::Unavailable(_))), "{written:?}");
    }
    assert_eq!(now(client, &room.key("second")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_after_the_start_is_a_conflict() {
    let room = Room::new().await;
    let (client, key) = (&room.client, room.key("read-then-written"));
    put(client, vec![(key.clone(), Some(value("1")))]).await.unwrap();
    let start = begin(client).await;
    assert_eq!(client.get(start, key.clone()).await.unwrap(), Some(value("1")));
    put(client, vec![(key.clone(), Some(value("2")))]).await.unwrap();
    let late = client.write(start, vec![(key.clone(), Some(value("3")))]).await;
    assert!(matches!(late, Err(Failure::Conflict(_))), "{late:?}");
    assert_eq!(now(client, &key).await.unwrap(), Some(value("2")));
    // A deletion is a change, and so is one that finds nothing to delete.
    let start = begin(client).await;
    put(client, vec![(key.clone(), None)]).await.unwrap();
    let late = client.write(start, vec![(key.clone(), Some(value("3")))]).await;
    assert!(matches!(late, Err(Failure::Conflict(_))), "{late:?}");
    assert_eq!(now(client, &key).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_conflict_stops_the_whole_write() {
    let room = Room::alone().await;
    let client = &room.client;
    let near: Vec<Bytes> = (0..5).map(|number| room.key(&number.to_string())).collect();
    for keys in [near, room.keys_everywhere("conflict")] {
        let start = begin(client).await;
        put(client, vec![(keys[3].clone(), Some(value("other")))]).await.unwrap();
        let write = keys.iter().map(|key| (key.clone(), Some(value("ours")))).collect();
        let written = client.write(start, write).await;
        assert!(matches!(written, Err(Failure::Conflict(_))), "{written:?}");
        // What it left in other regions are locks, which end as those of a process that died.
        let at = timestamp(client).await;
        for key in &keys {
            client.clean_up(at, key.clone(), Bytes::from([&key[..], b"\0"].concat())).await.unwrap();
        }
        let there = client.get_many(at, keys).await.unwrap();
        assert_eq!(there, [None, None, None, Some(value("other")), None]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_a_write_is_seen_at_once() {
    let room = Room::new().await;
    let client = &room.client;
    let near: Vec<Bytes> = (0..5).map(|number| room.key(&number.to_string())).collect();
    for keys in [near, room.keys_everywhere("whole")] {
        put(client, vec![(keys[1].clone(), Some(value("to be deleted")))]).await.unwrap();
        let write = keys.iter().enumerate().map(|(n, key)| (key.clone(), (n != 1).then(|| value("ours")))).collect();
        let writing = put(client, write);
        let looking = async {
            for _ in 0..20 {
                let at = timestamp(client).await;
                let there = client.get_many(at, keys.clone()).await.unwrap();
                let ours = there.iter().filter(|there| **there == Some(value("ours"))).count();
                assert!(ours == 0 || ours == 4, "a part of a write is seen: {there:?}");
                assert_eq!(there[1].is_none(), ours == 4, "a part of a write is seen: {there:?}");
            }
        };
        let (written, ()) = tokio::join!(writing, looking);
        written.unwrap();
        let at = timestamp(client).await;
        let there = client.get_many(at, keys).await.unwrap();
        assert_eq!(there, [Some(value("ours")), None, Some(value("ours")), Some(value("ours")), Some(value("ours"))]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_may_be_large_and_several_may_not() {
    let room = Room::new().await;
    let client = &room.client;
    let (large, start) = (Bytes::from(vec![7; 1 << 20]), begin(client).await);
    client.insert(start, room.key("large"), large.clone()).await.unwrap();
    put(client, vec![(room.key("large-2"), Some(large.clone()))]).await.unwrap();
    assert_eq!(now(client, &room.key("large")).await.unwrap(), Some(large.clone()));

    let of = |bytes: usize| Some(Bytes::from(vec![7; bytes]));
    let fits = 16_384 - 2 * room.key("a").len();
    put(client, vec![(room.key("a"), of(fits / 2)), (room.key("b"), of(fits - fits / 2))]).await.unwrap();
    let two = vec![(room.key("a"), of(1)), (room.key("c"), of(fits))];
    let refused = put(client, two).await;
    assert!(matches!(refused, Err(Failure::Refused(_))), "{refused:?}");
    assert_eq!(now(client, &room.key("c")).await.unwrap(), None);
    put(client, vec![]).await.unwrap();
}

/// The store for tests, by itself, does not tell an empty value from none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_value_is_a_value() {
    let room = Room::new().await;
    let client = &room.client;
    let keys = ["absent", "empty", "zero", "zeros"].map(|name| room.key(name));
    let values: Vec<_> = (0..3).map(|zeros| Bytes::from(vec![0; zeros])).collect();
    let start = begin(client).await;
    client.insert(start, keys[1].clone(), values[0].clone()).await.unwrap();
    let again = insert(client, &keys[1], "x").await;
    assert!(matches!(again, Err(Failure::Conflict(_))), "{again:?}");
    put(client, vec![(keys[2].clone(), Some(values[1].clone())), (keys[3].clone(), Some(values[2].clone()))])
        .await
        .unwrap();
    let at = timestamp(client).await;
    let expected: Vec<_> = std::iter::once(None).chain(values.iter().cloned().map(Some)).collect();
    assert_eq!(client.get_many(at, keys.to_vec()).await.unwrap(), expected);
    for (key, expected) in keys.iter().zip(expected) {
        assert_eq!(now(client, key).await.unwrap(), expected);
    }
    let rows: Vec<_> = keys[1..].iter().cloned().zip(values).collect();
    assert_eq!(client.scan(at, room.key(""), room.key("~"), 10).await.unwrap(), rows);
}
