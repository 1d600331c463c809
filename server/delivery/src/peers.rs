//! Where messages go.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use ordermill_order::hold::Message;
use ordermill_order::{Action, OrderId, Partition};

/// A message on its way to the shard that owns a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The slot that it goes to.
    pub slot: u16,
    /// What the shard there shall do.
    pub action: Action,
    /// The sender's slot, when it waits for a note that this has been heard.
    pub note_to: Option<u16>,
}

impl Mail {
    /// The mail that carries an outbox message of the slot `from`.
    pub fn new(tenant: Arc<str>, from: u16, message: Message) -> Self {
        match message {
            Message::Claim(claim) => {
                let slot = Partition::of_item(&tenant, &claim.sku).slot;
                Self { tenant, slot, action: Action::Claim(claim), note_to: None }
            }
            Message::Report(report) => {
                Self { tenant, slot: report.order.slot(), action: Action::Report(report), note_to: Some(from) }
            }
        }
    }
}

/// The other shards, here or on other machines.
pub trait Peers: Send + Sync + fmt::Debug + 'static {
    /// Sends mail on its way and returns at once. It may be lost: what matters is in an outbox and
    /// is sent again.
    fn deliver(&self, mail: Mail);

    /// Whether the order's shard has heard what became of `operation` on a line, so that the
    /// item's side may forget it. `false` when that cannot be told now.
    fn has_heard<'a>(
        &'a self,
        tenant: &'a str,
        order: OrderId,
        line: u16,
        operation: u32,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;
}
