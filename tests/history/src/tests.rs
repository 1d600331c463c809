//! A good history passes, and each thing that can be wrong with one is told.

use super::*;

fn line(units: [u64; 4]) -> Line {
    let [held, fulfilled, cancelled, returned] = units;
    let quantity = held + fulfilled + cancelled;
    Line { sku: "tea".into(), quantity, held, fulfilled, cancelled, returned, restocked: returned, ..Line::default() }
}

fn order(version: u64, units: [u64; 4]) -> Order {
    Order { id: "1".into(), name: "ann/1".into(), version, lines: vec![line(units)], ..Order::default() }
}

fn item(version: u64, received: i64, held: u64, fulfilled: u64, restocked: u64) -> Item {
    let on_hand = (received - fulfilled as i64 + restocked as i64) as u64;
    Item { sku: "tea".into(), version, on_hand, held, received, fulfilled, restocked, ..Item::default() }
}

fn call(begin: u64, end: u64, deed: Deed, outcome: Outcome) -> Call {
    Call { begin, end, deed, outcome }
}

fn of_order(order: Order, changed: bool) -> Outcome {
    Outcome::Order { order, changed }
}

fn event(record: u64, index: u32, version: u64) -> Event {
    Event { shard: 3, record, index, order: Some(("1".into(), version)) }
}

/// Places an order of three, ships one, and adds two to the shelf.
fn good() -> History {
    let last = Order { authorized: 100, ..order(3, [2, 1, 0, 0]) };
    History {
        set: vec![("tea".into(), 10)],
        calls: vec![
            call(1, 4, Deed::Place("ann/1".into()), of_order(order(1, [3, 0, 0, 0]), true)),
            call(2, 3, Deed::ReadItem("tea".into()), Outcome::Item { item: item(1, 10, 0, 0, 0), changed: false }),
            call(5, 8, Deed::Fulfil("1".into(), 1), of_order(order(2, [2, 1, 0, 0]), true)),
            call(6, 7, Deed::ReadOrder("1".into()), of_order(order(1, [3, 0, 0, 0]), false)),
            call(9, 12, Deed::Authorize("1".into(), 100), Outcome::Unknown),
            call(10, 11, Deed::Capture("1".into(), 100), Outcome::Refused),
            call(13, 14, Deed::Adjust("tea".into(), 2), Outcome::Item { item: item(2, 12, 2, 1, 0), changed: true }),
            call(15, 16, Deed::ReadOrder("1".into()), of_order(last.clone(), false)),
            call(17, 18, Deed::Place("ann/2".into()), Outcome::Unknown),
        ],
        events: vec![event(7, 0, 1), event(9, 0, 3), event(9, 1, 3)],
        orders: vec![last],
        items: vec![item(2, 12, 2, 1, 0)],
    }
}

#[track_caller]
fn told(spoil: impl FnOnce(&mut History), what: &str) {
    let mut history = good();
    spoil(&mut history);
    let wrong = check(&history);
    assert!(wrong.iter().any(|line| line.contains(what)), "{what:?} is not among {wrong:#?}");
}

#[test]
fn a_good_history_passes() {
    assert_eq!(check(&good()), Vec::<String>::new());
}

#[test]
fn a_lost_order_is_told() {
    told(|history| drop(history.orders.pop()), "is lost");
    told(|history| history.orders[0].version = 1, "in version 1 now");
}

#[test]
fn an_order_that_is_there_twice_is_told() {
    told(|history| history.orders.push(Order { id: "2".into(), ..history.orders[0].clone() }), "is there twice");
    told(|history| history.orders.push(Order { name: "ann/2".into(), ..history.orders[0].clone() }), "both called 1");
    told(|history| history.orders[0].id = "2".into(), "is 2 now");
}

#[test]
fn an_order_that_nobody_has_placed_is_told() {
    told(|history| history.orders.push(Order { name: "eve".into(), ..order(1, [0; 4]) }), "nobody has placed it");
    let refused = |history: &mut History| {
        history.calls[8].outcome = Outcome::Refused;
        history.orders.push(Order { id: "2".into(), name: "ann/2".into(), ..order(1, [0; 4]) });
    };
    told(refused, "nobody has placed it");
}

#[test]
fn a_step_that_was_lost_or_taken_twice_is_told() {
    told(|history| history.orders[0].lines = vec![line([3, 0, 0, 0])], "0 fulfilled");
    told(|history| history.orders[0].lines = vec![line([1, 2, 0, 0])], "2 fulfilled");
    told(|history| history.orders[0].authorized = 200, "200 authorized");
    told(|history| history.orders[0].captured = 100, "100 captured");
    told(|history| history.orders[0].lines = vec![line([2, 1, 0, 1])], "1 returned");
    let cancelled = |history: &mut History| {
        let deed = Deed::Cancel("1".into());
        history.calls.push(call(19, 20, deed, of_order(order(4, [0, 1, 2, 0]), true)));
    };
    told(cancelled, "was cancelled, and is not");
}

#[test]
fn a_stale_read_is_told() {
    told(|history| history.calls[3].begin = 9, "tells version 1");
    told(|history| history.calls[7].outcome = Outcome::Absent, "tells version 0");
    let stale = |history: &mut History| {
        let outcome = Outcome::Item { item: item(1, 10, 2, 1, 0), changed: false };
        history.calls.push(call(19, 20, Deed::ReadItem("tea".into()), outcome));
    };
    told(stale, "tells version 1");
    let stale = |history: &mut History| {
        let outcome = Outcome::Item { item: item(2, 12, 3, 0, 0), changed: false };
        history.calls.push(call(19, 20, Deed::ReadItem("tea".into()), outcome));
    };
    told(stale, "units of tea that left or came back");
}

