//! Orders and the steps taken on them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Time;

/// An amount of money: integer minor units of a currency, never a fraction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units (pence, cents), 0 to 2^53 - 1.
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub amount: u64,
    /// ISO 4217 code, three capital letters.
    #[schema(pattern = "^[A-Z]{3}$", example = "GBP")]
    pub currency: String,
}

/// A line of an order to be placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLine {
    /// The item wanted.
    #[schema(example = "85123A")]
    pub sku: String,
    /// Units wanted, at least 1.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub quantity: u64,
    /// Price of one unit.
    pub unit_price: Money,
}

/// When an order has to be paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentTerms {
    /// Goods may leave before money arrives.
    #[default]
    OnAccount,
    /// Nothing is fulfilled before the whole amount is authorized or captured.
    Prepaid,
}

/// An order to be placed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Who orders; leave out for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "c-17")]
    pub customer: Option<String>,
    /// Your own number for this order: unique per customer, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What is wanted: 1 to 2,000 lines, all in one currency. Lines with the same SKU stay
    /// separate lines; stock is decided for them together.
    #[schema(min_items = 1, max_items = 2000)]
    pub lines: Vec<NewLine>,
    /// When the order has to be paid. Default: on account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_terms: Option<PaymentTerms>,
    /// The reservation ends after so many seconds unless the order is authorized in full, captured
    /// or fulfilled by then. Default: it does not end by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// Where an order stands, derived from its reservation, payment, fulfilments and returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Stock is being decided.
    Pending,
    /// Every unit is held.
    Confirmed,
    /// Accepted; some units wait for stock.
    Backordered,
    /// Could not be met; nothing is held.
    Rejected,
    /// Cancelled before anything was fulfilled.
    Cancelled,
    /// The reservation ran out.
    Expired,
    /// Some units have been fulfilled, others are open.
    PartiallyFulfilled,
    /// Every unit that was not cancelled has been fulfilled.
    Fulfilled,
    /// Fulfilled and paid.
    Completed,
    /// Every fulfilled unit has come back.
    Returned,
}

/// A line of an order. `quantity = requested + held + backordered + fulfilled + cancelled`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// Number of the line in the order, from 1.
    pub line: u32,
    /// The item.
    pub sku: String,
    /// Units ordered.
    pub quantity: u64,
    /// Price of one unit.
    pub unit_price: Money,
    /// Units still being decided.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requested: u64,
    /// Units held for this line.
    pub held: u64,
    /// Units that wait for stock.
    pub backordered: u64,
    /// Units that have left.
    pub fulfilled: u64,
    /// Units that were refused, cancelled or ran out.
    pub cancelled: u64,
    /// Fulfilled units that have come back.
    pub returned: u64,
    /// Returned units that went back on the shelf.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub restocked: u64,
    /// Why the line was refused: `insufficient_stock` or `unknown_sku`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(units: &u64) -> bool {
    *units == 0
}

/// Where an order's payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The order costs nothing.
    NotRequired,
    /// Nothing has been authorized.
    Required,
    /// An amount is authorized, nothing captured.
    Authorized,
    /// A part has been captured.
    PartiallyCaptured,
    /// The whole amount has been captured.
    Captured,
    /// A part of what was captured has been refunded.
    PartiallyRefunded,
    /// All that was captured has been refunded.
    Refunded,
    /// The authorization was given back.
    Voided,
    /// The last attempt failed.
    Failed,
    /// The outcome of the last attempt is not known; it has to be resolved first.
    Unknown,
}

/// The payment of an order. Amounts are in the order's currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// Where it stands.
    pub status: PaymentStatus,
    /// When it is due.
    pub terms: PaymentTerms,
    /// Minor units authorized in all, captured ones included.
    pub authorized: u64,
    /// Minor units captured in all.
    pub captured: u64,
    /// Minor units refunded in all.
    pub refunded: u64,
    /// Minor units of the authorization that were given back.
    pub voided: u64,
}

/// Units of one line in a fulfilment or a return.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FulfillmentLine {
    /// Number of the line in the order, from 1.
    #[schema(minimum = 1)]
    pub line: u32,
    /// Units.
    #[schema(minimum = 1)]
    pub quantity: u64,
}

/// A shipment that has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fulfillment {
    /// Number of the shipment in the order, from 1.
    pub number: u32,
    /// What was in it.
    pub lines: Vec<FulfillmentLine>,
    /// The carrier's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// When it was recorded.
    pub created_at: Time,
}

/// Goods that came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Return {
    /// Number of the return in the order, from 1.
    pub number: u32,
    /// What came back.
    pub lines: Vec<FulfillmentLine>,
    /// Whether the units went back on the shelf.
    pub restocked: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was recorded.
    pub created_at: Time,
}

/// Why and when an order, or what was open of it, was cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When.
    pub at: Time,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// 26 characters; sorts by time of creation. Absent in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The customer's own number for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Sum over all lines of quantity times unit price.
    pub total: Money,
    /// How it is paid.
    pub payment: Payment,
    /// Shipments, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fulfillments: Vec<Fulfillment>,
    /// Returns, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Return>,
    /// Set once what was open has been cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancellation: Option<Cancelled>,
    /// Rises by one with every change; the ETag.
    pub version: u64,
    /// When it was accepted.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// When the reservation runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// A page of orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderPage {
    /// The orders.
    pub orders: Vec<Order>,
    /// Send it as `page_token` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

/// A wish to cancel what is open of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CancelOutcome {
    /// What was open is cancelled.
    Done,
    /// Nothing was open any more: everything has been fulfilled.
    TooLate,
    /// The order had ended before: cancelled, rejected or expired.
    Already,
}

/// The answer to a wish to cancel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CancelResult {
    /// What became of the wish.
    pub outcome: CancelOutcome,
    /// The order as it is now.
    pub order: Order,
}

/// What happened to the payment outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentAction {
    /// An amount was authorized (needs `amount`).
    Authorize,
    /// An amount was captured (needs `amount`); captures may come in parts.
    Capture,
    /// What is authorized and not captured was given back.
    Void,
    /// A captured amount was refunded (needs `amount`).
    Refund,
    /// The last attempt failed.
    Fail,
    /// It is not known whether the last attempt succeeded. Blocks expiry and cancellation until
    /// an `authorize`, `capture`, `void` or `fail` says what happened.
    Unknown,
}

/// Something that happened to the payment outside, to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPayment {
    /// What happened.
    pub action: PaymentAction,
    /// How much; in the order's currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
}

/// A shipment to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFulfillment {
    /// What left; default: all that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<FulfillmentLine>>,
    /// The carrier's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
}

/// A return to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReturn {
    /// What came back; default: all that was fulfilled and has not come back yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<FulfillmentLine>>,
    /// Whether the units go back on the shelf. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restock: Option<bool>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
