//! An order: several small machines (reservation, payment, fulfilment, return), one derived status.

use crate::OrderId;
use crate::hold::Units;
use crate::payment::{Payment, Terms};

/// Where the reservation of an order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reservation {
    /// Some line has no answer yet.
    #[default]
    Undecided,
    /// Every unit is held or waits for stock.
    Held,
    /// Could not be met.
    Rejected,
    /// Cancelled before anything was fulfilled.
    Cancelled,
    /// Ran out.
    Expired,
}

/// Where an order stands, derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl Status {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Pending,
        Self::Confirmed,
        Self::Backordered,
        Self::Rejected,
        Self::Cancelled,
        Self::Expired,
        Self::PartiallyFulfilled,
        Self::Fulfilled,
        Self::Completed,
        Self::Returned,
    ];

    /// The status as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Backordered => "backordered",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::PartiallyFulfilled => "partially_fulfilled",
            Self::Fulfilled => "fulfilled",
            Self::Completed => "completed",
            Self::Returned => "returned",
        }
    }
}

/// Why a line was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too few units, and the item takes no backorders.
    InsufficientStock,
    /// No such item.
    UnknownSku,
}

impl Reason {
    /// The reason as the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientStock => "insufficient_stock",
            Self::UnknownSku => "unknown_sku",
        }
    }
}

/// A claim under way to the item's shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// What the item's side was known to hold when the claim was sent.
    pub from: Units,
    /// What it shall hold.
    pub to: Units,
}

/// A line. `quantity = requested + held + backordered + fulfilled + cancelled`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub sku: Box<str>,
    /// Units ordered.
    pub quantity: u64,
    /// Minor units per unit.
    pub unit_price: u64,
    /// Units without an answer yet.
    pub requested: u64,
    /// Units held.
    pub held: u64,
    /// Units that wait for stock.
    pub backordered: u64,
    /// Units that have left.
    pub fulfilled: u64,
    /// Units refused, cancelled or run out.
    pub cancelled: u64,
    /// Fulfilled units that have come back.
    pub returned: u64,
    /// Returned units that went back on the shelf.
    pub restocked: u64,
    /// Why the line was refused.
    pub reason: Option<Reason>,
    /// Number of the last claim; 0 before the first.
    pub operation: u32,
    /// The newest revision of the hold that was reported.
    pub revision: u32,
    /// The claim that has no report yet.
    pub in_flight: Option<InFlight>,
}

impl Line {
    /// A line of a new order.
    pub fn new(sku: Box<str>, quantity: u64, unit_price: u64) -> Self {
        Self {
            sku,
            quantity,
            unit_price,
            requested: quantity,
            held: 0,
            backordered: 0,
            fulfilled: 0,
            cancelled: 0,
            returned: 0,
            restocked: 0,
            reason: None,
            operation: 0,
            revision: 0,
            in_flight: None,
        }
    }

    /// Units that may still leave.
    pub fn open(&self) -> u64 {
        self.requested + self.held + self.backordered
    }

    /// What the item's side should hold.
    pub fn desired(&self) -> Units {
        Units { open: self.open(), fulfilled: self.fulfilled, restocked: self.restocked }
    }

    /// Cancels up to `units` open units, those that wait first; says how many.
    pub fn cancel(&mut self, units: u64) -> u64 {
        let mut left = units;
        for bucket in [&mut self.requested, &mut self.backordered, &mut self.held] {
            let taken = left.min(*bucket);
            *bucket -= taken;
            left -= taken;
        }
        self.cancelled += units - left;
        units - left
    }

    /// Records that up to `units` fulfilled units came back; says how many.
    pub fn take_back(&mut self, units: u64, restock: bool) -> u64 {
        let taken = units.min(self.fulfilled - self.returned);
        self.returned += taken;
        if restock {
            self.restocked += taken;
        }
        taken
    }

    fn check(&self) {
        assert_eq!(self.quantity, self.open() + self.fulfilled + self.cancelled, "units of a line are not conserved");
        assert!(self.restocked <= self.returned && self.returned <= self.fulfilled, "more came back than had left");
    }
}

/// Units of one line in a shipment or a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineUnits {
    /// Index of the line, from 0.
    pub line: u16,
    /// Units.
    pub units: u64,
}

/// A shipment that has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fulfillment {
    /// What was in it.
    pub lines: Vec<LineUnits>,
    /// The carrier's code.
    pub tracking: Option<Box<str>>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Goods that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// What came back.
    pub lines: Vec<LineUnits>,
    /// Whether the units went back on the shelf.
    pub restocked: bool,
    /// Why.
    pub reason: Option<Box<str>>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// A cancellation of what was open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// Why.
    pub reason: Option<Box<str>>,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// Who ordered; `None` for a guest.
    pub customer: Option<Box<str>>,
    /// The customer's own number for it.
    pub reference: Option<Box<str>>,
    /// ISO 4217 code.
    pub currency: [u8; 3],
    /// What was ordered.
    pub lines: Vec<Line>,
    /// Sum of quantity times unit price, minor units.
    pub total: u64,
    /// Where the reservation stands.
    pub reservation: Reservation,
    /// When it is to be paid.
    pub terms: Terms,
    /// What has been paid.
    pub payment: Payment,
    /// Shipments, in order.
    pub fulfillments: Vec<Fulfillment>,
    /// Returns, in order.
    pub returns: Vec<Return>,
    /// Set once what was open has been cancelled.
    pub cancellation: Option<Cancellation>,
    /// What can be held is fulfilled as soon as the reservation is decided.
    pub fulfil_at_once: bool,
    /// When the reservation runs out, milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
    /// Rises by one with every change that can be seen.
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

impl Order {
    /// Sum of one quantity over all lines.
    pub fn sum(&self, of: impl Fn(&Line) -> u64) -> u64 {
        self.lines.iter().map(of).sum()
    }

    /// Where the order stands.
    pub fn status(&self) -> Status {
        match self.reservation {
            Reservation::Undecided => return Status::Pending,
            Reservation::Rejected => return Status::Rejected,
            Reservation::Held | Reservation::Cancelled | Reservation::Expired => {}
        }
        let (open, fulfilled) = (self.sum(Line::open), self.sum(|line| line.fulfilled));
        match (open, fulfilled) {
            (0, 0) if self.reservation == Reservation::Expired => Status::Expired,
            (0, 0) => Status::Cancelled,
            (_, 0) if self.sum(|line| line.backordered) > 0 => Status::Backordered,
            (_, 0) => Status::Confirmed,
            (0, _) if self.sum(|line| line.returned) == fulfilled => Status::Returned,
            (0, _) if self.is_paid() => Status::Completed,
            (0, _) => Status::Fulfilled,
            _ => Status::PartiallyFulfilled,
        }
    }

    /// Whether what has left and stayed away is paid for.
    fn is_paid(&self) -> bool {
        let owed = self.sum(|line| (line.fulfilled - line.returned) * line.unit_price);
        !self.payment.unknown && self.payment.captured - self.payment.refunded >= owed
    }

    /// Whether nothing has left and nothing will.
    pub fn has_ended(&self) -> bool {
        matches!(self.status(), Status::Rejected | Status::Cancelled | Status::Expired)
    }

    /// Stops the shard rather than keep an order whose units do not add up.
    pub fn check(&self) {
        self.lines.iter().for_each(Line::check);
    }
}
