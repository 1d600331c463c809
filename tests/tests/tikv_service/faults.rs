//! Servers that are away: what is an error, and what only looks like a success.

use bytes::Bytes;
use ordermill_tests::cluster::Cluster;
use ordermill_tests::process::until;
use ordermill_transactional::{Failure, Service as _};

use super::{Room, begin, insert, now, put, timestamp, value};

fn is_unavailable<T>(answer: &Result<T, Failure>) -> bool {
    matches!(answer, Err(Failure::Unavailable(_)))
}

/// THE TRAP. The client looks for the region of a key, PD does not know any, and the client answers `Ok`
/// without having sent anything: a write is believed only when it was read back. Reads tell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_store_writes_look_like_successes_and_reads_fail() {
    let mut cluster = Cluster::without_store().await;
    let client = &cluster.client().await;
    let keys = ["inserted", "written-1", "written-2"].map(Bytes::from);
    let [inserted, written_1, written_2] = keys.clone();

    // Should one of the two be an error one day, so much the better: then this line changes, and nothing
    // that was built on it.
    insert(client, &inserted, "lost").await.expect("the client says that it has written");
    let both = vec![(written_1.clone(), Some(value("lost"))), (written_2, Some(value("lost")))];
    put(client, both).await.expect("the client says that it has written");

    let at = timestamp(client).await;
    let (from, to) = (Bytes::from("a"), Bytes::from("z"));
    let get = client.get(at, inserted.clone()).await;
    assert!(is_unavailable(&get), "{get:?}");
    let many = client.get_many(at, keys.to_vec()).await;
    assert!(is_unavailable(&many), "{many:?}");
    let scan = client.scan(at, from.clone(), to.clone(), 10).await;
    assert!(is_unavailable(&scan), "{scan:?}");
    let cleaned = client.clean_up(at, from, to).await;
    assert!(is_unavailable(&cleaned), "{cleaned:?}");
    let collected = client.collect_garbage(at).await;
    assert!(is_unavailable(&collected), "{collected:?}");

    // The same client finds the store when there is one, and that nothing has been written.
    cluster.start_store().await;
    let at = timestamp(client).await;
    assert_eq!(client.get_many(at, keys.to_vec()).await.unwrap(), [None, None, None]);
    insert(client, &inserted, "there").await.unwrap();
    assert_eq!(now(client, &inserted).await.unwrap(), Some(value("there")));
}

/// The same within one write: PD is away, one of two regions is known already. Its part is sent, the other
/// is lost, which one-phase commit notices: an error, and a lock in the region that was known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_loses_a_part_is_an_error_and_leaves_a_lock() {
    let mut cluster = Cluster::start().await;
    let client = &cluster.client().await;
    cluster.split_at(b"n").await;
    let [far, near] = ["z-far", "a-near"].map(Bytes::from);
    assert_eq!(now(client, &near).await.unwrap(), None);
    let start = begin(client).await;
    cluster.kill_pd().await;
    let both = vec![(far.clone(), Some(value("x"))), (near.clone(), Some(value("x")))];
    let written = client.write(start, both).await;
    assert!(is_unavailable(&written), "{written:?}");

    cluster.start_pd().await;
    until("timestamps again", async || client.timestamp().await.map_err(|failure| failure.to_string())).await;
    let at = timestamp(client).await;
    // PD was away for longer than the lock was meant to last, and still no reader ends it: the client asks
    // the transaction's first key, which knows nothing, and leaves it at that.
    let get = client.get(at, near.clone()).await;
    assert!(matches!(get, Err(Failure::Locked(_))), "{get:?}");
    client.clean_up(at, Bytes::from("a"), Bytes::from("zz")).await.unwrap();
    assert_eq!(client.get_many(at, vec![near, far]).await.unwrap(), [None, None], "nothing of it is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_unavailable_until_it_is_back() {
    let mut cluster = Cluster::start().await;
    let client = &cluster.client().await;
    let (key, other) = (Bytes::from("kept"), Bytes::from("tried"));
    insert(client, &key, "x").await.unwrap();
    cluster.kill_store().await;

    // Timestamps are PD's.
    let at = timestamp(client).await;
    let (get, many, scan, inserted, written) = tokio::join!(
        client.get(at, key.clone()),
        client.get_many(at, vec![key.clone()]),
        client.scan(at, Bytes::from("a"), Bytes::from("z"), 10),
        insert(client, &other, "x"),
        put(client, vec![(other.clone(), Some(value("x")))]),
    );
    assert!(is_unavailable(&get), "{get:?}");
    assert!(is_unavailable(&many), "{many:?}");
    assert!(is_unavailable(&scan), "{scan:?}");
    assert!(is_unavailable(&inserted), "{inserted:?}");
    assert!(is_unavailable(&written), "{written:?}");

    cluster.start_store().await;
    let found = until("the store to answer", async || now(client, &key).await.map_err(|failure| failure.to_string()));
    assert_eq!(found.await, Some(value("x")), "what was written is there");
    insert(client, &Bytes::from("afterwards"), "x").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pd_there_are_no_timestamps_until_it_is_back() {
    let mut cluster = Cluster::start().await;
    let client = &cluster.client().await;
    let key = Bytes::from("kept");
    insert(client, &key, "x").await.unwrap();
    let at = timestamp(client).await;
    cluster.kill_pd().await;
    // What is known of the regions goes on to be used.
    assert_eq!(client.get(at, key.clone()).await.unwrap(), Some(value("x")));
    let (read, begun, anew) = tokio::join!(client.timestamp(), client.begin(), client.reconnect());
    assert!(is_unavailable(&read), "{read:?}");
    assert!(is_unavailable(&begun), "{begun:?}");
    assert!(is_unavailable(&anew), "{anew:?}");

    cluster.start_pd().await;
    until("a connection again", async || client.reconnect().await.map_err(|failure| failure.to_string())).await;
    assert!(timestamp(client).await > at, "time goes on where it was");
    assert_eq!(now(client, &key).await.unwrap(), Some(value("x")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_connects_anew_has_forgotten_what_it_began() {
    let room = Room::new().await;
    let (client, key) = (&room.client, room.key("anew"));
    insert(client, &key, "x").await.unwrap();
    let start = begin(client).await;
    client.reconnect().await.unwrap();
    let written = client.insert(start, room.key("old"), value("x")).await;
    assert!(is_unavailable(&written), "{written:?}");
    assert_eq!(now(client, &key).await.unwrap(), Some(value("x")));
    insert(client, &room.key("new"), "x").await.unwrap();
    assert!(timestamp(client).await > start);
}
