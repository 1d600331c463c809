//! A life of an operator that ends with the first change that it makes: done, but never heard of.
//!
//! One life after the other goes through every place at which an operator can be killed. What was killed the one before is
//! let by if it is asked for again at once: a change that has been made already changes nothing, and kills nobody.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::Notify;

/// The life; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Life {
    over: Arc<AtomicBool>,
    ended: Arc<Notify>,
    last: Arc<Mutex<String>>,
    /// What ended the one before.
    before: Option<String>,
}

impl Life {
    /// The one after a life that ended with `before`.
    pub fn after(before: Option<&String>) -> Self {
        Self { before: before.cloned(), ..Self::default() }
    }

    /// A client that lives so long.
    pub fn client(&self, client: &Client, namespace: &str) -> Client {
        let (life, client) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (life, client) = (life.clone(), client.clone());
            async move {
                let change = life.begins(request.method(), request.uri().path()).await;
                let answer: Response<Body> = client.send(request).await?;
                life.ends(change).await;
                Ok::<_, tower::BoxError>(answer)
            }
        });
        Client::new(service, namespace)
    }

    /// What is asked for, if it is a change; after the last one, nothing is asked any more.
    pub(crate) async fn begins(&self, method: &Method, path: &str) -> Option<String> {
        let change = format!("{method} {path}");
        let changes = method != Method::GET && self.before.as_ref() != Some(&change);
        if self.over.load(SeqCst) || changes && self.over.swap(true, SeqCst) {
            pending::<()>().await;
        }
        changes.then_some(change)
    }

    /// With a change it ends here.
    pub(crate) async fn ends(&self, change: Option<String>) {
        let Some(change) = change else { return };
        *self.last.lock().unwrap() = change;
        self.ended.notify_one();
        pending::<()>().await;
    }

    /// Waits for its end; the change that it made.
    pub async fn ended(&self) -> String {
        self.ended.notified().await;
        self.last.lock().unwrap().clone()
    }
}
