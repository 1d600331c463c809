//! A life of an operator that ends with the first change that it makes: done, but never heard of.
//!
//! One life after the other goes through every place at which an operator can be killed.

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
}

impl Life {
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
        let changes = method != Method::GET;
        if self.over.load(SeqCst) || changes && self.over.swap(true, SeqCst) {
            pending::<()>().await;
        }
        changes.then(|| format!("{method} {path}"))
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
