//! Whatever is asked in whatever order: units are conserved, and the shards settle.

use proptest::prelude::*;

use super::world::{CUSTOMERS, World, new_order};
use crate::order::LineUnits;
use crate::payment::{PaymentStep, Terms};
use crate::{OrderId, Step};

const SKUS: [&str; 5] = ["apple", "pear", "plum", "fig", "kiwi"];

#[derive(Clone, Debug)]
enum Op {
    Put(usize, u64, bool),
    Adjust(usize, i64),
    Place { customer: usize, lines: Vec<(usize, u64)>, prepaid: bool, expires: bool, fulfilled: bool },
    Cancel(usize),
    Pay(usize, u8, u64),
    Fulfil(usize, Option<(u16, u64)>),
    Return(usize, Option<(u16, u64)>, bool),
    Credit(usize, Vec<(usize, u64)>),
    Deliver(usize, bool),
    Pass(u64),
    Settle,
}

fn op() -> impl Strategy<Value = Op> {
    let lines = || prop::collection::vec((0..SKUS.len(), 1..6u64), 1..4);
    let units = || prop::option::of((0..4u16, 1..5u64));
    prop_oneof![
        2 => (0..SKUS.len(), 0..15u64, any::<bool>()).prop_map(|(sku, units, back)| Op::Put(sku, units, back)),
        2 => (0..SKUS.len(), -6..12i64).prop_map(|(sku, delta)| Op::Adjust(sku, delta)),
        6 => (0..CUSTOMERS.len(), lines(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            |(customer, lines, prepaid, expires, fulfilled)| Op::Place { customer, lines, prepaid, expires, fulfilled }
        ),
        2 => any::<usize>().prop_map(Op::Cancel),
        3 => (any::<usize>(), 0..6u8, 1..900u64).prop_map(|(order, action, amount)| Op::Pay(order, action, amount)),
        3 => (any::<usize>(), units()).prop_map(|(order, units)| Op::Fulfil(order, units)),
        2 => (any::<usize>(), units(), any::<bool>()).prop_map(|(order, units, restock)| Op::Return(order, units, restock)),
        1 => (0..CUSTOMERS.len(), lines()).prop_map(|(customer, lines)| Op::Credit(customer, lines)),
        12 => (any::<usize>(), prop::bool::weighted(0.2)).prop_map(|(pick, twice)| Op::Deliver(pick, twice)),
        1 => (0..2_000u64).prop_map(Op::Pass),
        1 => Just(Op::Settle),
    ]
}

fn nth(world: &World, pick: usize) -> Option<OrderId> {
    let ids: Vec<_> = world.orders().map(|order| order.id).collect();
    (!ids.is_empty()).then(|| ids[pick % ids.len()])
}

fn run(world: &mut World, step: usize, op: Op) {
    let one = |units: Option<(u16, u64)>| units.map(|(line, units)| vec![LineUnits { line, units }]);
    // Refusals are fine; what must hold is checked after every command.
    let on_order = |world: &mut World, pick: usize, step: Step| {
        if let Some(id) = nth(world, pick) {
            let _ = world.step(id, step);
        }
    };
    match op {
        Op::Put(sku, units, backorder) => drop(world.put_item(SKUS[sku], units, backorder)),
        Op::Adjust(sku, delta) => drop(world.adjust(SKUS[sku], delta, None)),
        Op::Place { customer, lines, prepaid, expires, fulfilled } => {
            let lines: Vec<_> = lines.iter().map(|&(sku, units)| (SKUS[sku], units)).collect();
            let mut new = new_order(CUSTOMERS[customer], &lines);
            new.terms = if prepaid { Terms::Prepaid } else { Terms::OnAccount };
            new.expires_in_ms = expires.then_some(1_000);
            new.fulfilled = fulfilled;
            let _ = world.place(new, None);
        }
        Op::Cancel(pick) => on_order(world, pick, Step::Cancel { reason: None }),
        Op::Pay(pick, action, amount) => {
            let step = [
                PaymentStep::Authorize(amount),
                PaymentStep::Capture(amount),
                PaymentStep::Void,
                PaymentStep::Refund(amount),
                PaymentStep::Fail,
                PaymentStep::Unknown,
            ][usize::from(action)];
            on_order(world, pick, Step::Pay(step, None));
        }
        Op::Fulfil(pick, units) => on_order(world, pick, Step::Fulfil { lines: one(units), tracking: None }),
        Op::Return(pick, units, restock) => {
            on_order(world, pick, Step::Return { lines: one(units), restock, reason: None });
        }
        Op::Credit(customer, lines) => {
            let lines: Vec<_> = lines.iter().map(|&(sku, units)| (SKUS[sku], units)).collect();
            drop(world.credit(CUSTOMERS[customer], &format!("credit-{step}"), &lines));
        }
        Op::Deliver(pick, twice) => world.deliver(pick, twice),
        Op::Pass(by_ms) => world.pass(by_ms),
        Op::Settle => world.settle(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn units_are_conserved(shards in prop::sample::select(vec![1u32, 2, 7]), ops in prop::collection::vec(op(), 1..120)) {
        let mut world = World::new(shards);
        for sku in SKUS {
            world.put_item(sku, 10, sku.len() == 4).expect("a new item is never refused");
        }
        for (step, op) in ops.into_iter().enumerate() {
            run(&mut world, step, op);
        }
        world.settle();
    }
}
