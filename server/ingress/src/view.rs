//! From the domain to the wire: written straight from the rows, in the words of `ordermill-api`.

use std::borrow::Cow;

use ordermill_api::Time;
use ordermill_order::command::CancelOutcome;
use ordermill_order::order::{self, LineUnits};
use ordermill_order::payment::{PaymentStatus, Terms};
use ordermill_order::{Item, Order, OrderId, Status};
use ordermill_routing::{FeedEvent, ItemList, OrderList, Subject};
use serde::{Serialize, Serializer};

/// Writes `value` as JSON.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::with_capacity(1_024);
    serde_json::to_writer(&mut out, value).expect("views have only texts and numbers, and a vector takes them all");
    out
}

/// A list that is written element by element.
struct Each<I>(I);

impl<I: Clone + Iterator<Item: Serialize>> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.clone())
    }
}

/// Something that is written as its `Display`.
struct Shown<T>(T);

impl<T: std::fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(units: &u64) -> bool {
    *units == 0
}

#[derive(Serialize)]
struct MoneyView<'a> {
    amount: u64,
    currency: &'a str,
}

impl<'a> MoneyView<'a> {
    fn of(amount: u64, currency: &'a [u8; 3]) -> Self {
        Self { amount, currency: std::str::from_utf8(currency).unwrap_or("???") }
    }
}

#[derive(Serialize)]
struct LineView<'a> {
    line: usize,
    sku: &'a str,
    quantity: u64,
    unit_price: MoneyView<'a>,
    #[serde(skip_serializing_if = "is_zero")]
    requested: u64,
    held: u64,
    backordered: u64,
    fulfilled: u64,
    cancelled: u64,
    returned: u64,
    #[serde(skip_serializing_if = "is_zero")]
    restocked: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct PaymentView {
    status: &'static str,
    terms: &'static str,
    authorized: u64,
    captured: u64,
    refunded: u64,
    voided: u64,
}

/// Units of a line in a shipment, return or credit.
#[derive(Serialize)]
pub(crate) struct LineUnitsView {
    line: u16,
    quantity: u64,
}

/// Units by line.
pub(crate) fn line_units(units: &[LineUnits]) -> impl Clone + Iterator<Item = LineUnitsView> {
    units.iter().map(|units| LineUnitsView { line: units.line + 1, quantity: units.units })
}

#[derive(Serialize)]
struct FulfillmentView<'a, L: Serialize> {
    number: usize,
    lines: L,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking: Option<&'a str>,
    created_at: Time,
}

#[derive(Serialize)]
struct ReturnView<'a, L: Serialize> {
    number: usize,
    lines: L,
    restocked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    created_at: Time,
}

#[derive(Serialize)]
struct CancelledView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    at: Time,
}

#[derive(Serialize)]
struct OrderFields<'a, L: Serialize, F: Serialize, R: Serialize> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Shown<OrderId>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    status: &'static str,
    lines: L,
    total: MoneyView<'a>,
    payment: PaymentView,
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfillments: Option<F>,
    #[serde(skip_serializing_if = "Option::is_none")]
    returns: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancellation: Option<CancelledView<'a>>,
    version: u64,
    created_at: Time,
    updated_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Time>,
}

/// An order as the API writes it.
pub(crate) struct OrderView<'a>(pub(crate) &'a Order);

impl Serialize for OrderView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let order = self.0;
        let lines = order.lines.iter().enumerate().map(|(index, line)| line_view(index, line, &order.currency));
        let fulfillments = order.fulfillments.iter().enumerate().map(|(index, gone)| shipment_view(index, gone));
        let returns = order.returns.iter().enumerate().map(|(index, back)| return_view(index, back));
        OrderFields {
            id: (order.id.0 != 0).then_some(Shown(order.id)),
            customer: order.customer.as_deref(),
            reference: order.reference.as_deref(),
            status: order.status().as_str(),
            lines: Each(lines),
            total: MoneyView::of(order.total, &order.currency),
            payment: payment_view(order),
            fulfillments: (!order.fulfillments.is_empty()).then_some(Each(fulfillments)),
            returns: (!order.returns.is_empty()).then_some(Each(returns)),
            cancellation: order
                .cancellation
                .as_ref()
                .map(|cancelled| CancelledView { reason: cancelled.reason.as_deref(), at: Time(cancelled.at_ms) }),
            version: order.version,
            created_at: Time(order.created_ms),
            updated_at: Time(order.updated_ms),
            expires_at: order.expires_ms.map(Time),
        }
        .serialize(serializer)
    }
}

fn line_view<'a>(index: usize, line: &'a order::Line, currency: &'a [u8; 3]) -> LineView<'a> {
    LineView {
        line: index + 1,
        sku: &line.sku,
        quantity: line.quantity,
        unit_price: MoneyView::of(line.unit_price, currency),
        requested: line.requested,
        held: line.held,
        backordered: line.backordered,
        fulfilled: line.fulfilled,
        cancelled: line.cancelled,
        returned: line.returned,
        restocked: line.restocked,
        reason: line.reason.map(order::Reason::as_str),
    }
}

fn shipment_view(index: usize, shipment: &order::Fulfillment) -> FulfillmentView<'_, impl Serialize> {
    FulfillmentView {
        number: index + 1,
        lines: Each(line_units(&shipment.lines)),
        tracking: shipment.tracking.as_deref(),
        created_at: Time(shipment.at_ms),
    }
}

fn return_view(index: usize, back: &order::Return) -> ReturnView<'_, impl Serialize> {
    ReturnView {
        number: index + 1,
        lines: Each(line_units(&back.lines)),
        restocked: back.restocked,
        reason: back.reason.as_deref(),
        created_at: Time(back.at_ms),
    }
}

