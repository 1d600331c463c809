//! Commands, and what becomes of them.

use std::borrow::Cow;
use std::sync::Arc;

use crate::hold::{Claim, Report};
use crate::order::{LineUnits, Order, Status};
use crate::payment::{PaymentStep, Terms};
use crate::rows::{Missing, Timer};
use crate::{Item, OrderId, Partition};

/// An idempotency key, as its slot knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key's identity ([`crate::id::identity`]).
    pub key: u128,
    /// The body's fingerprint.
    pub fingerprint: u128,
}

/// Something that a shard is asked to do for one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The tenant; the default one is empty.
    pub tenant: Arc<str>,
    /// Makes the command happen once however often it is sent.
    pub idempotency: Option<IdempotencyKey>,
    /// What to do.
    pub action: Action,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Place an order.
    Create(Box<NewOrder>),
    /// Take a step on an order.
    Step {
        /// The order.
        id: OrderId,
        /// Refuse unless the order has this version.
        if_version: Option<u64>,
        /// The step.
        step: Step,
    },
    /// Cancel or take back units of a customer's earlier orders.
    Credit(Box<Credit>),
    /// Set an item.
    PutItem {
        /// The item.
        sku: Box<str>,
        /// Units on the shelf.
        on_hand: u64,
        /// Whether lines that cannot be met wait.
        backorder: bool,
        /// Refuse unless the item has this version (0: does not exist).
        if_version: Option<u64>,
    },
    /// Change an item's quantity on the shelf.
    AdjustItem {
        /// The item.
        sku: Box<str>,
        /// Units added or taken.
        delta: i64,
    },
    /// A claim from an order's shard.
    Claim(Claim),
    /// A report from an item's shard: an answer, or unasked.
    Report(Report),
    /// Another shard has taken note of a report that it was sent.
    Noted {
        /// Slot of the item.
        slot: u16,
        /// The order that the report was about.
        order: OrderId,
        /// Index of the line.
        line: u16,
        /// The revision that was taken note of.
        revision: u32,
    },
    /// A timer is due.
    Timer(Timer),
}

/// A line of a new order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLine {
    /// The item.
    pub sku: Box<str>,
    /// Units, at least 1.
    pub quantity: u64,
    /// Minor units per unit.
    pub unit_price: u64,
}

/// A new order; validated: at least one line, sums within limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Where it lives.
    pub partition: Partition,
    /// Who orders; `None` for a guest.
    pub customer: Option<Box<str>>,
    /// The customer's number for it, with its identity.
    pub reference: Option<(Box<str>, u128)>,
    /// What is wanted.
    pub lines: Vec<NewLine>,
    /// ISO 4217 code.
    pub currency: [u8; 3],
    /// When it is to be paid.
    pub terms: Terms,
    /// The reservation ends after so many milliseconds.
    pub expires_in_ms: Option<u64>,
    /// What can be held leaves at once.
    pub fulfilled: bool,
    /// When it was placed, if not now; milliseconds since the Unix epoch.
    pub placed_ms: Option<u64>,
}

/// A step on an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Cancel what is open.
    Cancel {
        /// Why.
        reason: Option<Box<str>>,
    },
    /// Record what happened to the payment; with the currency it happened in.
    Pay(PaymentStep, Option<[u8; 3]>),
    /// Record a shipment.
    Fulfil {
        /// What left; `None`: all that is held.
        lines: Option<Vec<LineUnits>>,
        /// The carrier's code.
        tracking: Option<Box<str>>,
    },
    /// Record a return.
    Return {
        /// What came back; `None`: all that has left.
        lines: Option<Vec<LineUnits>>,
        /// Whether it goes back on the shelf.
        restock: bool,
        /// Why.
        reason: Option<Box<str>>,
    },
}

/// Units of a customer's earlier orders that were cancelled or came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// Where the customer's orders live.
    pub partition: Partition,
    /// Whose orders.
    pub customer: Option<Box<str>>,
    /// Identity of the credit's reference.
    pub reference: u128,
    /// Items and units.
    pub lines: Vec<(Box<str>, u64)>,
    /// Whether returned units go back on the shelf.
    pub restock: bool,
    /// The customer's orders, newest first: filled in by the shard.
    pub candidates: Vec<OrderId>,
}

/// Units that a credit took from one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credited {
    /// The order.
    pub order: OrderId,
    /// Units cancelled.
    pub cancelled: Vec<LineUnits>,
    /// Units returned.
    pub returned: Vec<LineUnits>,
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// What was open is cancelled.
    Done,
    /// Everything has left.
    TooLate,
    /// The order had ended before.
    Already,
}

/// What a command has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order as it is now.
    Order {
        /// The order.
        order: Arc<Order>,
        /// Nothing was done now: the idempotency key was known.
        replayed: bool,
    },
    /// What became of a wish to cancel.
    Cancelled {
        /// The order.
        order: Arc<Order>,
        /// What became of the wish.
        outcome: CancelOutcome,
        /// Nothing was done now: the idempotency key was known.
        replayed: bool,
    },
    /// The item as it is now.
    Item {
        /// The item.
        item: Item,
        /// Nothing was done now: the idempotency key was known.
        replayed: bool,
        /// The item is new.
        created: bool,
    },
    /// What a credit took.
    Credited {
        /// From which orders.
        from: Vec<Credited>,
        /// Units that no order could give back.
        unmatched: u64,
    },
    /// The answer to a claim.
    Report(Report),
    /// Done; nobody waits for an answer.
    Done,
}

/// Why a command was refused: nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The item of a line does not exist.
    #[error("there is no such item")]
    UnknownSku {
        /// Index of the line; `None` when the item itself was addressed.
        line: Option<u16>,
    },
    /// The order does not exist.
    #[error("there is no such order")]
    NotFound,
    /// The version has moved on.
    #[error("the version is {current}")]
    VersionMismatch {
        /// The version now.
        current: u64,
    },
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The reference is taken.
    #[error("the reference is taken")]
    ReferenceTaken {
        /// The order that has it; `None` for a credit.
        order: Option<(OrderId, Status)>,
    },
    /// The step is not possible in this state.
    #[error("{0}")]
    Conflict(Cow<'static, str>),
    /// A field does not fit what the order is.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which field, as the API names it.
        field: String,
        /// What is wrong.
        reason: Cow<'static, str>,
    },
}

/// Why a command came to no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// A row has to be loaded first.
    Missing,
    /// Refused.
    Refused(Refusal),
}

impl From<Missing> for Halt {
    fn from(_: Missing) -> Self {
        Self::Missing
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
