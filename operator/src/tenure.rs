//! Whether this operator still holds the Lease, asked before whatever it changes.
//!
//! A process that was stopped and goes on believes what it last heard: the one that took over meanwhile acts already. So
//! what is older than a moment, on a clock that goes on while a process or a machine stands still, is read again before a
//! change is asked for, and a change that may be late is not sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request, Response};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;
use kube::client::Body;
use ordermill_station::clock;

use crate::{MANAGER, limits};

/// The right to change something; cheap to clone.
#[derive(Clone)]
pub struct Tenure(Option<Arc<Held>>);

struct Held {
    leases: Api<Lease>,
    identity: String,
    clock: clock::Shared,
    seen: Mutex<Option<Duration>>,
}

/// It is somebody else's now, or cannot be known to be ours.
#[derive(Clone, Debug, thiserror::Error)]
#[error("nothing is changed: {0}")]
pub struct Lost(String);

impl Tenure {
    /// That of `identity`, by the Lease in `namespace`.
    pub fn of(client: Client, namespace: &str, identity: &str, clock: clock::Shared) -> Self {
        let leases = Api::namespaced(client, namespace);
        Self(Some(Arc::new(Held { leases, identity: identity.to_owned(), clock, seen: Mutex::new(None) })))
    }

    /// Where nobody else can act.
    pub fn endless() -> Self {
        Self(None)
    }

    /// Fails unless the Lease is held, as of a moment ago.
    pub async fn holds(&self) -> Result<(), Lost> {
        let Some(held) = &self.0 else { return Ok(()) };
        let now = held.clock.elapsed();
        let seen = *held.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_some_and(|seen| now.saturating_sub(seen) < limits::TENURE) {
            return Ok(());
        }
        let lease =
            held.leases.get(MANAGER).await.map_err(|error| Lost(format!("the Lease cannot be read: {error}")))?;
        let spec = lease.spec.unwrap_or_default();
        let holder = spec.holder_identity.unwrap_or_default();
        if holder != held.identity {
            return Err(Lost(format!("the Lease is held by {holder:?}")));
        }
        // Ours by name, and anybody's soon: both times are this machine's.
        let renewed = spec.renew_time.map_or(0, |time| time.0.as_millisecond());
        let age = i64::try_from(held.clock.now_ms()).unwrap_or_default() - renewed;
        let longest = Duration::from_secs(limits::LEASE_SECONDS).saturating_sub(limits::TENURE);
        if u128::try_from(age).is_ok_and(|age| age > longest.as_millis()) {
            return Err(Lost(format!("the Lease was renewed {age} ms ago")));
        }
        // From before it was asked for: what came later may have been longer under way.
        *held.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        Ok(())
    }

    /// A client that changes something only while the Lease is held.
    pub fn guard(&self, client: Client, namespace: &str) -> Client {
        let tenure = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (tenure, client) = (tenure.clone(), client.clone());
            async move {
                if request.method() != Method::GET {
                    tenure.holds().await.map_err(|lost| Box::new(lost) as tower::BoxError)?;
                }
                let answer: Response<Body> = client.send(request).await?;
                Ok::<_, tower::BoxError>(answer)
            }
        });
        Client::new(service, namespace)
    }
}
