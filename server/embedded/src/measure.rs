//! What the embedded store counts, under which names.

use std::fmt;

use metrics::{Counter, Gauge, Histogram, Unit, counter, gauge, histogram};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use ordermill_station::measure::Station;

/// The measurements of the store; free of look-ups once made.
#[derive(Clone)]
pub(crate) struct Measures {
    /// The journal as a station.
    pub(crate) journal: Station,
    /// The rows as a station.
    pub(crate) store: Station,
    /// Seconds of an fsync of the journal.
    pub(crate) fsync: Histogram,
    /// Seconds of a flush.
    pub(crate) flush: Histogram,
    /// Free bytes of the data directory's file system.
    pub(crate) free: Gauge,
    appends: Counter,
    blocks: Counter,
    bytes: Counter,
    frames: Histogram,
    flushed_rows: Counter,
    flushed_bytes: Counter,
}

impl Measures {
    /// Registers the measurements.
    pub(crate) fn new() -> Self {
        describe();
        Self {
            journal: Station::new("journal"),
            store: Station::new("store"),
            fsync: histogram!("ordermill_journal_fsync_seconds"),
            flush: histogram!("ordermill_store_flush_seconds"),
            free: gauge!("ordermill_store_free_bytes"),
            appends: counter!("ordermill_journal_appends_total"),
            blocks: counter!("ordermill_journal_blocks_total"),
            bytes: counter!("ordermill_journal_bytes_total"),
            frames: histogram!("ordermill_journal_block_frames"),
            flushed_rows: counter!("ordermill_store_flushed_rows_total"),
            flushed_bytes: counter!("ordermill_store_flushed_bytes_total"),
        }
    }

    /// Counts a durable block.
    pub(crate) fn wrote_block(&self, frames: usize, bytes: usize) {
        self.appends.increment(frames as u64);
        self.blocks.increment(1);
        self.bytes.increment(bytes as u64);
        self.frames.record(frames as f64);
        self.journal.called(frames as u64);
    }

    /// Counts a flush.
    pub(crate) fn flushed(&self, rows: usize, bytes: usize) {
        self.flushed_rows.increment(rows as u64);
        self.flushed_bytes.increment(bytes as u64);
    }
}

fn describe() {
    describe_counter!("ordermill_journal_appends_total", "Records that the journal has made durable");
    describe_counter!("ordermill_journal_blocks_total", "Blocks of the journal, each made durable with one fsync");
    describe_counter!("ordermill_journal_bytes_total", Unit::Bytes, "Bytes of the journal's blocks");
    describe_histogram!("ordermill_journal_fsync_seconds", Unit::Seconds, "Time of one fsync of the journal");
    describe_histogram!("ordermill_journal_block_frames", "Records of one block: how many shards share an fsync");
    describe_histogram!("ordermill_store_flush_seconds", Unit::Seconds, "Time until flushed rows are durable");
    describe_counter!("ordermill_store_flushed_rows_total", "Rows that were flushed, deletions included");
    describe_counter!("ordermill_store_flushed_bytes_total", Unit::Bytes, "Bytes of keys and values that were flushed");
    describe_gauge!("ordermill_store_free_bytes", Unit::Bytes, "Free bytes of the data directory's file system");
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}