#[test]
fn two_changes_of_one_version_are_told() {
    let twice = |history: &mut History| {
        let deed = Deed::Fulfil("1".into(), 1);
        history.calls.push(call(5, 19, deed, of_order(order(2, [2, 1, 0, 0]), true)));
    };
    told(twice, "both made version 2");
    told(|history| history.calls[3].outcome = of_order(order(1, [2, 1, 0, 0]), false), "version 1 was told as");
    let other = |history: &mut History| {
        let outcome = Outcome::Item { item: item(2, 13, 2, 1, 0), changed: false };
        history.calls.push(call(19, 20, Deed::ReadItem("tea".into()), outcome));
    };
    told(other, "version 2 has received");
}

#[test]
fn units_out_of_nothing_are_told() {
    told(|history| history.items[0].held = 13, "sold beyond what is there");
    told(|history| history.items[0].on_hand = 12, "units are not conserved");
    told(|history| history.items[0].held = 1, "of all orders [2, 0, 1, 0]");
    told(|history| history.orders[0].lines[0].quantity = 4, "units of a line are not conserved");
    told(|history| history.orders[0].pending = true, "pending for ever");
    told(|history| drop(history.items.pop()), "tea is in orders, and is lost");
}

#[test]
fn an_adjustment_that_was_lost_or_made_twice_is_told() {
    told(|history| history.items[0] = item(2, 10, 2, 1, 0), "10 received");
    told(|history| history.items[0] = item(2, 14, 2, 1, 0), "14 received");
}

#[test]
fn a_feed_with_a_gap_or_a_repeat_is_told() {
    told(|history| drop(history.events.pop()), "the feed has 2 events");
    told(|history| drop(history.events.remove(0)), "the feed has 2 events");
    told(|history| drop(history.events.remove(1)), "the feed of shard 3 tells (9, 1) after Some((7, 0))");
    told(|history| history.events.insert(1, event(7, 0, 1)), "the feed of shard 3 tells (7, 0)");
    told(|history| history.events.push(event(10, 0, 1)), "tells version 1 of 1 after 3");
    told(
        |history| history.events.push(Event { shard: 5, order: Some(("2".into(), 1)), ..event(1, 0, 1) }),
        "tells of 2, which is not there",
    );
}

/// An adjustment of the shelf, and a step, each in a version that was seen.
fn conditional() -> History {
    let mut history = good();
    let deed = Deed::If(3, Box::new(Deed::Capture("1".into(), 50)));
    let last = Order { captured: 50, version: 4, ..history.orders[0].clone() };
    history.calls.push(call(19, 20, deed, of_order(last.clone(), true)));
    let deed = Deed::If(3, Box::new(Deed::Cancel("1".into())));
    history.calls.push(call(21, 22, deed, Outcome::Mismatch(4)));
    let shelf = item(3, 16, 2, 1, 0);
    let deed = Deed::If(2, Box::new(Deed::Put("tea".into(), 15)));
    history.calls.push(call(23, 24, deed, Outcome::Item { item: shelf.clone(), changed: true }));
    history.events.push(event(11, 0, 4));
    (history.orders, history.items) = (vec![last], vec![shelf]);
    history
}

#[test]
fn a_condition_that_was_passed_over_is_told() {
    assert_eq!(check(&conditional()), Vec::<String>::new());
    let told = |spoil: fn(&mut History), what: &str| {
        let mut history = conditional();
        spoil(&mut history);
        let wrong = check(&history);
        assert!(wrong.iter().any(|line| line.contains(what)), "{what:?} is not among {wrong:#?}");
    };
    told(|history| history.calls[10].outcome = Outcome::Mismatch(3), "refused for the version that it wants");
    told(|history| history.calls[9].deed = Deed::If(4, Box::new(Deed::Capture("1".into(), 50))), "left version 4");
    told(|history| history.calls[11].deed = Deed::If(2, Box::new(Deed::Put("tea".into(), 9))), "left 15 units");
    told(|history| history.items[0] = item(3, 20, 2, 1, 0), "20 received");
    told(|history| history.calls[10].outcome = Outcome::Mismatch(2), "tells version 2");
    let twice = |history: &mut History| {
        let deed = Deed::If(3, Box::new(Deed::Authorize("1".into(), 5)));
        let order = Order { version: 5, ..history.orders[0].clone() };
        history.calls.push(call(25, 26, deed, of_order(order, true)));
    };
    told(twice, "were both made in version 3");
}

#[test]
fn an_order_that_has_run_out_wrongly_is_told() {
    let (mut history, id, name) = (good(), || "1".to_owned(), || "ann/1".to_owned());
    let all = Beside { expiring: [name()].into(), expired: [id()].into(), ..Beside::default() };
    let told = |history: &History, beside: &Beside| check_with(history, beside).join("; ");
    assert!(told(&history, &all).contains("ann/1 has run out after Fulfil"));
    history.calls.remove(2);
    assert!(told(&history, &all).contains("something is still held for it"));
    let nobody = Beside { expired: [id()].into(), ..Beside::default() };
    assert!(told(&history, &nobody).contains("nobody has said that it shall"));
    assert_eq!(check_with(&good(), &Beside { expiring: [name()].into(), ..Beside::default() }), Vec::<String>::new());
}

#[test]
fn events_may_be_missing_where_they_are_gone_and_nothing_else_may() {
    let gone = Beside { gone: true, ..Beside::default() };
    let mut history = good();
    history.events.remove(1);
    assert_eq!(check_with(&history, &gone), Vec::<String>::new());
    history.events.push(event(9, 1, 4));
    assert!(check_with(&history, &gone).iter().any(|line| line.contains("tells (9, 1) after Some((9, 1))")));
}
