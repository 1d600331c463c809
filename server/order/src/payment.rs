//! The payment of an order: what a payment processor decided, recorded.

use crate::command::Refusal;

/// When an order has to be paid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Terms {
    /// Goods may leave before money arrives.
    #[default]
    OnAccount,
    /// Nothing is fulfilled before the whole amount is authorized.
    Prepaid,
}

/// What happened to the payment outside. Amounts are minor units of the order's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStep {
    /// An amount was authorized.
    Authorize(u64),
    /// An amount was captured.
    Capture(u64),
    /// What is authorized and not captured was given back.
    Void,
    /// A captured amount was refunded.
    Refund(u64),
    /// The last attempt failed.
    Fail,
    /// The outcome of the last attempt is not known.
    Unknown,
}

/// Where a payment stands, derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentStatus {
    /// The order costs nothing.
    NotRequired,
    /// Nothing has been authorized.
    Required,
    /// Authorized, nothing captured.
    Authorized,
    /// A part has been captured.
    PartiallyCaptured,
    /// All has been captured.
    Captured,
    /// A part of what was captured has been refunded.
    PartiallyRefunded,
    /// All that was captured has been refunded.
    Refunded,
    /// The authorization was given back.
    Voided,
    /// The last attempt failed.
    Failed,
    /// The outcome of the last attempt is not known.
    Unknown,
}

/// The payment of an order; sums in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payment {
    /// Authorized in all.
    pub authorized: u64,
    /// Captured in all; part of what was authorized.
    pub captured: u64,
    /// Refunded in all; part of what was captured.
    pub refunded: u64,
    /// Given back of what was authorized and not captured.
    pub voided: u64,
    /// The last attempt failed.
    pub failed: bool,
    /// The outcome of the last attempt is not known.
    pub unknown: bool,
}

impl Payment {
    /// Where the payment of an order over `total` stands.
    pub fn status(&self, total: u64) -> PaymentStatus {
        match self {
            _ if self.unknown => PaymentStatus::Unknown,
            _ if self.refunded > 0 && self.refunded == self.captured => PaymentStatus::Refunded,
            _ if self.refunded > 0 => PaymentStatus::PartiallyRefunded,
            _ if self.captured > 0 && self.captured >= total => PaymentStatus::Captured,
            _ if self.captured > 0 => PaymentStatus::PartiallyCaptured,
            _ if self.authorized > self.voided => PaymentStatus::Authorized,
            _ if self.failed => PaymentStatus::Failed,
            _ if self.voided > 0 => PaymentStatus::Voided,
            _ if total == 0 => PaymentStatus::NotRequired,
            _ => PaymentStatus::Required,
        }
    }

    /// Whether the whole of `total` is authorized or captured.
    pub fn covers(&self, total: u64) -> bool {
        self.authorized - self.voided >= total
    }

    /// Minor units that are authorized and neither captured nor given back.
    pub fn capturable(&self) -> u64 {
        self.authorized - self.voided - self.captured
    }

    /// Records a step. `ended`: nothing of the order will be fulfilled any more, so that no new
    /// money may be taken.
    pub fn apply(&mut self, step: PaymentStep, total: u64, ended: bool) -> Result<(), Refusal> {
        match step {
            PaymentStep::Authorize(amount) => {
                refuse_if(ended, "the order has ended: nothing can be authorized")?;
                let room = total - (self.authorized - self.voided);
                refuse_if(amount > room, "more would be authorized than the order costs")?;
                self.authorized += amount;
            }
            PaymentStep::Capture(amount) => {
                refuse_if(ended, "the order has ended: nothing can be captured")?;
                refuse_if(amount > self.capturable(), "more would be captured than is authorized")?;
                self.captured += amount;
            }
            PaymentStep::Void => {
                refuse_if(self.capturable() == 0 && !self.unknown, "nothing is authorized that could be voided")?;
                self.voided += self.capturable();
            }
            PaymentStep::Refund(amount) => {
                refuse_if(self.unknown, "the outcome of the last attempt is unknown: resolve it first")?;
                refuse_if(amount > self.captured - self.refunded, "more would be refunded than was captured")?;
                self.refunded += amount;
            }
            PaymentStep::Fail => {
                refuse_if(ended && !self.unknown, "the order has ended")?;
            }
            PaymentStep::Unknown => {
                refuse_if(ended, "the order has ended")?;
                refuse_if(self.unknown, "the outcome is unknown already")?;
            }
        }
        self.unknown = step == PaymentStep::Unknown;
        self.failed = step == PaymentStep::Fail;
        Ok(())
    }
}

fn refuse_if(wrong: bool, detail: &'static str) -> Result<(), Refusal> {
    if wrong { Err(Refusal::Conflict(detail.into())) } else { Ok(()) }
}