fn payment_view(order: &Order) -> PaymentView {
    let payment = order.payment;
    PaymentView {
        status: match payment.status(order.total) {
            PaymentStatus::NotRequired => "not_required",
            PaymentStatus::Required => "required",
            PaymentStatus::Authorized => "authorized",
            PaymentStatus::PartiallyCaptured => "partially_captured",
            PaymentStatus::Captured => "captured",
            PaymentStatus::PartiallyRefunded => "partially_refunded",
            PaymentStatus::Refunded => "refunded",
            PaymentStatus::Voided => "voided",
            PaymentStatus::Failed => "failed",
            PaymentStatus::Unknown => "unknown",
        },
        terms: match order.terms {
            Terms::OnAccount => "on_account",
            Terms::Prepaid => "prepaid",
        },
        authorized: payment.authorized,
        captured: payment.captured,
        refunded: payment.refunded,
        voided: payment.voided,
    }
}

/// A page of orders.
#[derive(Serialize)]
pub(crate) struct OrderPageView<'a> {
    orders: Vec<OrderView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'a str>,
}

impl<'a> OrderPageView<'a> {
    pub(crate) fn of(list: &'a OrderList) -> Self {
        Self {
            orders: list.orders.iter().map(|order| OrderView(order)).collect(),
            next_page_token: list.next.as_deref(),
        }
    }
}

/// The answer to a wish to cancel.
#[derive(Serialize)]
pub(crate) struct CancelResultView<'a> {
    outcome: &'static str,
    order: OrderView<'a>,
}

impl<'a> CancelResultView<'a> {
    pub(crate) fn of(outcome: CancelOutcome, order: &'a Order) -> Self {
        let outcome = match outcome {
            CancelOutcome::Done => "done",
            CancelOutcome::TooLate => "too_late",
            CancelOutcome::Already => "already",
        };
        Self { outcome, order: OrderView(order) }
    }
}

/// An item as the API writes it.
#[derive(Serialize)]
pub(crate) struct ItemView<'a> {
    sku: &'a str,
    on_hand: u64,
    held: u64,
    available: u64,
    backorder: bool,
    backordered: u64,
    received: i64,
    fulfilled: u64,
    restocked: u64,
    version: u64,
    updated_at: Time,
}

impl<'a> ItemView<'a> {
    pub(crate) fn of(sku: &'a str, item: &Item) -> Self {
        Self {
            sku,
            on_hand: item.on_hand,
            held: item.held,
            available: item.available(),
            backorder: item.backorder,
            backordered: item.backordered,
            received: item.received,
            fulfilled: item.fulfilled,
            restocked: item.restocked,
            version: item.version,
            updated_at: Time(item.updated_ms),
        }
    }
}

/// A page of items.
#[derive(Serialize)]
pub(crate) struct ItemPageView<'a> {
    items: Vec<ItemView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'a str>,
}

impl<'a> ItemPageView<'a> {
    pub(crate) fn of(list: &'a ItemList) -> Self {
        Self {
            items: list.items.iter().map(|(sku, item)| ItemView::of(sku, item)).collect(),
            next_page_token: list.next.as_deref(),
        }
    }
}

/// The type of an event.
pub(crate) fn event_type(subject: &Subject) -> &'static str {
    match subject {
        Subject::Item { .. } => "ordermill.item.changed",
        Subject::Order { entered: false, .. } => "ordermill.order.updated",
        Subject::Order { status, .. } => match status {
            Status::Pending => "ordermill.order.pending",
            Status::Confirmed => "ordermill.order.confirmed",
            Status::Backordered => "ordermill.order.backordered",
            Status::Rejected => "ordermill.order.rejected",
            Status::Cancelled => "ordermill.order.cancelled",
            Status::Expired => "ordermill.order.expired",
            Status::PartiallyFulfilled => "ordermill.order.partially_fulfilled",
            Status::Fulfilled => "ordermill.order.fulfilled",
            Status::Completed => "ordermill.order.completed",
            Status::Returned => "ordermill.order.returned",
        },
    }
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum DataView<'a> {
    Order(OrderView<'a>),
    Item(ItemView<'a>),
}

/// An event as the API writes it.
#[derive(Serialize)]
pub(crate) struct EventView<'a> {
    specversion: &'static str,
    id: Shown<String>,
    source: String,
    r#type: &'static str,
    subject: Cow<'a, str>,
    time: Time,
    datacontenttype: &'static str,
    cursor: &'a str,
    data: DataView<'a>,
}

impl<'a> EventView<'a> {
    pub(crate) fn of(cluster: u32, event: &'a FeedEvent) -> Self {
        let (subject, data) = match &event.subject {
            Subject::Order { order, .. } => (Cow::Owned(order.id.to_string()), DataView::Order(OrderView(order))),
            Subject::Item { sku, item } => (Cow::Borrowed(&**sku), DataView::Item(ItemView::of(sku, item))),
        };
        Self {
            specversion: "1.0",
            id: Shown(format!("{}-{}-{}", event.shard, event.record, event.index)),
            source: format!("/clusters/{cluster}/shards/{}", event.shard),
            r#type: event_type(&event.subject),
            subject,
            time: Time(event.time_ms),
            datacontenttype: "application/json",
            cursor: &event.cursor,
            data,
        }
    }
}

/// A page of the event feed.
#[derive(Serialize)]
pub(crate) struct EventPageView<'a> {
    pub(crate) events: Vec<EventView<'a>>,
    pub(crate) next: &'a str,
}
