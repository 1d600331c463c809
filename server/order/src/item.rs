//! An item's quantities: conserved, whatever happens.

/// An item. Its SKU is its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Units on the shelf, held ones included.
    pub on_hand: u64,
    /// Units held for orders.
    pub held: u64,
    /// Whether a line that cannot be met waits for stock.
    pub backorder: bool,
    /// Units that orders wait for.
    pub backordered: u64,
    /// Units put in by hand in all.
    pub received: i64,
    /// Units that have left with orders in all.
    pub fulfilled: u64,
    /// Units that have come back on the shelf in all.
    pub restocked: u64,
    /// Number of the first place in the queue of backordered lines that may be taken.
    pub queue_head: u64,
    /// Number after the last place in that queue.
    pub queue_tail: u64,
    /// Rises with every change.
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    pub updated_ms: u64,
}

impl Item {
    /// Units that a new line may hold: none while others wait.
    pub fn available(&self) -> u64 {
        self.on_hand - self.held
    }

    /// Units of `wanted` that a new line gets now, and units that it waits for. `None`: refused.
    pub fn decide(&self, wanted: u64) -> Option<(u64, u64)> {
        let free = if self.backordered == 0 { self.available() } else { 0 };
        if free >= wanted {
            Some((wanted, 0))
        } else if self.backorder {
            Some((free, wanted - free))
        } else {
            None
        }
    }

    /// Moves units from available to held.
    pub fn hold(&mut self, units: u64) {
        self.held += units;
        self.check();
    }

    /// Moves units from held to available.
    pub fn release(&mut self, units: u64) {
        assert!(self.held >= units, "released {units} of {} held units", self.held);
        self.held -= units;
        self.check();
    }

    /// Lets held units leave.
    pub fn fulfil(&mut self, units: u64) {
        assert!(self.held >= units && self.on_hand >= units, "fulfilled {units} of {} held units", self.held);
        self.held -= units;
        self.on_hand -= units;
        self.fulfilled += units;
        self.check();
    }

    /// Puts returned units back on the shelf.
    pub fn restock(&mut self, units: u64) {
        self.on_hand += units;
        self.restocked += units;
        self.check();
    }

    /// Puts units in or takes them out by hand; the caller has made sure that held ones stay.
    pub fn receive(&mut self, delta: i64) {
        self.on_hand = self.on_hand.checked_add_signed(delta).expect("the caller has checked the range");
        self.received += delta;
        self.check();
    }

    /// Stops the shard rather than sell a unit that is not there.
    pub fn check(&self) {
        assert!(self.held <= self.on_hand, "{} units held of {} on hand", self.held, self.on_hand);
        assert_eq!(
            i128::from(self.on_hand),
            i128::from(self.received) - i128::from(self.fulfilled) + i128::from(self.restocked),
            "units of an item are not conserved"
        );
    }
}
