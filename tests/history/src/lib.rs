//! What clients asked of a cluster and were told, and whether it fits together.
//!
//! Pure: a [`History`] goes in, what is wrong with it comes out, one line each. Who drove the cluster, in
//! simulated time or over real sockets, makes no difference. Knows only what a client can see.

mod beside;
mod check;
mod conditions;
mod feed;
mod items;
mod orders;
#[cfg(test)]
mod tests;

pub use beside::{Beside, check_with};
pub use check::check;

/// One line of an order, in units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub sku: String,
    /// Ordered.
    pub quantity: u64,
    /// Without an answer yet.
    pub requested: u64,
    /// Held.
    pub held: u64,
    /// Waiting for stock.
    pub backordered: u64,
    /// Left.
    pub fulfilled: u64,
    /// Refused, cancelled or run out.
    pub cancelled: u64,
    /// Come back.
    pub returned: u64,
    /// Come back on the shelf.
    pub restocked: u64,
}

/// An order as somebody saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What the server calls it.
    pub id: String,
    /// What its customer calls it; no two orders have the same.
    pub name: String,
    /// Rises by one with every change, from 1.
    pub version: u64,
    /// Whether its stock is still being decided: its lines may change without a new version.
    pub pending: bool,
    /// Whether its customer has cancelled it.
    pub cancelled: bool,
    /// Minor units authorized.
    pub authorized: u64,
    /// Minor units captured.
    pub captured: u64,
    /// The lines.
    pub lines: Vec<Line>,
}

impl Order {
    /// Sum of one quantity over all lines.
    pub(crate) fn sum(&self, of: impl Fn(&Line) -> u64) -> u64 {
        self.lines.iter().map(of).sum()
    }
}

/// An item as somebody saw it, in units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Its name.
    pub sku: String,
    /// Rises by one with every change by hand, from 1.
    pub version: u64,
    /// On the shelf.
    pub on_hand: u64,
    /// Held for orders.
    pub held: u64,
    /// What orders wait for.
    pub backordered: u64,
    /// Put in by hand in all.
    pub received: i64,
    /// Left with orders in all.
    pub fulfilled: u64,
    /// Come back on the shelf in all.
    pub restocked: u64,
}

/// What was asked. Whoever asks for a change asks for it once however often it sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Place the order that its customer calls so.
    Place(String),
    /// Authorize so many minor units for an order.
    Authorize(String, u64),
    /// Capture so many minor units for an order.
    Capture(String, u64),
    /// Fulfil so many units of an order.
    Fulfil(String, u64),
    /// Take back so many units of an order.
    Return(String, u64),
    /// Cancel what is open of an order.
    Cancel(String),
    /// Read an order.
    ReadOrder(String),
    /// Add units to an item, or take them.
    Adjust(String, i64),
    /// Read an item.
    ReadItem(String),
    /// Set the units of an item on the shelf.
    Put(String, u64),
    /// Do it if what it is about has this version. Without one only a read of the item can tell what a
    /// [`Deed::Put`] has changed.
    If(u64, Box<Deed>),
}

impl Deed {
    /// The deed, whatever version it wants.
    pub(crate) fn plain(&self) -> &Self {
        match self {
            Self::If(_, deed) => deed.plain(),
            deed => deed,
        }
    }

    /// Whether it is about an item.
    pub(crate) fn is_about_item(&self) -> bool {
        matches!(self.plain(), Self::Adjust(..) | Self::Put(..) | Self::ReadItem(_))
    }

    /// What it is about, as the server calls it; of a new order, as its customer does.
    pub(crate) fn about(&self) -> &str {
        match self {
            Self::Authorize(id, _) | Self::Capture(id, _) | Self::Fulfil(id, _) | Self::Return(id, _) => id,
            Self::Place(id) | Self::Cancel(id) | Self::ReadOrder(id) => id,
            Self::Adjust(sku, _) | Self::Put(sku, _) | Self::ReadItem(sku) => sku,
            Self::If(_, deed) => deed.about(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or read: the order as it was told.
    Order {
        /// The order.
        order: Order,
        /// This answer tells of this change: not of a read, nor of something that had been done before.
        changed: bool,
    },
    /// It was done, or read: the item as it was told.
    Item {
        /// The item.
        item: Item,
        /// This answer tells of this change.
        changed: bool,
    },
    /// There is none.
    Absent,
    /// Nothing has changed, and nothing will.
    Refused,
    /// What it is about has another version: this one. Nothing has changed, and nothing will.
    Mismatch(u64),
    /// It may have happened, may happen yet, or not at all.
    Unknown,
}

/// A request, from when its client first sent it until it had its last answer or gave up. The times come
/// from one counter that all clients share: of two of them no two are the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was sent first.
    pub begin: u64,
    /// When the client knew, or gave up.
    pub end: u64,
    /// What was asked.
    pub deed: Deed,
    /// What came of it.
    pub outcome: Outcome,
}

/// An event as somebody who follows the feed got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The shard that it happened in.
    pub shard: u32,
    /// The record that holds it.
    pub record: u64,
    /// Its place in the record, from 0.
    pub index: u32,
    /// The order that it is about, and the version of the order after the record; none: an item.
    pub order: Option<(String, u64)>,
}

/// All that was seen of a cluster. Nothing is under way at its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Items as they were set before the first call.
    pub set: Vec<(String, i64)>,
    /// Every request.
    pub calls: Vec<Call>,
    /// The event feed from its beginning to its end, as one client followed it.
    pub events: Vec<Event>,
    /// All orders at the end.
    pub orders: Vec<Order>,
    /// All items at the end.
    pub items: Vec<Item>,
}
