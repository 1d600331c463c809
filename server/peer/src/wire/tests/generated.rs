//! Generated commands and orders.

use ordermill_order::command::Credit;
use ordermill_order::hold::{Claim, Report, Units};
use ordermill_order::order::{Cancellation, Fulfillment, InFlight, LineUnits, Return};
use ordermill_order::payment::{Payment, PaymentStep, Terms};
use ordermill_order::rows::{Timer, TimerKind};
use ordermill_order::{
    Action, Command, IdempotencyKey, Line, NewLine, NewOrder, Order, OrderId, Partition, Reason, Reservation, Step,
};
use proptest::prelude::*;

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-zA-Z0-9é ]{0,20}".prop_map(Into::into)
}

fn maybe_text() -> impl Strategy<Value = Option<Box<str>>> {
    prop::option::of(text())
}

fn id() -> impl Strategy<Value = OrderId> {
    any::<u128>().prop_map(OrderId)
}

fn partition() -> impl Strategy<Value = Partition> {
    any::<(u16, u16)>().prop_map(|(slot, hash)| Partition { slot, hash })
}

fn units() -> impl Strategy<Value = Units> {
    any::<(u64, u64, u64)>().prop_map(|(open, fulfilled, restocked)| Units { open, fulfilled, restocked })
}

fn reason() -> impl Strategy<Value = Option<Reason>> {
    prop::sample::select(vec![None, Some(Reason::InsufficientStock), Some(Reason::UnknownSku)])
}

fn terms() -> impl Strategy<Value = Terms> {
    prop::sample::select(vec![Terms::OnAccount, Terms::Prepaid])
}

fn line_units() -> impl Strategy<Value = Vec<LineUnits>> {
    prop::collection::vec(any::<(u16, u64)>().prop_map(|(line, units)| LineUnits { line, units }), 0..4)
}

prop_compose! {
    fn new_order()(
        partition in partition(),
        customer in maybe_text(),
        reference in prop::option::of((text(), any::<u128>())),
        lines in prop::collection::vec((text(), any::<u64>(), any::<u64>()), 0..5),
        currency: [u8; 3],
        terms in terms(),
        rest: (Option<u64>, bool, Option<u64>),
    ) -> NewOrder {
        let line = |(sku, quantity, unit_price)| NewLine { sku, quantity, unit_price };
        NewOrder {
            partition, customer, reference, currency, terms,
            lines: lines.into_iter().map(line).collect(),
            expires_in_ms: rest.0, fulfilled: rest.1, placed_ms: rest.2,
        }
    }
}

fn payment_step() -> impl Strategy<Value = PaymentStep> {
    prop_oneof![
        any::<u64>().prop_map(PaymentStep::Authorize),
        any::<u64>().prop_map(PaymentStep::Capture),
        Just(PaymentStep::Void),
        any::<u64>().prop_map(PaymentStep::Refund),
        Just(PaymentStep::Fail),
        Just(PaymentStep::Unknown),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        maybe_text().prop_map(|reason| Step::Cancel { reason }),
        (payment_step(), any::<Option<[u8; 3]>>()).prop_map(|(step, currency)| Step::Pay(step, currency)),
        (prop::option::of(line_units()), maybe_text()).prop_map(|(lines, tracking)| Step::Fulfil { lines, tracking }),
        (prop::option::of(line_units()), any::<bool>(), maybe_text())
            .prop_map(|(lines, restock, reason)| Step::Return { lines, restock, reason }),
    ]
}

prop_compose! {
    fn credit()(
        partition in partition(),
        customer in maybe_text(),
        reference: u128,
        lines in prop::collection::vec((text(), any::<u64>()), 0..4),
        restock: bool,
        candidates in prop::collection::vec(id(), 0..4),
    ) -> Credit {
        Credit { partition, customer, reference, lines, restock, candidates }
    }
}

prop_compose! {
    fn claim()(
        order in id(), line: u16, sku in text(), numbers: (u32, u32), from in units(), to in units(),
    ) -> Claim {
        Claim { order, line, sku, operation: numbers.0, revision: numbers.1, from, to }
    }
}

prop_compose! {
    fn report()(
        order in id(), line: u16, numbers: (u32, u32), units: (u64, u64, u64, u64), refused in reason(),
    ) -> Report {
        Report {
            order, line, refused,
            operation: numbers.0, revision: numbers.1,
            held: units.0, backordered: units.1, fulfilled: units.2, restocked: units.3,
        }
    }
}

