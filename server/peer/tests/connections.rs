//! Connections in memory, under paused time: how they begin, are kept, and end.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{HELLO, LONG, Member, Memory, answers, config, get, greet, read_frame, row, until, write_frame};
use ordermill_peer::{Error, Peers, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

fn peers(network: &Arc<Memory>) -> Peers {
    Peers::new(config("a", 7), network.clone())
}

/// Two calls, of which the second cannot be sent: the first fills the pipe, and nobody reads.
async fn two_calls(network: &Arc<Memory>) -> (DuplexStream, [tokio::task::JoinHandle<Result<(), Error>>; 2]) {
    let peers = peers(network);
    let mut accepted = network.accept_raw("b");
    let call = |key: String| {
        let peers = peers.clone();
        tokio::spawn(async move { peers.call("b", get(0, &key), LONG).await.map(drop) })
    };
    let first = call("x".repeat(2 * common::PIPE_BYTES + 512 * 1_024));
    let mut stream = accepted.recv().await.unwrap();
    greet(&mut stream).await;
    // The first is on its way when its first byte is here.
    stream.read_u8().await.unwrap();
    let second = call("y".into());
    tokio::time::sleep(Duration::from_millis(10)).await;
    (stream, [first, second])
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_says_what_may_have_happened() {
    let network = Arc::new(Memory::default());
    let (stream, [first, second]) = two_calls(&network).await;
    drop(stream);
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert!(matches!(first, Err(Error::Unknown(_))), "{first:?}");
    assert!(matches!(second, Err(Error::Unavailable(_))), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_was_asked_and_dies_leaves_it_unknown() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let asking = peers.clone();
    let call = tokio::spawn(async move { asking.call("b", Request::Numbers, LONG).await });
    until(|| member.service.begun.load(Ordering::SeqCst) == 1).await;
    member.kill().await;
    assert!(matches!(call.await.unwrap(), Err(Error::Unknown(_))));
    // Nobody is there now; then somebody is.
    assert!(matches!(peers.call("b", get(0, "x"), LONG).await, Err(Error::Unavailable(_))));
    let _member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    assert!(answers(&peers, "b").await);
}

#[tokio::test(start_paused = true)]
async fn attempts_pause_longer_and_longer_and_calls_keep_their_deadlines() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let began = Instant::now();
        assert!(matches!(peers.call("b", get(0, "x"), LONG).await, Err(Error::Unavailable(_))));
        pauses.push(began.elapsed().as_millis());
    }
    // A timer of the runtime ends at the next whole millisecond.
    let expected = [0, 50, 100, 200, 400, 800, 1_000, 1_000];
    let close = pauses.iter().zip(expected).all(|(pause, expected)| (expected..expected + 2).contains(pause));
    assert!(close, "{pauses:?}");
    let began = Instant::now();
    assert!(matches!(peers.call("b", get(0, "x"), Duration::from_millis(20)).await, Err(Error::Unavailable(_))));
    assert_eq!(began.elapsed(), Duration::from_millis(20));
    // After a while nobody has to wait.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let _member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let began = Instant::now();
    assert!(answers(&peers, "b").await);
    assert!(began.elapsed() < Duration::from_millis(20), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_silent_member_is_noticed_and_an_idle_one_is_not_taken_for_it() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let _member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    assert!(answers(&peers, "b").await);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(answers(&peers, "b").await);
    assert_eq!(network.dials.load(Ordering::Relaxed), 1, "pings have kept it");

    let mut accepted = network.accept_raw("c");
    let call = {
        let peers = peers.clone();
        tokio::spawn(async move { peers.call("c", get(0, "x"), LONG).await })
    };
    let mut stream = accepted.recv().await.unwrap();
    greet(&mut stream).await;
    let began = Instant::now();
    let lost = call.await.unwrap();
    assert!(matches!(&lost, Err(Error::Unknown(why)) if why.contains("no sign of life")), "{lost:?}");
    assert!((2_500..=3_600).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_falls_silent_is_let_go() {
    let network = Arc::new(Memory::default());
    let _member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let mut stream = network.dial_raw("b").unwrap();
    write_frame(&mut stream, HELLO).await;
    read_frame(&mut stream).await;
    let began = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(String::from_utf8_lossy(&rest).contains("no sign of life"));
    assert!((2_500..=3_600).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_dropped() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let _member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    assert!(answers(&peers, "b").await);
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(answers(&peers, "b").await);
    assert_eq!(network.dials.load(Ordering::Relaxed), 2);
    // A call that takes longer than that is a use.
    let slow = peers.call("b", get(65_535, "slow"), Duration::from_secs(100)).await;
    assert_eq!(slow, Ok(row("slow")));
    assert_eq!(network.dials.load(Ordering::Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_clone_takes_its_connections_along() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let mut accepted = network.accept_raw("b");
    let call = tokio::spawn(async move { peers.call("b", get(0, "x"), Duration::from_millis(10)).await });
    let mut stream = accepted.recv().await.unwrap();
    greet(&mut stream).await;
    assert!(call.await.unwrap().is_err());
    read_frame(&mut stream).await;
    assert_eq!(stream.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn another_cluster_is_refused_with_the_reason() {
    let network = Arc::new(Memory::default());
    let _member = Member::start(network.as_ref(), "b", config("b", 8)).await;
    let refused = peers(&network).call("b", get(0, "x"), LONG).await;
    let expected = "a belongs to cluster 7, b to cluster 8";
    assert!(matches!(&refused, Err(Error::Unavailable(why)) if why.contains(expected)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stops_answers_what_is_under_way_and_nobody_is_left_in_doubt() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let calls: Vec<_> = (0..50)
        .map(|number| {
            let peers = peers.clone();
            tokio::spawn(async move { peers.call("b", get(1_000 + number, "x"), LONG).await })
        })
        .collect();
    until(|| member.service.begun.load(Ordering::SeqCst) == 50).await;
    member.stop();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let refused = peers.call("b", get(0, "late"), LONG).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    for call in calls {
        assert_eq!(call.await.unwrap(), Ok(row("x")));
    }
    let began = Instant::now();
    member.stopped().await;
    assert!(began.elapsed() < Duration::from_secs(1), "it does not wait longer than its callers");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let network = Arc::new(Memory::default());
    let peers = peers(&network);
    let mut patient = config("b", 7);
    patient.drain = Duration::from_secs(2);
    let member = Member::start(network.as_ref(), "b", patient).await;
    let asking = peers.clone();
    let call = tokio::spawn(async move { asking.call("b", Request::Numbers, LONG).await });
    until(|| member.service.begun.load(Ordering::SeqCst) == 1).await;
    member.stop();
    let began = Instant::now();
    member.stopped().await;
    assert!((2_000..2_100).contains(&began.elapsed().as_millis()));
    assert!(matches!(call.await.unwrap(), Err(Error::Unknown(_))));
}

#[tokio::test(start_paused = true)]
async fn garbage_does_no_harm() {
    let network = Arc::new(Memory::default());
    let member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let peers = peers(&network);
    let garbage: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nhost: b\r\n\r\n",
        &[0xFF; 64],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        // A frame that is one, and no hello: a ping.
        &[0, 0, 0, 2, 0x52, 0],
        // Half a frame.
        &[0, 0, 0, 9, 0x22],
    ];
    for bytes in garbage {
        let mut stream = network.dial_raw("b").unwrap();
        stream.write_all(bytes).await.unwrap();
        let began = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(began.elapsed() <= Duration::from_millis(2_010), "it is let go");
        // After a hello, the same again: that connection is ended, others are not.
        let mut stream = network.dial_raw("b").unwrap();
        write_frame(&mut stream, HELLO).await;
        read_frame(&mut stream).await;
        stream.write_all(bytes).await.unwrap();
        assert!(answers(&peers, "b").await);
    }
    // Garbage for an answer: nobody knows whether it was done.
    let mut accepted = network.accept_raw("c");
    let asking = peers.clone();
    let call = tokio::spawn(async move { asking.call("c", get(0, "x"), LONG).await });
    let mut stream = accepted.recv().await.unwrap();
    greet(&mut stream).await;
    read_frame(&mut stream).await;
    stream.write_all(&[0, 0, 0, 3, 1, 2, 3]).await.unwrap();
    assert!(matches!(call.await.unwrap(), Err(Error::Unknown(_))));
    assert_eq!(network.dials.load(Ordering::Relaxed), 14);
    drop(member);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_is_told() {
    let network = Arc::new(Memory::default());
    let _member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let mut stream = network.dial_raw("b").unwrap();
    write_frame(&mut stream, HELLO).await;
    read_frame(&mut stream).await;
    // Request 5 of a kind that is not known (field 1000), and frame 6 of a kind that is not known.
    write_frame(&mut stream, &[8, 5, 0x10, 100, 0x32, 3, 0xC0, 0x3E, 5]).await;
    write_frame(&mut stream, &[8, 6, 0xC0, 0x3E, 5]).await;
    for _ in 0..2 {
        let frame = read_frame(&mut stream).await;
        assert!(matches!(frame[..], [8, 5 | 6, 0x42, ..]), "{frame:?}");
        assert!(String::from_utf8_lossy(&frame).contains("does not know"));
    }
}
