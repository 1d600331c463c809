//! Reads: of one moment, in order, within bounds, and with nothing left out.

use bytes::Bytes;
use ordermill_tests::cluster::Cluster;
use ordermill_transactional::{Service as _, Timestamp};

use super::{Room, begin, insert, now, put, timestamp, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_rise() {
    let room = Room::new().await;
    let other = room.cluster.client().await;
    let mut last = Timestamp(0);
    for client in [&room.client, &other, &room.client] {
        for at in [timestamp(client).await, begin(client).await, timestamp(client).await] {
            assert!(at > last);
            last = at;
        }
    }
    let year_2020_ms = 1_577_836_800_000;
    assert!(last.physical_ms() > year_2020_ms, "{last:?}");
    let many = futures::future::join_all((0..200).map(|_| room.client.begin())).await;
    let mut many: Vec<Timestamp> = many.into_iter().map(Result::unwrap).collect();
    many.sort_unstable();
    many.dedup();
    assert_eq!(many.len(), 200, "no two are the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_does_not_see_what_comes_later() {
    let room = Room::new().await;
    let client = &room.client;
    let keys = room.keys_everywhere("seen");
    let (from, to) = (keys[1].clone(), Bytes::from([&keys[1][..], b"~"].concat()));
    let write = |text: &str| keys.iter().map(|key| (key.clone(), Some(value(text)))).collect();
    let before = timestamp(client).await;
    put(client, write("1")).await.unwrap();
    let between = timestamp(client).await;
    put(client, write("2")).await.unwrap();
    let after = timestamp(client).await;
    for (at, seen) in [(before, None), (between, Some(value("1"))), (after, Some(value("2")))] {
        assert_eq!(client.get(at, keys[0].clone()).await.unwrap(), seen);
        assert_eq!(client.get_many(at, keys.clone()).await.unwrap(), vec![seen.clone(); 5]);
        let row = seen.map(|seen| (keys[1].clone(), seen));
        assert_eq!(client.scan(at, from.clone(), to.clone(), 10).await.unwrap(), Vec::from_iter(row));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_answered_in_the_order_of_the_question() {
    let room = Room::new().await;
    let client = &room.client;
    let keys = room.keys_everywhere("many");
    for (number, key) in keys.iter().enumerate().filter(|(number, _)| *number != 2) {
        insert(client, key, &number.to_string()).await.unwrap();
    }
    let asked: Vec<Bytes> = [4, 2, 0, 3, 0, 1].map(|number: usize| keys[number].clone()).into();
    let at = timestamp(client).await;
    let found = client.get_many(at, asked).await.unwrap();
    let text = |text: &str| Some(value(text));
    assert_eq!(found, [text("4"), None, text("0"), text("3"), text("0"), text("1")]);
    assert_eq!(client.get_many(at, vec![]).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_stays_between_its_bounds_and_below_its_limit() {
    let room = Room::new().await;
    let client = &room.client;
    // Ten keys in one region, and four about the border between two, with no other test's between them.
    let near: Vec<Bytes> = (0..10).map(|number| room.key(&number.to_string())).collect();
    let about = |first: &str, name: &str| Bytes::from(format!("{first}{}{name}", room.prefix));
    let far = [about("mz", "1"), about("mz", "2"), about("n!", "1"), about("n!", "2")];
    for key in near.iter().chain(&far) {
        insert(client, key, "x").await.unwrap();
    }
    let at = timestamp(client).await;
    let scan = async |from: &Bytes, to: &Bytes, limit: u32| {
        let rows = client.scan(at, from.clone(), to.clone(), limit).await.unwrap();
        assert!(rows.iter().all(|(_, there)| *there == value("x")), "{rows:?}");
        rows.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(scan(&near[2], &near[5], 100).await, near[2..5]);
    assert_eq!(scan(&near[2], &near[5], 2).await, near[2..4]);
    assert_eq!(scan(&room.key(""), &room.key("~"), 100).await, near);
    assert_eq!(scan(&room.key(""), &room.key("~"), 1).await, near[..1]);
    for (from, to) in [(&near[5], &near[5]), (&near[5], &near[2]), (&near[5], &Bytes::new())] {
        assert_eq!(scan(from, to, 100).await, Vec::<Bytes>::new());
    }
    // An earlier run may have left keys between these: the order, the bounds and the number can be told.
    let all = scan(&far[0], &far[3], 10_000).await;
    assert!(all.is_sorted() && all[0] == far[0], "{all:?}");
    let ours: Vec<_> = all.iter().filter(|key| far.contains(key)).cloned().collect();
    assert_eq!(ours, far[..3]);
    for limit in 1..=3 {
        assert_eq!(scan(&far[0], &far[3], limit).await, all[..limit as usize]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_large_values_is_read() {
    let room = Room::new().await;
    let client = &room.client;
    let large = Bytes::from(vec![9; 1 << 20]);
    let keys: Vec<Bytes> = (0..6).map(|number| room.key(&number.to_string())).collect();
    for key in &keys {
        let start = begin(client).await;
        client.insert(start, key.clone(), large.clone()).await.unwrap();
    }
    let at = timestamp(client).await;
    let rows = client.scan(at, room.key(""), room.key("~"), 100).await.unwrap();
    assert!(rows.len() == 6 && rows.iter().all(|(_, there)| *there == large));
    let found = client.get_many(at, keys).await.unwrap();
    assert!(found.len() == 6 && found.iter().all(|there| there.as_ref() == Some(&large)));
}

/// On a cluster of its own: it concerns all transactions of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_read_stays_when_garbage_is_collected() {
    let cluster = Cluster::start().await;
    let client = &cluster.client().await;
    let [changed, deleted, untouched] = ["changed", "deleted", "untouched"].map(Bytes::from);
    for key in [&changed, &deleted, &untouched] {
        insert(client, key, "1").await.unwrap();
    }
    put(client, vec![(changed.clone(), Some(value("2")))]).await.unwrap();
    let at = timestamp(client).await;
    put(client, vec![(changed.clone(), Some(value("3"))), (deleted.clone(), None)]).await.unwrap();
    // Twice, and once for an earlier moment, which changes nothing.
    let earlier = Timestamp(at.0 - 1);
    for at in [at, at, earlier] {
        client.collect_garbage(at).await.unwrap();
    }
    let keys = vec![changed.clone(), deleted.clone(), untouched.clone()];
    let there = client.get_many(at, keys.clone()).await.unwrap();
    assert_eq!(there, [Some(value("2")), Some(value("1")), Some(value("1"))]);
    assert_eq!(now(client, &changed).await.unwrap(), Some(value("3")));
    client.collect_garbage(timestamp(client).await).await.unwrap();
    let at = timestamp(client).await;
    assert_eq!(client.get_many(at, keys).await.unwrap(), [Some(value("3")), None, Some(value("1"))]);
}
