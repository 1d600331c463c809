//! Bulk import: NDJSON in, NDJSON out, one result per line, in the order of the lines.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FulfillmentLine, InvalidField, NewLine, PaymentTerms, Status, Time};

/// A line of an import: an order, or with `"type":"credit"` a credit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ImportLine {
    /// An order; the `type` may be left out.
    Order(NewImportOrder),
    /// Units of earlier orders that were cancelled or came back.
    Credit(Credit),
}

/// An order to be imported: as [`crate::NewOrder`], but with a reference that must be there, so
/// that the same file can be sent again at any later time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImportOrder {
    /// Who orders; leave out for a guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Your own number for this order: unique per customer, for ever.
    pub reference: String,
    /// What is wanted.
    pub lines: Vec<NewLine>,
    /// When the order has to be paid. Default: on account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_terms: Option<PaymentTerms>,
    /// See [`crate::NewOrder`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
    /// The goods left at once: what can be held is recorded as fulfilled with the order.
    #[serde(default)]
    pub fulfilled: bool,
    /// When the order was placed, for orders of the past. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_at: Option<Time>,
}

/// Units of earlier orders of a customer that were cancelled or came back. Taken from the
/// customer's newest orders first: what is open is cancelled, what has left is returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// Whose orders; a guest's credit matches nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// Your own number for this credit: unique per customer, for ever.
    pub reference: String,
    /// What came back.
    pub lines: Vec<CreditLine>,
    /// Whether returned units go back on the shelf. Default: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restock: Option<bool>,
}

/// Units of one item in a credit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreditLine {
    /// The item.
    pub sku: String,
    /// Units that came back, at least 1.
    #[schema(minimum = 1)]
    pub quantity: u64,
}

/// What became of one line of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Done now.
    Created,
    /// The reference was there already: nothing has changed.
    Duplicate,
    /// The line was refused: see `problem`; nothing has changed.
    Refused,
}

/// The result of one line of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportResult {
    /// Number of the line in the stream, from 1; blank lines count.
    pub line: u64,
    /// What became of it.
    pub result: ImportStatus,
    /// The line's reference, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The order, or for a credit nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the order stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// For a credit: what was taken from which order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credited: Vec<CreditMatch>,
    /// For a credit: units that no order of the customer could give back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<u64>,
    /// Why the line was refused: the problem's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Why the line was refused, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Which fields were wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<InvalidField>,
}

/// Units that a credit took from one order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreditMatch {
    /// The order.
    pub id: String,
    /// Units cancelled, by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancelled: Vec<FulfillmentLine>,
    /// Units returned, by line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<FulfillmentLine>,
}
