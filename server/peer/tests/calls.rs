//! Calls over a connection in memory, under paused time: answers, deadlines, bounds.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{LONG, Member, Memory, answers, config, get, greet, mail, read_frame, row, scan, until};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ordermill_peer::{Answer, Error, Peers, Request};
use tokio::time::{Instant, timeout};

async fn pair() -> (Member, Peers, Arc<Memory>) {
    let network = Arc::new(Memory::default());
    let member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let peers = Peers::new(config("a", 7), network.clone());
    (member, peers, network)
}

#[tokio::test(start_paused = true)]
async fn many_calls_are_answered_side_by_side_over_one_connection() {
    let (member, peers, network) = pair().await;
    let ask = |number: u16| {
        let (peers, address) = (peers.clone(), member.address.clone());
        async move {
            let key = format!("key {number}");
            assert_eq!(peers.call(&address, get(1_000 - number, &key), LONG).await, Ok(row(&key)));
            number
        }
    };
    let began = Instant::now();
    let mut calls: FuturesUnordered<_> = (0..1_000).map(ask).collect();
    let mut order = Vec::new();
    while let Some(number) = calls.next().await {
        order.push(number);
    }
    assert_eq!(order, (0..1_000).rev().collect::<Vec<_>>(), "the last that was asked is answered first");
    assert!(began.elapsed() < Duration::from_millis(1_100));
    assert_eq!(network.dials.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn the_service_hears_who_asks_and_beats_are_handed_on_as_they_are() {
    let (member, peers, _) = pair().await;
    let call = |request| peers.call(&member.address, request, LONG);
    assert_eq!(call(Request::Admin("who am I?".into())).await, Ok(Answer::Admin("a".into())));
    assert_eq!(call(Request::Beat("beat".into())).await, Ok(Answer::Beat("beat".into())));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_call_here_and_its_work_there() {
    let (member, peers, _) = pair().await;
    let began = Instant::now();
    let late = peers.call(&member.address, Request::Numbers, Duration::from_millis(300)).await;
    assert!(matches!(late, Err(Error::Unknown(_))), "{late:?}");
    assert_eq!(began.elapsed(), Duration::from_millis(300));
    until(|| member.service.given_up.load(Ordering::SeqCst) == 1).await;
    assert!(began.elapsed() < Duration::from_millis(310));
    assert!(answers(&peers, &member.address).await);
}

#[tokio::test(start_paused = true)]
async fn work_is_given_up_when_its_caller_is_gone() {
    let (member, peers, _) = pair().await;
    let asking = peers.clone();
    let call = tokio::spawn(async move { asking.call("b", Request::Numbers, LONG).await });
    until(|| member.service.begun.load(Ordering::SeqCst) == 1).await;
    peers.hang_up("b");
    assert!(matches!(call.await.unwrap(), Err(Error::Unknown(_))));
    until(|| member.service.given_up.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_could_not_be_sent_in_time_has_surely_not_happened() {
    let network = Arc::new(Memory::default());
    let peers = Peers::new(config("a", 7), network.clone());
    // Somebody accepts and does not introduce itself.
    let mut accepted = network.accept_raw("b");
    let began = Instant::now();
    let late = peers.call("b", get(0, "x"), Duration::from_millis(100)).await;
    assert!(matches!(late, Err(Error::Unavailable(_))), "{late:?}");
    assert_eq!(began.elapsed(), Duration::from_millis(100));
    // The next who waits hears of the failed connection.
    let failed = peers.call("b", get(0, "x"), LONG).await;
    assert!(matches!(&failed, Err(Error::Unavailable(why)) if why.contains("in time")), "{failed:?}");
    assert_eq!(began.elapsed(), Duration::from_secs(2));
    accepted.recv().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn too_many_calls_hear_busy_and_beats_still_get_through() {
    let network = Arc::new(Memory::default());
    let member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    let mut few = config("a", 7);
    few.in_flight = 3;
    let peers = Peers::new(few, network.clone());
    let mut calls: FuturesUnordered<_> = (0..3).map(|_| peers.call("b", get(500, "x"), LONG)).collect();
    let _ = timeout(Duration::from_millis(1), calls.next()).await;
    assert_eq!(peers.call("b", get(0, "x"), LONG).await, Err(Error::Busy));
    assert!(peers.call("b", Request::Beat("beat".into()), LONG).await.is_ok());
    while let Some(answer) = calls.next().await {
        assert_eq!(answer, Ok(row("x")));
    }
    assert!(answers(&peers, "b").await, "there is room again");

    // The member that is asked has a bound of its own.
    let mut few = config("c", 7);
    few.in_flight = 3;
    let bounded = Member::start(network.as_ref(), "c", few).await;
    let peers = Peers::new(config("a", 7), network);
    let calls: Vec<_> = (0..5).map(|_| peers.call("c", get(500, "x"), LONG)).collect();
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Err(Error::Busy)).count(), 2);
    assert_eq!(bounded.service.begun.load(Ordering::SeqCst), 3);
    drop(member);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_full_hears_busy() {
    let network = Arc::new(Memory::default());
    let mut small = config("a", 7);
    small.queue_bytes = 200 << 10;
    let peers = Peers::new(small, network.clone());
    let mut accepted = network.accept_raw("b");
    let big = "x".repeat(90 << 10);
    // Three requests of 90 KiB for a queue of 200, and nobody reads.
    let mut calls: FuturesUnordered<_> = (0..3).map(|_| peers.call("b", get(0, &big), LONG)).collect();
    assert_eq!(calls.next().await, Some(Err(Error::Busy)));
    assert!(timeout(Duration::from_millis(100), calls.next()).await.is_err(), "the two others wait");
    let mut stream = accepted.recv().await.unwrap();
    greet(&mut stream).await;
    assert!(read_frame(&mut stream).await.len() > 90 << 10);
    assert!(read_frame(&mut stream).await.len() > 90 << 10);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_a_frame_is_refused_or_cut() {
    let network = Arc::new(Memory::default());
    let bounded = |name, frame_bytes| {
        let mut config = config(name, 7);
        config.frame_bytes = frame_bytes;
        config
    };
    let _member = Member::start(network.as_ref(), "b", bounded("b", 20_000)).await;
    let peers = Peers::new(bounded("a", 20_000), network.clone());
    let big = "x".repeat(20_000);
    let refused = peers.call("b", get(0, &big), LONG).await;
    assert!(matches!(refused, Err(Error::TooLarge { size_bytes: 20_001.., limit_bytes: 20_000 })), "{refused:?}");
    // A page is cut where a frame ends, and says where to go on.
    let Ok(Answer::Page(Ok(page))) = peers.call("b", scan(100), LONG).await else { panic!("no page") };
    assert_eq!(page.rows.len(), 19);
    assert_eq!(page.next.unwrap(), "00000018");
    let Ok(Answer::Page(Ok(page))) = peers.call("b", scan(19), LONG).await else { panic!("no page") };
    assert_eq!((page.rows.len(), page.next), (19, None), "a page that fits is left as it is");

    // Another answer is not sent at all.
    let tiny = Member::start(network.as_ref(), "c", bounded("c", 900)).await;
    let refused = peers.call("c", scan(1), LONG).await;
    assert!(matches!(&refused, Err(Error::Unknown(why)) if why.contains("a frame holds")), "{refused:?}");
    // A request that only the other side holds to be too large ends the connection, with the reason.
    let refused = peers.call("c", get(0, &"x".repeat(2_000)), LONG).await;
    assert!(matches!(&refused, Err(Error::Unknown(why)) if why.contains("more than 900 bytes")), "{refused:?}");
    assert!(answers(&peers, "c").await, "the next call makes a new connection");
    // An answer that only this side holds to be too large does the same.
    let peers = Peers::new(bounded("a", 900), network);
    let refused = peers.call("b", scan(5), LONG).await;
    assert!(matches!(&refused, Err(Error::Unknown(why)) if why.contains("more than 900 bytes")), "{refused:?}");
    drop(tiny);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_is_answered_for() {
    let (member, peers, _) = pair().await;
    let failed = peers.call(&member.address, Request::Admin("panic".into()), LONG).await;
    assert!(matches!(failed, Err(Error::Unknown(_))), "{failed:?}");
    assert!(answers(&peers, &member.address).await, "the connection goes on");
}

#[tokio::test(start_paused = true)]
async fn mail_arrives_in_order() {
    let (member, peers, network) = pair().await;
    for first in (0..5_000).step_by(1_000) {
        peers.send("b", (first..first + 999).map(mail).collect());
        peers.send("b", vec![mail(first + 999)]);
    }
    until(|| member.service.mail.lock().len() == 5_000).await;
    assert_eq!(*member.service.mail.lock(), (0..5_000).map(mail).collect::<Vec<_>>());
    assert!(member.service.names.lock().iter().all(|name| name == "a"));
    assert_eq!(network.dials.load(Ordering::Relaxed), 1);
    // To nobody: it is lost, and nobody waits.
    peers.send("nowhere", vec![mail(1)]);
}

#[tokio::test(start_paused = true)]
async fn mail_beyond_its_room_is_dropped_and_calls_are_not() {
    let network = Arc::new(Memory::default());
    let mut small = config("a", 7);
    small.mail_bytes = 10_000;
    let peers = Peers::new(small, network.clone());
    let member = Member::start(network.as_ref(), "b", config("b", 7)).await;
    peers.send("b", (0..5_000).map(mail).collect());
    assert!(answers(&peers, "b").await);
    let arrived = member.service.mail.lock().len();
    assert!((1..5_000).contains(&arrived), "{arrived} of 5,000 arrived");
    assert_eq!(*member.service.mail.lock(), (0..arrived as u32).map(mail).collect::<Vec<_>>());
}
