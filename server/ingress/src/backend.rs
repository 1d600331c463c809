//! The router, which is there only once the store has been opened: until then requests are
//! answered, but none is served.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ordermill_routing::{Router, Status};

/// The place where the router will be; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Backend {
    router: Arc<OnceLock<Router>>,
}

impl Backend {
    /// Requests are served from now on. Only the first router counts.
    pub fn open(&self, router: Router) {
        let _ = self.router.set(router);
    }

    /// The router, once there is one.
    pub(crate) fn router(&self) -> Option<&Router> {
        self.router.get()
    }

    /// Whether requests can be served.
    pub(crate) fn status(&self) -> Status {
        self.router().map_or(Status::Recovering, Router::status)
    }

    /// How long commands have waited lately before a shard took them.
    pub(crate) fn queue_delay(&self) -> Duration {
        self.router().map(Router::queue_delay).unwrap_or_default()
    }
}
