//! Single steps, told as users would.

use super::world::{World, lines, new_order};
use crate::command::{CancelOutcome, IdempotencyKey};
use crate::hold::Units;
use crate::id::fingerprint;
use crate::order::{LineUnits, Reason};
use crate::payment::{PaymentStatus, PaymentStep, Terms};
use crate::rows::{Timer, TimerKind};
use crate::{NewOrder, Order, Outcome, Refusal, Status, Step};

fn world() -> World {
    let mut world = World::new(1);
    world.put_item("tea", 10, false).expect("new");
    world.put_item("cup", 2, true).expect("new");
    world
}

fn order_of(outcome: Result<Outcome, Refusal>) -> std::sync::Arc<Order> {
    match outcome.expect("the step is possible") {
        Outcome::Order { order, .. } | Outcome::Cancelled { order, .. } => order,
        other => panic!("no order in {other:?}"),
    }
}

#[test]
fn an_order_that_cannot_be_met_is_rejected_whole() {
    let mut world = world();
    let order = world.place(new_order("ann", &[("tea", 4), ("tea", 7)]), None).expect("a decision");
    assert_eq!(order.status(), Status::Rejected);
    assert_eq!(order.lines[1].reason, Some(Reason::InsufficientStock), "lines with one SKU count together");
    assert_eq!(lines(&order), [(0, 0, 0, 4), (0, 0, 0, 7)]);
    assert_eq!(world.place(new_order("ann", &[("tea", 10)]), None).expect("a decision").status(), Status::Confirmed);
}

#[test]
fn an_unknown_sku_changes_nothing() {
    let mut world = world();
    let refused = world.place(new_order("ann", &[("tea", 1), ("ghost", 1)]), None);
    assert_eq!(refused, Err(Refusal::UnknownSku { line: Some(1) }));
    assert_eq!(world.orders().count(), 0);
}

#[test]
fn backordered_lines_are_filled_in_turn() {
    let mut world = world();
    let first = world.place(new_order("ann", &[("cup", 5)]), None).expect("a decision");
    let second = world.place(new_order("bob", &[("cup", 1)]), None).expect("a decision");
    assert_eq!((first.status(), second.status()), (Status::Backordered, Status::Backordered));
    assert_eq!(lines(&first), [(2, 3, 0, 0)]);
    world.adjust("cup", 3, None).expect("more units are never refused");
    let status = |world: &World, id| world.orders().find(|order| order.id == id).map(|order| order.status());
    assert_eq!(status(&world, first.id), Some(Status::Confirmed));
    assert_eq!(status(&world, second.id), Some(Status::Backordered));
    order_of(world.step(first.id, Step::Cancel { reason: None }));
    assert_eq!(status(&world, second.id), Some(Status::Confirmed), "released units go to who waits");
    world.settle();
}

#[test]
fn a_prepaid_order_is_paid_in_parts_shipped_in_parts_and_returned() {
    let mut world = world();
    let new = NewOrder { terms: Terms::Prepaid, ..new_order("ann", &[("tea", 4)]) };
    let id = world.place(new, None).expect("a decision").id;
    let ship = |units| Step::Fulfil { lines: Some(vec![LineUnits { line: 0, units }]), tracking: None };
    assert!(matches!(world.step(id, ship(1)), Err(Refusal::Conflict(_))), "not paid for");
    order_of(world.step(id, Step::Pay(PaymentStep::Authorize(400), Some(*b"GBP"))));
    let refused = world.step(id, Step::Pay(PaymentStep::Capture(1), Some(*b"USD")));
    assert!(matches!(refused, Err(Refusal::Invalid { .. })));
    assert_eq!(order_of(world.step(id, ship(1))).status(), Status::PartiallyFulfilled);
    let order = order_of(world.step(id, Step::Pay(PaymentStep::Capture(150), None)));
    assert_eq!(order.payment.status(order.total), PaymentStatus::PartiallyCaptured);
    assert_eq!(order_of(world.step(id, ship(3))).status(), Status::Fulfilled);
    assert_eq!(order_of(world.step(id, Step::Pay(PaymentStep::Capture(250), None))).status(), Status::Completed);
    let back = Step::Return { lines: None, restock: true, reason: None };
    assert_eq!(order_of(world.step(id, back)).status(), Status::Returned);
    let order = order_of(world.step(id, Step::Pay(PaymentStep::Refund(400), None)));
    assert_eq!(order.payment.status(order.total), PaymentStatus::Refunded);
    world.settle();
}

#[test]
fn a_wish_to_cancel_has_an_outcome() {
    let mut world = world();
    let cancel = || Step::Cancel { reason: None };
    let outcome = |result| match result {
        Ok(Outcome::Cancelled { outcome, .. }) => outcome,
        other => panic!("no outcome in {other:?}"),
    };
    let id = world.place(new_order("ann", &[("tea", 4)]), None).expect("a decision").id;
    assert_eq!(outcome(world.step(id, cancel())), CancelOutcome::Done);
    assert_eq!(outcome(world.step(id, cancel())), CancelOutcome::Already);
    let id = world.place(new_order("ann", &[("tea", 4)]), None).expect("a decision").id;
    order_of(world.step(id, Step::Fulfil { lines: None, tracking: None }));
    assert_eq!(outcome(world.step(id, cancel())), CancelOutcome::TooLate);
}

