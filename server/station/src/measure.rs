//! What each station counts, under one set of names.
//!
//! `ordermill_station_*{station="…"}`: calls, errors by kind, seconds taken, seconds queued.

use std::time::Duration;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};

/// Upper bounds of the latency histograms, in seconds.
pub const BUCKETS_SECONDS: &[f64] =
    &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The measurements of one station; cheap to clone, free of look-ups once made.
#[derive(Clone, Debug)]
pub struct Station {
    name: &'static str,
    calls: Counter,
    seconds: Histogram,
    queued: Histogram,
}

impl Station {
    /// The measurements of the station `name`.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            calls: counter!("ordermill_station_calls_total", "station" => name),
            seconds: histogram!("ordermill_station_seconds", "station" => name),
            queued: histogram!("ordermill_station_queue_seconds", "station" => name),
        }
    }

    /// Counts `calls` done.
    pub fn called(&self, calls: u64) {
        self.calls.increment(calls);
    }

    /// Records how long one call, or one batch, took.
    pub fn took(&self, time: Duration) {
        self.seconds.record(time);
    }

    /// Records how long a call waited before it was begun.
    pub fn waited(&self, time: Duration) {
        self.queued.record(time);
    }

    /// Counts an error of `kind` (few kinds, fixed words).
    pub fn failed(&self, kind: &'static str) {
        counter!("ordermill_station_errors_total", "station" => self.name, "kind" => kind).increment(1);
    }
}

/// Tells the recorder what the names mean.
pub fn describe() {
    describe_counter!("ordermill_station_calls_total", "Calls that a station has finished");
    describe_counter!("ordermill_station_errors_total", "Calls that a station has refused or failed, by kind");
    describe_histogram!("ordermill_station_seconds", Unit::Seconds, "Time a station took per call or batch");
    describe_histogram!("ordermill_station_queue_seconds", Unit::Seconds, "Time a call waited for the station");
}