fn action() -> impl Strategy<Value = Action> {
    let timer = prop_oneof![id().prop_map(TimerKind::Expire), text().prop_map(TimerKind::Fill)];
    prop_oneof![
        new_order().prop_map(|new| Action::Create(Box::new(new))),
        (id(), any::<Option<u64>>(), step()).prop_map(|(id, if_version, step)| Action::Step { id, if_version, step }),
        credit().prop_map(|credit| Action::Credit(Box::new(credit))),
        (text(), any::<(u64, bool, Option<u64>)>()).prop_map(|(sku, (on_hand, backorder, if_version))| {
            Action::PutItem { sku, on_hand, backorder, if_version }
        }),
        (text(), any::<i64>()).prop_map(|(sku, delta)| Action::AdjustItem { sku, delta }),
        claim().prop_map(Action::Claim),
        report().prop_map(Action::Report),
        (id(), any::<(u16, u16, u32)>()).prop_map(|(order, (slot, line, revision))| Action::Noted {
            slot,
            order,
            line,
            revision
        }),
        (any::<(u64, u16)>(), timer).prop_map(|((due_ms, slot), what)| Action::Timer(Timer { due_ms, slot, what })),
    ]
}

prop_compose! {
    pub(super) fn command()(tenant in text(), key: Option<(u128, u128)>, action in action()) -> Command {
        let idempotency = key.map(|(key, fingerprint)| IdempotencyKey { key, fingerprint });
        Command { tenant: tenant.into(), idempotency, action }
    }
}

prop_compose! {
    fn line()(
        sku in text(), units: [u16; 9], numbers: (u32, u32), reason in reason(), claim: bool, from in units(), to in units(),
    ) -> Line {
        let unit = |at: usize| u64::from(units[at]);
        Line {
            requested: unit(2), held: unit(3), backordered: unit(4), fulfilled: unit(5), cancelled: unit(6),
            returned: unit(7), restocked: unit(8), reason,
            operation: numbers.0, revision: numbers.1,
            in_flight: claim.then_some(InFlight { from, to }),
            ..Line::new(sku, unit(0), unit(1))
        }
    }
}

fn reservation() -> impl Strategy<Value = Reservation> {
    prop::sample::select(vec![
        Reservation::Undecided,
        Reservation::Held,
        Reservation::Rejected,
        Reservation::Cancelled,
        Reservation::Expired,
    ])
}

prop_compose! {
    fn story()(
        shipments in prop::collection::vec((line_units(), maybe_text(), any::<u64>()), 0..3),
        returns in prop::collection::vec((line_units(), any::<bool>(), maybe_text(), any::<u64>()), 0..3),
        cancellation in prop::option::of((maybe_text(), any::<u64>())),
    ) -> (Vec<Fulfillment>, Vec<Return>, Option<Cancellation>) {
        (
            shipments.into_iter().map(|(lines, tracking, at_ms)| Fulfillment { lines, tracking, at_ms }).collect(),
            returns
                .into_iter()
                .map(|(lines, restocked, reason, at_ms)| Return { lines, restocked, reason, at_ms })
                .collect(),
            cancellation.map(|(reason, at_ms)| Cancellation { reason, at_ms }),
        )
    }
}

prop_compose! {
    pub(super) fn order()(
        id in id(),
        names in (maybe_text(), maybe_text()),
        currency: [u8; 3],
        lines in prop::collection::vec(line(), 0..4),
        reservation in reservation(),
        terms in terms(),
        paid: (u64, u64, u64, u64, bool, bool),
        story in story(),
        rest: (bool, Option<u64>, u64, u32, u32),
    ) -> Order {
        Order {
            id, currency, reservation, terms,
            customer: names.0,
            reference: names.1,
            total: lines.iter().map(|line| line.quantity * line.unit_price).sum(),
            lines,
            payment: Payment {
                authorized: paid.0, captured: paid.1, refunded: paid.2, voided: paid.3, failed: paid.4, unknown: paid.5,
            },
            fulfillments: story.0,
            returns: story.1,
            cancellation: story.2,
            fulfil_at_once: rest.0,
            expires_ms: rest.1,
            version: rest.2,
            created_ms: u64::from(rest.3),
            updated_ms: u64::from(rest.4),
        }
    }
}
