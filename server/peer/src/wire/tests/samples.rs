//! One of each kind, and generated ones. The functions that number the kinds are matches without a
//! wildcard: a new kind does not compile until it has a number, and fails the test until it has a
//! sample.

use std::sync::Arc;

use ordermill_order::command::{CancelOutcome, Credit, Credited};
use ordermill_order::hold::{Claim, Report, Units};
use ordermill_order::order::{Cancellation, Fulfillment, InFlight, LineUnits, Return};
use ordermill_order::payment::{Payment, PaymentStep, Terms};
use ordermill_order::rows::{Timer, TimerKind};
use ordermill_order::{
    Action, Item, Line, NewLine, NewOrder, Order, OrderId, Outcome, Partition, Reason, Refusal, Reservation, Status,
    Step,
};

use crate::Failure;

pub(super) const ID: OrderId = OrderId(0x0191_2345_6789_ABCD_0102_0304_0506_0708);

pub(super) fn claim() -> Claim {
    Claim {
        order: ID,
        line: 3,
        sku: "85123A".into(),
        operation: 2,
        revision: 1,
        from: Units { open: 5, fulfilled: 0, restocked: 0 },
        to: Units { open: 2, fulfilled: 3, restocked: 0 },
    }
}

pub(super) fn report() -> Report {
    Report {
        order: ID,
        line: 3,
        operation: 2,
        revision: 2,
        held: 2,
        backordered: 1,
        fulfilled: 3,
        restocked: 0,
        refused: Some(Reason::InsufficientStock),
    }
}

pub(super) fn new_order() -> NewOrder {
    NewOrder {
        partition: Partition { slot: 50_555, hash: 7 },
        customer: Some("c-17".into()),
        reference: Some(("r-1".into(), 99)),
        lines: vec![NewLine { sku: "85123A".into(), quantity: 6, unit_price: 255 }],
        currency: *b"GBP",
        terms: Terms::Prepaid,
        expires_in_ms: Some(60_000),
        fulfilled: true,
        placed_ms: Some(1_291_191_960_000),
    }
}

pub(super) fn order() -> Order {
    let line = Line {
        requested: 0,
        fulfilled: 4,
        returned: 1,
        cancelled: 2,
        in_flight: Some(InFlight { from: Units::default(), to: Units { open: 1, fulfilled: 4, restocked: 0 } }),
        ..Line::new("85123A".into(), 6, 255)
    };
    let units = vec![LineUnits { line: 0, units: 1 }];
    Order {
        id: ID,
        customer: Some("c-17".into()),
        reference: None,
        currency: *b"GBP",
        total: 6 * 255,
        lines: vec![line],
        reservation: Reservation::Cancelled,
        terms: Terms::OnAccount,
        payment: Payment { authorized: 1530, captured: 1020, ..Payment::default() },
        fulfillments: vec![Fulfillment { lines: units.clone(), tracking: Some("T1".into()), at_ms: 8 }],
        returns: vec![Return { lines: units, restocked: false, reason: Some("broken".into()), at_ms: 9 }],
        cancellation: Some(Cancellation { reason: Some("too late".into()), at_ms: 7 }),
        fulfil_at_once: false,
        expires_ms: None,
        version: 5,
        created_ms: 1_291_191_960_000,
        updated_ms: 1_291_191_960_009,
    }
}

pub(super) fn item() -> Item {
    Item { on_hand: 10, held: 2, received: 10, version: 3, ..Item::default() }
}

/// The number of the kind, and how many kinds there are.
pub(super) fn action_kind(action: &Action) -> (usize, usize) {
    let number = match action {
        Action::Create(_) => 0,
        Action::Step { step: Step::Cancel { .. }, .. } => 1,
        Action::Step { step: Step::Pay(PaymentStep::Authorize(_), _), .. } => 2,
        Action::Step { step: Step::Pay(PaymentStep::Capture(_), _), .. } => 3,
        Action::Step { step: Step::Pay(PaymentStep::Void, _), .. } => 4,
        Action::Step { step: Step::Pay(PaymentStep::Refund(_), _), .. } => 5,
        Action::Step { step: Step::Pay(PaymentStep::Fail, _), .. } => 6,
        Action::Step { step: Step::Pay(PaymentStep::Unknown, _), .. } => 7,
        Action::Step { step: Step::Fulfil { .. }, .. } => 8,
        Action::Step { step: Step::Return { .. }, .. } => 9,
        Action::Credit(_) => 10,
        Action::PutItem { .. } => 11,
        Action::AdjustItem { .. } => 12,
        Action::Claim(_) => 13,
        Action::Report(_) => 14,
        Action::Noted { .. } => 15,
        Action::Timer(Timer { what: TimerKind::Expire(_), .. }) => 16,
        Action::Timer(Timer { what: TimerKind::Fill(_), .. }) => 17,
    };
    (number, 18)
}

