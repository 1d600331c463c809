//! The formats of stored bytes: what may be written now, and what this build can read.
//!
//! A newer build writes what older ones can replay until the whole store's format is raised, so that an
//! upgrade can be taken back at any step. Never goes back: neither the store's format nor a shard's.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a process knows of formats; all its shards share it.
#[derive(Debug)]
pub struct Formats {
    newest: u32,
    store: AtomicU32,
}

impl Formats {
    /// Of a build that reads formats up to `newest`, in a store whose format is `store`.
    pub fn new(newest: u32, store: u32) -> Self {
        Self { newest, store: AtomicU32::new(store) }
    }

    /// The store's format is at least `format` now.
    pub fn raise(&self, format: u32) {
        self.store.fetch_max(format, Ordering::Relaxed);
    }

    /// The store's format, as far as this process has heard.
    pub fn store(&self) -> u32 {
        self.store.load(Ordering::Relaxed)
    }

    /// The newest format that this build knows.
    pub(crate) fn newest(&self) -> u32 {
        self.newest
    }

    /// Whether this build can read what is written in `format`; why not.
    pub fn check(&self, format: u32) -> Result<(), String> {
        if format <= self.newest {
            return Ok(());
        }
        Err(format!("has format {format}, this build knows {}: use a newer one", self.newest))
    }
}
