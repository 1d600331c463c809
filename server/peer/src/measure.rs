//! What the connections count, under which names.

use std::fmt;

use metrics::{Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram};
use ordermill_station::measure::Station;

/// The measurements of the connections; cheap to clone, free of look-ups once made.
#[derive(Clone)]
pub(crate) struct Measures {
    /// Calls to other members.
    pub(crate) calls: Station,
    /// Requests of other members.
    pub(crate) served: Station,
    sent_bytes: Counter,
    received_bytes: Counter,
    frames: Histogram,
    connected: Counter,
    failed: Counter,
    lost: Counter,
    mail_dropped: Counter,
}

impl Measures {
    /// Registers the measurements.
    pub(crate) fn new() -> Self {
        describe();
        Self {
            calls: Station::new("peer"),
            served: Station::new("peer_served"),
            sent_bytes: counter!("ordermill_peer_bytes_total", "direction" => "sent"),
            received_bytes: counter!("ordermill_peer_bytes_total", "direction" => "received"),
            frames: histogram!("ordermill_peer_write_frames"),
            connected: counter!("ordermill_peer_dials_total", "outcome" => "connected"),
            failed: counter!("ordermill_peer_dials_total", "outcome" => "failed"),
            lost: counter!("ordermill_peer_connections_lost_total"),
            mail_dropped: counter!("ordermill_peer_mail_dropped_total"),
        }
    }

    /// Counts one write of many frames.
    pub(crate) fn wrote(&self, frames: usize, bytes: usize) {
        self.frames.record(frames as f64);
        self.sent_bytes.increment(bytes as u64);
    }

    /// Counts a frame that came in.
    pub(crate) fn read(&self, bytes: usize) {
        self.received_bytes.increment(bytes as u64);
    }

    /// Counts an attempt to make a connection.
    pub(crate) fn dialed(&self, connected: bool) {
        if connected { &self.connected } else { &self.failed }.increment(1);
    }

    /// Counts a connection that was not ended by one of its ends.
    pub(crate) fn lost(&self) {
        self.lost.increment(1);
    }

    /// Counts mail that found no room or cannot be read.
    pub(crate) fn dropped_mail(&self, pieces: usize) {
        self.mail_dropped.increment(pieces as u64);
    }
}

fn describe() {
    describe_counter!("ordermill_peer_bytes_total", Unit::Bytes, "Bytes of frames between members, by direction");
    describe_histogram!("ordermill_peer_write_frames", "Frames of one write to a member: how many share a system call");
    describe_counter!("ordermill_peer_dials_total", "Attempts to make a connection to a member, by outcome");
    describe_counter!("ordermill_peer_connections_lost_total", "Connections between members that were lost");
    describe_counter!(
        "ordermill_peer_mail_dropped_total",
        "Mail that found no room or could not be read; is sent again"
    );
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}