pub(super) fn actions() -> Vec<Action> {
    let step = |step| Action::Step { id: ID, if_version: Some(4), step };
    let pay = |pay| step(Step::Pay(pay, Some(*b"EUR")));
    let lines = Some(vec![LineUnits { line: 1, units: 2 }, LineUnits { line: 0, units: 0 }]);
    let credit = Credit {
        partition: Partition { slot: 1, hash: 65_535 },
        customer: None,
        reference: u128::MAX - 5,
        lines: vec![("85123A".into(), 3)],
        restock: true,
        candidates: vec![ID, OrderId(0)],
    };
    let timer = |what| Action::Timer(Timer { due_ms: 77, slot: 6, what });
    vec![
        Action::Create(Box::new(new_order())),
        step(Step::Cancel { reason: Some("changed my mind".into()) }),
        step(Step::Cancel { reason: None }),
        pay(PaymentStep::Authorize(5)),
        pay(PaymentStep::Capture(6)),
        pay(PaymentStep::Void),
        pay(PaymentStep::Refund(7)),
        pay(PaymentStep::Fail),
        Action::Step { id: ID, if_version: None, step: Step::Pay(PaymentStep::Unknown, None) },
        step(Step::Fulfil { lines: lines.clone(), tracking: Some("T1".into()) }),
        step(Step::Fulfil { lines: Some(Vec::new()), tracking: None }),
        step(Step::Fulfil { lines: None, tracking: None }),
        step(Step::Return { lines, restock: true, reason: Some("broken".into()) }),
        step(Step::Return { lines: None, restock: false, reason: None }),
        Action::Credit(Box::new(credit)),
        Action::PutItem { sku: "85123A".into(), on_hand: 9, backorder: true, if_version: Some(0) },
        Action::AdjustItem { sku: "85123A".into(), delta: -4 },
        Action::Claim(claim()),
        Action::Report(report()),
        Action::Noted { slot: 65_535, order: ID, line: 2, revision: 9 },
        timer(TimerKind::Expire(ID)),
        timer(TimerKind::Fill("85123A".into())),
    ]
}

/// The number of the kind, and how many kinds there are.
pub(super) fn outcome_kind(outcome: &Outcome) -> (usize, usize) {
    let number = match outcome {
        Outcome::Order { .. } => 0,
        Outcome::Cancelled { outcome: CancelOutcome::Done, .. } => 1,
        Outcome::Cancelled { outcome: CancelOutcome::TooLate, .. } => 2,
        Outcome::Cancelled { outcome: CancelOutcome::Already, .. } => 3,
        Outcome::Item { .. } => 4,
        Outcome::Credited { .. } => 5,
        Outcome::Report(_) => 6,
        Outcome::Done => 7,
    };
    (number, 8)
}

pub(super) fn outcomes() -> Vec<Outcome> {
    let cancelled = |outcome| Outcome::Cancelled { order: Arc::new(order()), outcome, replayed: false };
    let units = vec![LineUnits { line: 1, units: 2 }];
    let credited = Credited { order: ID, cancelled: units.clone(), returned: units };
    vec![
        Outcome::Order { order: Arc::new(order()), replayed: true },
        cancelled(CancelOutcome::Done),
        cancelled(CancelOutcome::TooLate),
        cancelled(CancelOutcome::Already),
        Outcome::Item { item: item(), replayed: false, created: true },
        Outcome::Credited { from: vec![credited], unmatched: 4 },
        Outcome::Report(report()),
        Outcome::Done,
    ]
}

/// The number of the kind, and how many kinds there are.
pub(super) fn failure_kind(failure: &Failure) -> (usize, usize) {
    let number = match failure {
        Failure::NotOwner { .. } => 0,
        Failure::Busy => 1,
        Failure::Unavailable(_) => 2,
        Failure::Full(_) => 3,
        Failure::Unknown(_) => 4,
        Failure::Refused(Refusal::UnknownSku { .. }) => 5,
        Failure::Refused(Refusal::NotFound) => 6,
        Failure::Refused(Refusal::VersionMismatch { .. }) => 7,
        Failure::Refused(Refusal::KeyReused) => 8,
        Failure::Refused(Refusal::ReferenceTaken { .. }) => 9,
        Failure::Refused(Refusal::Conflict(_)) => 10,
        Failure::Refused(Refusal::Invalid { .. }) => 11,
    };
    (number, 12)
}

pub(super) fn failures() -> Vec<Failure> {
    let mut refusals = vec![
        Refusal::UnknownSku { line: None },
        Refusal::UnknownSku { line: Some(0) },
        Refusal::NotFound,
        Refusal::VersionMismatch { current: 0 },
        Refusal::KeyReused,
        Refusal::ReferenceTaken { order: None },
        Refusal::Conflict("the order has ended".into()),
        Refusal::Invalid { field: "lines[1].quantity".into(), reason: "is more than is held".into() },
    ];
    refusals.extend(Status::ALL.map(|status| Refusal::ReferenceTaken { order: Some((ID, status)) }));
    let mut failures = vec![
        Failure::NotOwner { map_version: 0 },
        Failure::Busy,
        Failure::Unavailable("the shard has stopped".into()),
        Failure::Full(String::new()),
        Failure::Unknown("no answer".into()),
    ];
    failures.extend(refusals.into_iter().map(Failure::Refused));
    failures
}
