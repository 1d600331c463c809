//! A real Kubernetes control plane on this machine, and the operator as a process on it.
//!
//! There is no kubelet: pods are made, deleted and replaced by Kubernetes' own controllers and never run. What a
//! kubelet would say of them, the tests say in its place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod control_plane;
mod life;
mod operator;
mod process;
mod proxy;

use std::path::PathBuf;
use std::time::Duration;

pub use audit::{Audit, Use};
pub use control_plane::{ControlPlane, free_port, variable};
pub use life::Life;
pub use operator::{Operator, namespace};
pub use process::Process;
pub use proxy::{Answer, Proxy};

/// The longest that a test waits for something that should come.
pub const LONG: Duration = Duration::from_mins(1);

/// Waits until `look` finds something; panics with `what` when it takes too long.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    let waiting = async {
        loop {
            ticks.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap_or_else(|_| panic!("not within {LONG:?}: {what}"))
}

/// Where a binary is: in the directory above that of this test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(|deps| deps.parent()).unwrap().join(name);
    assert!(path.is_file(), "{} is not there: `cargo build --package {name}`, or `cargo xtask test`", path.display());
    path
}
