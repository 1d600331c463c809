//! Transactions that have begun and written nothing.
//!
//! The client library begins a writing transaction at a timestamp that it fetches itself, never at one that
//! it is given. So a transaction is begun first, kept here, and found again by its timestamp, which makes
//! it certain that each serves for one write. Never sends anything.

use std::collections::BTreeMap;

use ordermill_transactional::Timestamp;
use parking_lot::Mutex;
use tikv_client::Transaction;

/// Transactions that are kept: some seconds of a busy process that begins ahead and does not use what it
/// has begun. One is a few hundred bytes.
const BEGUN_MAX: usize = 1 << 14;

/// Transactions by their timestamps.
#[derive(Default)]
pub(crate) struct Begun(Mutex<BTreeMap<Timestamp, Transaction>>);

impl Begun {
    /// Keeps a transaction; forgets the oldest when there are too many.
    pub(crate) fn keep(&self, start: Timestamp, transaction: Transaction) {
        let mut begun = self.0.lock();
        begun.insert(start, transaction);
        if begun.len() > BEGUN_MAX {
            begun.pop_first();
        }
    }

    /// Takes the transaction that began at `start`, once.
    pub(crate) fn take(&self, start: Timestamp) -> Option<Transaction> {
        self.0.lock().remove(&start)
    }

    /// Forgets all of them.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
