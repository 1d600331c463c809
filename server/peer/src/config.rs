//! What an end of a connection needs to know.

use std::time::Duration;

use ordermill_station::{clock, limits};

use crate::Hello;

/// What [`Peers`](crate::Peers) and [`serve`](crate::serve) need to know. The bounds are those of
/// `limits` unless set otherwise.
#[derive(Clone, Debug)]
pub struct Config {
    /// How this member introduces itself.
    pub hello: Hello,
    /// For measurements, and for the pause after a failed connection.
    pub clock: clock::Shared,
    /// Bytes of one frame; the same on all members.
    pub frame_bytes: usize,
    /// Requests of one connection without an answer.
    pub in_flight: usize,
    /// Bytes of requests or answers that wait to be written to one connection.
    pub queue_bytes: usize,
    /// Bytes of mail that wait to be written to one connection.
    pub mail_bytes: usize,
    /// Longest time until a connection is made and both sides have introduced themselves.
    pub dial: Duration,
    /// Pause after a connection could not be made; doubles with each further failure.
    pub backoff: Duration,
    /// Longest such pause.
    pub backoff_max: Duration,
    /// How often a connection is looked at; one that is idle then carries a ping.
    pub ping: Duration,
    /// Silence after which a connection counts as dead.
    pub silence: Duration,
    /// How long a connection is kept that nobody uses.
    pub idle: Duration,
    /// Connections served at once.
    pub connections: usize,
    /// Longest graceful stop of a server before its connections are cut.
    pub drain: Duration,
}

impl Config {
    /// The configuration of the member `hello`, with the engine's bounds.
    pub fn new(hello: Hello, clock: clock::Shared) -> Self {
        Self {
            hello,
            clock,
            frame_bytes: limits::PEER_FRAME_BYTES,
            in_flight: limits::PEER_IN_FLIGHT,
            queue_bytes: limits::PEER_QUEUE_BYTES,
            mail_bytes: limits::PEER_MAIL_BYTES,
            dial: limits::PEER_DIAL,
            backoff: limits::PEER_BACKOFF,
            backoff_max: limits::PEER_BACKOFF_MAX,
            ping: limits::PEER_PING,
            silence: limits::PEER_SILENCE,
            idle: limits::PEER_IDLE,
            connections: limits::PEER_CONNECTIONS,
            drain: limits::DRAIN,
        }
    }

    /// Whole looks at a connection that make up `time`, at least one.
    pub(crate) fn looks(&self, time: Duration) -> u128 {
        time.as_nanos().div_ceil(self.ping.as_nanos().max(1)).max(1)
    }

    /// The pause after `failures` failures in a row.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.backoff.saturating_mul(doubled).min(self.backoff_max)
    }
}
