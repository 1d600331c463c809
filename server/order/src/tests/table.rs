//! Every step in every state, legal or not: the table in docs/order-states.md, made here.

use std::fmt::Write as _;
use std::path::Path;

use super::world::{World, new_order};
use crate::command::CancelOutcome;
use crate::order::LineUnits;
use crate::payment::{PaymentStep, Terms};
use crate::{NewOrder, OrderId, Outcome, Refusal, Step};

const CUSTOMER: &str = "ann";

type Make = fn(&mut World) -> OrderId;

/// A name, and how to bring an order of four units at 100 each there.
const STATES: [(&str, Make); 17] = [
    ("pending", |world| place(world, |new| new.lines[0].sku = "far".into())),
    ("confirmed", |world| place(world, |_| ())),
    ("confirmed, prepaid, unpaid", |world| place(world, |new| new.terms = Terms::Prepaid)),
    ("confirmed, expiring", |world| place(world, |new| new.expires_in_ms = Some(1_000))),
    ("confirmed, authorized", |world| paid(world, &[PaymentStep::Authorize(400)])),
    ("confirmed, part captured", |world| paid(world, &[PaymentStep::Authorize(400), PaymentStep::Capture(100)])),
    ("confirmed, captured", |world| paid(world, &[PaymentStep::Authorize(400), PaymentStep::Capture(400)])),
    ("confirmed, payment failed", |world| paid(world, &[PaymentStep::Fail])),
    ("confirmed, payment unknown", |world| paid(world, &[PaymentStep::Unknown])),
    ("backordered", |world| place(world, |new| new.lines[0].sku = "scarce".into())),
    ("rejected", |world| place(world, |new| new.lines[0].sku = "none".into())),
    ("cancelled", |world| after(world, &[Step::Cancel { reason: None }])),
    ("expired", |world| {
        let id = place(world, |new| new.expires_in_ms = Some(1));
        world.pass(1);
        id
    }),
    ("partially fulfilled", |world| after(world, &[ship(Some(1))])),
    ("fulfilled", |world| after(world, &[ship(None)])),
    ("completed", |world| {
        let pay = |step| Step::Pay(step, None);
        after(world, &[pay(PaymentStep::Authorize(400)), pay(PaymentStep::Capture(400)), ship(None)])
    }),
    ("returned", |world| after(world, &[ship(None), Step::Return { lines: None, restock: true, reason: None }])),
];

fn steps() -> Vec<(&'static str, Option<Step>)> {
    let pay = |step| Some(Step::Pay(step, None));
    vec![
        ("cancel", Some(Step::Cancel { reason: None })),
        ("authorize 100", pay(PaymentStep::Authorize(100))),
        ("authorize 500", pay(PaymentStep::Authorize(500))),
        ("capture 100", pay(PaymentStep::Capture(100))),
        ("void", pay(PaymentStep::Void)),
        ("refund 100", pay(PaymentStep::Refund(100))),
        ("payment failed", pay(PaymentStep::Fail)),
        ("payment unknown", pay(PaymentStep::Unknown)),
        ("fulfil all", Some(ship(None))),
        ("fulfil 1", Some(ship(Some(1)))),
        ("return all", Some(Step::Return { lines: None, restock: true, reason: None })),
        ("time passes", None),
    ]
}

fn ship(units: Option<u64>) -> Step {
    Step::Fulfil { lines: units.map(|units| vec![LineUnits { line: 0, units }]), tracking: None }
}

/// Three items: enough, too few with backorder, none; and one in another shard than the customer.
fn world() -> World {
    let mut world = World::new(2);
    for (sku, on_hand, backorder) in
        [("near", 100, false), ("scarce", 1, true), ("none", 0, false), ("far", 100, false)]
    {
        world.put_item(sku, on_hand, backorder).expect("a new item is never refused");
    }
    world
}

fn place(world: &mut World, change: impl Fn(&mut NewOrder)) -> OrderId {
    let mut new = new_order(CUSTOMER, &[("near", 4)]);
    change(&mut new);
    let far = &*new.lines[0].sku == "far";
    let id = world.place(new, None).expect("a decision").id;
    if !far {
        world.settle();
    }
    id
}

fn paid(world: &mut World, payments: &[PaymentStep]) -> OrderId {
    let steps: Vec<_> = payments.iter().map(|payment| Step::Pay(*payment, None)).collect();
    after(world, &steps)
}

fn after(world: &mut World, steps: &[Step]) -> OrderId {
    let id = place(world, |_| ());
    for step in steps {
        world.step(id, step.clone()).expect("the steps to a state are legal");
        world.settle();
    }
    id
}

fn told(world: &World, id: OrderId) -> String {
    let order = world.orders().find(|order| order.id == id).expect("the order is kept");
    format!("{}, payment {}", order.status().as_str(), payment_word(order.payment.status(order.total)))
}

fn payment_word(status: crate::payment::PaymentStatus) -> String {
    let mut words = String::new();
    for letter in format!("{status:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

fn result(world: &mut World, id: OrderId, step: Option<Step>) -> String {
    let Some(step) = step else {
        world.pass(10_000);
        return told(world, id);
    };
    match world.step(id, step) {
        Ok(Outcome::Cancelled { outcome: CancelOutcome::Already, .. }) => "outcome `already`; nothing changes".into(),
        Ok(Outcome::Cancelled { outcome: CancelOutcome::TooLate, .. }) => "outcome `too_late`; nothing changes".into(),
        Ok(_) => told(world, id),
        Err(Refusal::Conflict(why)) => format!("refused: {why}"),
        Err(Refusal::Invalid { field, reason }) => format!("refused: {field} {reason}"),
        Err(other) => format!("refused: {other}"),
    }
}

fn table() -> String {
    let mut out = String::from(
        "# Every step in every state\n\n\
         Made by a test of the state machine from the state machine itself; `cargo xtask codegen` writes it anew.\n\
         The order has one line of 4 units at 100 minor units each, so it costs 400. \"time passes\" lets every timer\n\
         within ten seconds fire. A refused step changes nothing.\n",
    );
    for (state, make) in STATES {
        write!(out, "\n## {state}\n\n| step | what comes of it |\n|---|---|\n").expect("a string takes all");
        for (name, step) in steps() {
            let mut world = world();
            let id = make(&mut world);
            let result = result(&mut world, id, step);
            writeln!(out, "| {name} | {result} |").expect("a string takes all");
        }
    }
    out
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the chore that writes the table says so in the environment")]
fn the_table_in_the_docs_is_what_the_machine_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/order-states.md");
    let table = table();
    if std::env::var("ORDERMILL_CODEGEN").is_ok() {
        std::fs::write(&path, &table).expect("the docs can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(table == committed, "docs/order-states.md has drifted: run `cargo xtask codegen`");
}