#[test]
fn an_unpaid_reservation_runs_out_and_an_unknown_payment_holds_it() {
    let mut world = world();
    let new = || NewOrder { expires_in_ms: Some(1_000), ..new_order("ann", &[("tea", 3)]) };
    let unpaid = world.place(new(), None).expect("a decision").id;
    let paid = world.place(new(), None).expect("a decision").id;
    let unknown = world.place(new(), None).expect("a decision").id;
    order_of(world.step(paid, Step::Pay(PaymentStep::Authorize(300), None)));
    order_of(world.step(unknown, Step::Pay(PaymentStep::Unknown, None)));
    let status = |world: &World, id| world.orders().find(|order| order.id == id).map(|order| order.status());
    world.pass(1_000);
    assert_eq!(status(&world, unpaid), Some(Status::Expired));
    assert_eq!(status(&world, paid), Some(Status::Confirmed));
    assert_eq!(status(&world, unknown), Some(Status::Confirmed));
    assert!(matches!(world.step(unknown, Step::Cancel { reason: None }), Err(Refusal::Conflict(_))));
    order_of(world.step(unknown, Step::Pay(PaymentStep::Fail, None)));
    world.pass(60_000);
    assert_eq!(status(&world, unknown), Some(Status::Expired));
    world.settle();
}

#[test]
fn a_clock_that_is_set_back_leaves_the_timer_for_later() {
    let mut world = world();
    let new = NewOrder { expires_in_ms: Some(1_000), ..new_order("ann", &[("tea", 3)]) };
    let order = world.place(new, None).expect("a decision");
    let due_ms = order.expires_ms.expect("it runs out");
    let timer = Timer { due_ms, slot: order.id.slot(), what: TimerKind::Expire(order.id) };
    // Whoever found it due went by another clock.
    world.step_timer(timer);
    let status = |world: &World| world.orders().next().map(|order| order.status());
    assert_eq!(status(&world), Some(Status::Confirmed));
    world.pass(1_000);
    assert_eq!(status(&world), Some(Status::Expired));
}

#[test]
fn a_key_makes_a_request_happen_once() {
    let mut world = world();
    let key = |body: &[u8]| Some(IdempotencyKey { key: 7, fingerprint: fingerprint(&[body]) });
    let first = world.place(new_order("ann", &[("tea", 4)]), key(b"a")).expect("a decision");
    let again = world.place(new_order("ann", &[("tea", 4)]), key(b"a")).expect("the same");
    assert_eq!(first.id, again.id);
    assert_eq!(world.place(new_order("ann", &[("tea", 5)]), key(b"b")), Err(Refusal::KeyReused));
    world.adjust("tea", 5, Some("k")).expect("more units");
    match world.adjust("tea", 5, Some("k")) {
        Ok(Outcome::Item { item, replayed: true, .. }) => assert_eq!(item.on_hand, 15),
        other => panic!("not replayed: {other:?}"),
    }
    world.pass(60_000);
    let later = world.place(new_order("ann", &[("tea", 4)]), key(b"b")).expect("the key is forgotten");
    assert_ne!(first.id, later.id);
}

#[test]
fn a_reference_is_unique_per_customer_for_ever() {
    let mut world = world();
    let new = || NewOrder { reference: Some(("r-1".into(), 99)), ..new_order("ann", &[("tea", 1)]) };
    let order = world.place(new(), None).expect("a decision");
    world.pass(1_000_000_000);
    let taken = Refusal::ReferenceTaken { order: Some((order.id, Status::Confirmed)) };
    assert_eq!(world.place(new(), None), Err(taken));
}

#[test]
fn a_credit_cancels_what_is_open_and_returns_what_has_left() {
    let mut world = world();
    let gone = world.place(NewOrder { fulfilled: true, ..new_order("ann", &[("tea", 3)]) }, None).expect("a decision");
    assert_eq!(gone.status(), Status::Fulfilled);
    let open = world.place(new_order("ann", &[("tea", 2)]), None).expect("a decision");
    match world.credit("ann", "c-1", &[("tea", 4), ("cup", 1)]) {
        Ok(Outcome::Credited { from, unmatched }) => {
            assert_eq!(unmatched, 1);
            assert_eq!(from[0].order, open.id);
            assert_eq!(from[0].cancelled, [LineUnits { line: 0, units: 2 }]);
            assert_eq!(from[1].returned, [LineUnits { line: 0, units: 2 }]);
        }
        other => panic!("no credit: {other:?}"),
    }
    assert!(matches!(world.credit("ann", "c-1", &[("tea", 1)]), Err(Refusal::ReferenceTaken { order: None })));
    world.settle();
}

#[test]
fn two_shards_settle_an_order_by_messages() {
    let mut world = World::new(7);
    world.put_item("tea", 10, false).expect("new");
    world.put_item("cup", 1, false).expect("new");
    world.put_item("jar", 10, false).expect("new");
    let order = world.place(new_order("ann", &[("tea", 1), ("cup", 2), ("jar", 1)]), None).expect("a decision");
    world.settle();
    let order = world.orders().find(|other| other.id == order.id).expect("it is kept").clone();
    assert_eq!(order.status(), Status::Rejected);
    assert!(order.lines.iter().all(|line| line.desired() == Units::default()));
    let order = world.place(new_order("ann", &[("tea", 1), ("cup", 1), ("jar", 1)]), None).expect("a decision");
    world.settle();
    let order = world.orders().find(|other| other.id == order.id).expect("it is kept").clone();
    assert_eq!(order.status(), Status::Confirmed);
}
