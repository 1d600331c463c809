//! What ingress needs to know.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ordermill_station::{clock, limits};

use crate::{Tenants, Tls};

/// Bytes of a request's head (path and headers) that are accepted.
const HEAD_BYTES: usize = 32 << 10;
/// Streams of one HTTP/2 connection.
const STREAMS_PER_CONNECTION: u32 = 256;

/// Writes the measurements in the text format of Prometheus.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// What ingress needs to know.
#[derive(Clone)]
pub struct Config {
    /// The time.
    pub clock: clock::Shared,
    /// Who may ask, and for which tenant.
    pub tenants: Tenants,
    /// TLS to clients; none: plain HTTP.
    pub tls: Option<Tls>,
    /// Writes the measurements for `/metrics`.
    pub metrics: RenderMetrics,
    /// The cluster: part of the source of every event.
    pub cluster: u32,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of a request's body (not of an import).
    pub body_bytes: usize,
    /// Longest wait for the next bytes of a body.
    pub body_idle: Duration,
    /// Longest wait for a request's head.
    pub head_timeout: Duration,
    /// Connections served at once; more wait to be accepted.
    pub connections: usize,
    /// Streams of one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// Longest wait of a create for its decision.
    pub settle_wait: Duration,
    /// Longest silence of the event feed.
    pub feed_keepalive: Duration,
    /// How long connections on which nothing runs stay open when the server stops.
    pub parting: Duration,
    /// Longest graceful stop before connections are cut.
    pub drain: Duration,
}

impl Config {
    /// The usual settings.
    pub fn new(clock: clock::Shared) -> Self {
        Self {
            clock,
            tenants: Tenants::open(),
            tls: None,
            metrics: Arc::new(String::new),
            cluster: 1,
            head_bytes: HEAD_BYTES,
            body_bytes: limits::BODY_BYTES,
            body_idle: limits::BODY_IDLE,
            head_timeout: limits::HEAD_TIMEOUT,
            connections: limits::CONNECTIONS,
            streams_per_connection: STREAMS_PER_CONNECTION,
            settle_wait: limits::SETTLE_WAIT,
            feed_keepalive: limits::FEED_KEEPALIVE,
            parting: limits::PARTING,
            drain: limits::DRAIN,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("tenants", &self.tenants).field("cluster", &self.cluster).finish_non_exhaustive()
    }
}
