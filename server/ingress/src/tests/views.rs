//! What is written and what is read are the words of `ordermill-api`.

use std::sync::Arc;

use ordermill_api as api;
use ordermill_order::order::{Cancellation, Fulfillment, LineUnits, Reason, Return};
use ordermill_order::payment::{Payment, Terms};
use ordermill_order::{Item, Line, Order, OrderId, Reservation, Status};
use ordermill_routing::{FeedEvent, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::body::parse;
use crate::view::{CancelResultView, EventPageView, EventView, ItemView, OrderView, json as write};
use crate::wire;

fn orders() -> [Order; 2] {
    let bare = Order {
        id: OrderId(0),
        customer: None,
        reference: None,
        currency: *b"GBP",
        lines: vec![Line::new("A".into(), 2, 255)],
        total: 510,
        reservation: Reservation::Undecided,
        terms: Terms::OnAccount,
        payment: Payment::default(),
        fulfillments: Vec::new(),
        returns: Vec::new(),
        cancellation: None,
        fulfil_at_once: false,
        expires_ms: None,
        version: 1,
        created_ms: 1_700_000_000_000,
        updated_ms: 1_700_000_000_001,
    };
    let units = vec![LineUnits { line: 0, units: 1 }];
    let mut full = bare.clone();
    full.id = OrderId(1 << 90);
    full.customer = Some("c \"17\"".into());
    full.reference = Some("r\n".into());
    full.lines[0].reason = Some(Reason::UnknownSku);
    full.lines[0].restocked = 1;
    full.terms = Terms::Prepaid;
    full.payment.captured = 5;
    full.payment.authorized = 7;
    full.reservation = Reservation::Held;
    full.fulfillments = vec![Fulfillment { lines: units.clone(), tracking: Some("T".into()), at_ms: 5 }];
    full.returns = vec![Return { lines: units, restocked: true, reason: Some("broken".into()), at_ms: 6 }];
    full.cancellation = Some(Cancellation { reason: None, at_ms: 7 });
    full.expires_ms = Some(8);
    [bare, full]
}

/// What was written, read as `T` and written again, is the same: no word is missing or unknown.
#[track_caller]
fn same_words<T: Serialize + DeserializeOwned>(written: &[u8]) {
    let read: T = serde_json::from_slice(written).unwrap();
    let (ours, theirs): (Value, Value) =
        (serde_json::from_slice(written).unwrap(), serde_json::to_value(&read).unwrap());
    assert_eq!(ours, theirs);
}

#[test]
fn what_is_written_are_the_words_of_the_api() {
    let item = Item { on_hand: 5, held: 2, backorder: true, received: 5, version: 3, ..Item::default() };
    same_words::<api::Item>(&write(&ItemView::of("A", &item)));
    for order in orders() {
        same_words::<api::Order>(&write(&OrderView(&order)));
        let outcome = ordermill_order::command::CancelOutcome::TooLate;
        same_words::<api::CancelResult>(&write(&CancelResultView::of(outcome, &order)));
        let order = Arc::new(order);
        let subjects = Status::ALL
            .into_iter()
            .flat_map(|status| {
                [true, false].map(|entered| Subject::Order { order: Arc::clone(&order), status, entered })
            })
            .chain([Subject::Item { sku: "A".into(), item }]);
        for subject in subjects {
            let cursor = "c".to_owned();
            let event = FeedEvent { shard: 3, record: 9, index: 0, time_ms: 5, cursor, subject };
            let page = EventPageView { events: vec![EventView::of(1, &event)], next: "n" };
            same_words::<api::EventPage>(&write(&page));
        }
    }
}

#[test]
fn every_status_is_one_of_the_api() {
    for status in Status::ALL {
        serde_json::from_value::<api::Status>(json!(status.as_str())).unwrap();
    }
}

fn text(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// What the API's types write is understood, with every field there is.
#[test]
fn what_is_read_are_the_words_of_the_api() {
    let money = || api::Money { amount: 1, currency: "GBP".into() };
    let lines = || vec![api::NewLine { sku: "A".into(), quantity: 1, unit_price: money() }];
    let order = api::NewOrder {
        customer: Some("c".into()),
        reference: Some("r".into()),
        lines: lines(),
        payment_terms: Some(api::PaymentTerms::Prepaid),
        expires_in_seconds: Some(5),
    };
    parse::<wire::Order<'_>>(&text(&order)).unwrap();
    let import = api::ImportLine::Order(api::NewImportOrder {
        customer: Some("c".into()),
        reference: "r".into(),
        lines: lines(),
        payment_terms: Some(api::PaymentTerms::OnAccount),
        expires_in_seconds: Some(5),
        fulfilled: true,
        placed_at: Some(api::Time(5)),
    });
    let credit = api::ImportLine::Credit(api::Credit {
        customer: Some("c".into()),
        reference: "r".into(),
        lines: vec![api::CreditLine { sku: "A".into(), quantity: 1 }],
        restock: Some(false),
    });
    for line in [import, credit] {
        let written = text(&line);
        let wire = parse::<wire::ImportLine<'_>>(&written).unwrap();
        crate::convert::import_action(&"".into(), wire).unwrap();
    }
    let units = Some(vec![api::FulfillmentLine { line: 1, quantity: 1 }]);
    let payment = api::NewPayment { action: api::PaymentAction::Authorize, amount: Some(money()) };
    parse::<wire::Payment<'_>>(&text(&payment)).unwrap();
    let shipment = api::NewFulfillment { lines: units.clone(), tracking: Some("T".into()) };
    parse::<wire::Fulfillment<'_>>(&text(&shipment)).unwrap();
    let back = api::NewReturn { lines: units, restock: Some(true), reason: Some("x".into()) };
    parse::<wire::Return<'_>>(&text(&back)).unwrap();
    parse::<wire::Cancellation<'_>>(&text(&api::Cancellation { reason: Some("x".into()) })).unwrap();
    parse::<wire::PutItem<'_>>(&text(&api::PutItem { on_hand: 1, backorder: true })).unwrap();
    parse::<wire::Adjustment<'_>>(&text(&api::Adjustment { delta: -1, reason: Some("x".into()) })).unwrap();
    for action in ["authorize", "capture", "void", "refund", "fail", "unknown"] {
        serde_json::from_value::<api::PaymentAction>(json!(action)).unwrap();
        let amount = (!matches!(action, "void" | "fail" | "unknown")).then(money);
        let body = serde_json::to_vec(&json!({"action": action, "amount": amount})).unwrap();
        crate::convert::payment(parse(&body).unwrap()).unwrap();
    }
}
