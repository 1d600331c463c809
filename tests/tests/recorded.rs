//! The load that keeps every answer, and what its checks find: a server that keeps its promises passes, and a history
//! from which something is missing, or in which something stands twice, does not.

use ordermill_history::{Deed, History, Outcome, check};
use ordermill_tests::load::recorded::{Recorded, assert_kept};
use ordermill_tests::process::{Server, Settings};
use ordermill_tests::seed;
use tempfile::tempdir;

#[track_caller]
fn told(history: &History, what: &str, spoil: impl FnOnce(&mut History)) {
    let mut spoiled = history.clone();
    spoil(&mut spoiled);
    let wrong = check(&spoiled);
    assert!(wrong.iter().any(|line| line.contains(what)), "{what:?} is not among {wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_real_clients_were_told_is_checked() {
    let seed = seed();
    println!("ORDERMILL_SEED={seed}");
    let directory = tempdir().unwrap();
    let mut server = Server::start(Settings::new(directory.path(), 4)).await;
    let load = Recorded::start(server.http(), 6, seed).await;
    load.more(400).await;
    server.kill().await;
    server.restart().await;
    load.more(200).await;
    let history = load.finish().await;
    assert_kept(&history);

    let step = |deed: &Deed| matches!(deed, Deed::Fulfil(..));
    let stepped =
        history.calls.iter().position(|call| step(&call.deed) && matches!(call.outcome, Outcome::Order { .. }));
    let stepped = stepped.expect("an order was fulfilled");
    told(&history, "is lost", |history| drop(history.orders.pop()));
    told(&history, "is there twice", |history| {
        let mut other = history.orders[0].clone();
        other.id.push('x');
        history.orders.push(other);
    });
    told(&history, "fulfilled, and its steps were", |history| drop(history.calls.remove(stepped)));
    told(&history, "units are not conserved", |history| history.items[0].on_hand += 1);
    told(&history, "of all orders", |history| history.items[0].held += 1);
    told(&history, "the feed of shard", |history| {
        let again = history.events[0].clone();
        history.events.insert(1, again);
    });
    told(&history, "the feed has", |history| {
        let last = history.events.iter().rposition(|event| event.order.is_some()).expect("there are orders");
        history.events.remove(last);
    });
    // A read that is answered with what was there long ago.
    told(&history, "tells version", |history| {
        let read = |deed: &Deed| matches!(deed, Deed::ReadItem(_));
        let last = history.calls.iter_mut().rfind(|call| read(&call.deed)).expect("items are read");
        last.outcome = Outcome::Absent;
    });
    server.stop().await;
}
