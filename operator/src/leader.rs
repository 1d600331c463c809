//! One operator at a time acts: whoever holds the Lease.
//!
//! One that loses it stops at once. Two that overlap for a moment, because one could not hear that it had lost,
//! would both apply what the same pure function builds.

use anyhow::Context as _;
use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{MANAGER, limits};

/// The Lease, held or waited for.
pub struct Leadership {
    held: watch::Receiver<bool>,
    renewing: JoinHandle<kube_lease_manager::Result<LeaseManager>>,
}

impl Leadership {
    /// Begins to try, as `identity`, for the Lease in `namespace`.
    pub async fn seek(client: Client, namespace: &str, identity: &str) -> anyhow::Result<Self> {
        let manager = LeaseManagerBuilder::new(client, MANAGER)
            .with_namespace(namespace)
            .with_identity(identity)
            .with_duration(limits::LEASE_SECONDS)
            .with_grace(limits::LEASE_GRACE_SECONDS)
            .with_field_manager(format!("{MANAGER}-{identity}"))
            .build()
            .await
            .with_context(|| format!("the Lease {MANAGER} in {namespace} cannot be used"))?;
        let (held, renewing) = manager.watch().await;
        Ok(Self { held, renewing })
    }

    /// Waits until it is held.
    pub async fn won(&mut self) -> anyhow::Result<()> {
        self.held.wait_for(|held| *held).await.context("the Lease is tried for no longer")?;
        Ok(())
    }

    /// Waits until it is lost.
    pub async fn lost(&mut self) {
        // An error means that nobody renews it any longer.
        let _ = self.held.wait_for(|held| !*held).await;
    }

    /// Gives it back, so that the next one need not wait for it to run out.
    pub async fn resign(self) {
        drop(self.held);
        let _ = tokio::time::timeout(limits::CALL, self.renewing).await;
    }
}
