//! The messages of a shard that have no answer yet, as its outbox rows say.

use std::sync::Arc;
use std::time::Duration;

use ordermill_order::hold::Message;
use ordermill_store::keys::RowKey;
use rustc_hash::FxHashMap;

use crate::Mail;

/// One message without an answer.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The tenant.
    pub tenant: Arc<str>,
    /// The sender's slot.
    pub from: u16,
    /// The message.
    pub message: Message,
}

/// All of a shard's messages without an answer, by the key of their outbox row.
#[derive(Debug, Default)]
pub struct Outstanding {
    entries: FxHashMap<RowKey, (Entry, Duration)>,
}

impl Outstanding {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The message in the outbox row `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Message> {
        self.entries.get(key).map(|(entry, _)| &entry.message)
    }

    /// Takes note of a message in an outbox row, sent at `now`, and says what to send.
    pub fn sent(&mut self, key: RowKey, entry: Entry, now: Duration) -> Mail {
        let mail = Mail::new(entry.tenant.clone(), entry.from, entry.message.clone());
        self.entries.insert(key, (entry, now));
        mail
    }

    /// Forgets a message: its outbox row is gone.
    pub fn answered(&mut self, key: &[u8]) {
        self.entries.remove(key);
    }

    /// What has to be sent again at `now`, having been sent `after` ago or longer, at most `most`.
    pub fn overdue(&mut self, now: Duration, after: Duration, most: usize) -> Vec<Mail> {
        let overdue = self.entries.values_mut().filter(|(_, sent)| now.saturating_sub(*sent) >= after);
        let again = overdue.take(most).map(|(entry, sent)| {
            *sent = now;
            Mail::new(entry.tenant.clone(), entry.from, entry.message.clone())
        });
        again.collect()
    }
}
