//! What this store counts, under which names.

use std::fmt;
use std::time::Duration;

use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use crate::Failure;

/// The calls of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Timestamp,
    Begin,
    Insert,
    Write,
    Get,
    GetMany,
    Scan,
    CleanUp,
    CollectGarbage,
    Reconnect,
}

const CALLS: [(Call, &str); 10] = [
    (Call::Timestamp, "timestamp"),
    (Call::Begin, "begin"),
    (Call::Insert, "insert"),
    (Call::Write, "write"),
    (Call::Get, "get"),
    (Call::GetMany, "get_many"),
    (Call::Scan, "scan"),
    (Call::CleanUp, "clean_up"),
    (Call::CollectGarbage, "collect_garbage"),
    (Call::Reconnect, "reconnect"),
];

/// The measurements of the store; free of look-ups where nothing fails.
#[derive(Clone)]
pub(crate) struct Measures {
    seconds: [Histogram; CALLS.len()],
    answered: [Counter; CALLS.len()],
    bytes: [Counter; CALLS.len()],
    transactions: Counter,
    /// Rows that were flushed, and how many transactions that took.
    pub(crate) flushed_rows: Counter,
    pub(crate) flush_transactions: Counter,
    /// Seconds of an append, and of a proof.
    pub(crate) append: Histogram,
    pub(crate) proof: Histogram,
}

impl Measures {
    pub(crate) fn new() -> Self {
        describe();
        Self {
            seconds: CALLS.map(|(_, name)| histogram!("ordermill_service_call_seconds", "call" => name)),
            answered: CALLS.map(|(_, name)| counted(name, "ok")),
            bytes: CALLS.map(|(_, name)| counter!("ordermill_service_bytes_total", "call" => name)),
            transactions: counter!("ordermill_service_transactions_total"),
            flushed_rows: counter!("ordermill_store_flushed_rows_total"),
            flush_transactions: counter!("ordermill_store_flush_transactions_total"),
            append: histogram!("ordermill_store_append_seconds"),
            proof: histogram!("ordermill_store_proof_seconds"),
        }
    }

    pub(crate) fn called(&self, call: Call, took: Duration, failed: Option<&Failure>) {
        self.seconds[call as usize].record(took);
        match failed {
            None => self.answered[call as usize].increment(1),
            Some(failure) => counted(CALLS[call as usize].1, kind(failure)).increment(1),
        }
        if matches!(call, Call::Insert | Call::Write) {
            self.transactions.increment(1);
        }
    }

    /// Counts bytes of keys and values that a call writes, or has read.
    pub(crate) fn carried(&self, call: Call, bytes: usize) {
        self.bytes[call as usize].increment(bytes as u64);
    }

    /// Versions that nobody reads at `safe_point_ms` or later were let go.
    #[expect(clippy::unused_self, reason = "measurements are made through this")]
    pub(crate) fn collected(&self, safe_point_ms: u64) {
        counter!("ordermill_store_garbage_collections_total").increment(1);
        gauge!("ordermill_store_safe_point_seconds").set(safe_point_ms as f64 / 1_000.0);
    }

    /// A call of `work` has failed and is made again.
    #[expect(clippy::unused_self, reason = "measurements are made through this")]
    pub(crate) fn tried_again(&self, work: &'static str) {
        counter!("ordermill_service_retries_total", "work" => work).increment(1);
    }
}

/// Calls of one kind with one outcome: "ok", or what they failed with.
fn counted(call: &'static str, outcome: &'static str) -> Counter {
    counter!("ordermill_service_calls_total", "call" => call, "outcome" => outcome)
}

/// Counts a write whose call did not say what became of it, by what a look said afterwards.
pub(crate) fn resolved(what: What, by: Found) {
    let what = match what {
        What::Record => "record",
        What::Value => "value",
        What::Rows => "rows",
    };
    let by = match by {
        Found::Mine => "mine",
        Found::Another => "another",
        Found::Absent => "absent",
        Found::Never => "never",
    };
    counter!("ordermill_store_uncertain_total", "what" => what, "resolved" => by).increment(1);
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A record of a journal, a fence among them.
    Record,
    /// A guard, a mark or a value of coordination.
    Value,
    /// Rows of a flush.
    Rows,
}

/// What stood there afterwards.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found {
    /// What was written.
    Mine,
    /// What somebody else has written.
    Another,
    /// Not all of it: it is sent again.
    Absent,
    /// Nobody knows: the time ran out.
    Never,
}

/// A fixed word per kind, for metrics.
fn kind(failure: &Failure) -> &'static str {
    match failure {
        Failure::Conflict(_) => "conflict",
        Failure::Locked(_) => "locked",
        Failure::Unavailable(_) => "unavailable",
        Failure::Refused(_) => "refused",
    }
}

fn describe() {
    describe_histogram!("ordermill_service_call_seconds", Unit::Seconds, "Time of one call of the store's service");
    describe_counter!("ordermill_service_calls_total", "Calls of the store's service, by kind and outcome");
    describe_counter!(
        "ordermill_service_bytes_total",
        Unit::Bytes,
        "Keys and values that calls of the store's service wrote (insert, write) or read (get, get_many, scan)"
    );
    describe_counter!(
        "ordermill_service_transactions_total",
        "Transactions that were sent to be committed: each insert, and each write of one or more keys"
    );
    describe_counter!("ordermill_service_retries_total", "Tries of the store after one that has failed, by what for");
    describe_counter!("ordermill_store_flushed_rows_total", "Rows that were flushed, deletions included");
    describe_counter!("ordermill_store_flush_transactions_total", "Transactions that flushes have sent");
    describe_counter!("ordermill_store_garbage_collections_total", "Times that this member let old versions go");
    describe_gauge!(
        "ordermill_store_safe_point_seconds",
        "The time, in seconds since the Unix epoch, to which this member let old versions go last"
    );
    describe_histogram!("ordermill_store_append_seconds", Unit::Seconds, "Time until a record was read back");
    describe_histogram!("ordermill_store_proof_seconds", Unit::Seconds, "Time of a proof that the owner still is");
    describe_counter!(
        "ordermill_store_uncertain_total",
        "Writes whose call did not say what became of them, by what was written (record, value, rows) and what a look found \
         afterwards: mine, another, absent (it is sent again), never (the time ran out)"
    );
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stand_at_their_numbers() {
        for (at, (call, _)) in CALLS.iter().enumerate() {
            assert_eq!(*call as usize, at);
        }
    }
}
