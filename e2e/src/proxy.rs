//! Where the operator finds pods and PD, as there is no network of pods: an HTTP proxy that knows them by name.
//!
//! A name leads to a real server on the loopback, or to a function of the test that answers as a member would.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use tokio::net::TcpListener;

use crate::Life;

/// What a function answers to whom, HOST:PORT, asked how, for which path with its query, and with what.
pub type Answer = Arc<dyn Fn(&str, &Method, &str, &[u8]) -> (u16, String) + Send + Sync>;

#[derive(Clone)]
struct Shared {
    targets: Arc<Mutex<BTreeMap<String, SocketAddr>>>,
    otherwise: Arc<Mutex<Option<Answer>>>,
    life: Arc<Mutex<Option<Life>>>,
    key: Arc<Mutex<Option<String>>>,
    client: reqwest::Client,
}

/// The proxy; it ends with the test's runtime.
pub struct Proxy {
    address: SocketAddr,
    shared: Shared,
}

impl Proxy {
    /// Starts one that knows nobody.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // A second time it has been named already.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
        let shared = Shared {
            targets: Arc::default(),
            otherwise: Arc::default(),
            life: Arc::default(),
            key: Arc::default(),
            client,
        };
        let routes = Router::new().fallback(forward).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, shared }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// HOST:PORT leads to a server.
    pub fn lead(&self, name: &str, server: SocketAddr) {
        self.shared.targets.lock().unwrap().insert(name.to_owned(), server);
    }

    /// Whatever leads nowhere is answered by a function.
    pub fn otherwise(&self, answer: Answer) {
        *self.shared.otherwise.lock().unwrap() = Some(answer);
    }

    /// Whoever asks lives so long.
    pub fn lives(&self, life: &Life) {
        *self.shared.life.lock().unwrap() = Some(life.clone());
    }

    /// The function answers only to who shows an API key.
    pub fn demand(&self, key: &str) {
        *self.shared.key.lock().unwrap() = Some(format!("Bearer {key}"));
    }

    /// HOST:PORT leads nowhere.
    pub fn forget(&self, name: &str) {
        self.shared.targets.lock().unwrap().remove(name);
    }
}

async fn forward(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let life = shared.life.lock().unwrap().clone();
    let Some(life) = life else { return answer(&shared, method, &uri, &headers, body).await };
    let change = life.begins(&method, uri.path()).await;
    let answer = answer(&shared, method, &uri, &headers, body).await;
    life.ends(change).await;
    answer
}

async fn answer(shared: &Shared, method: Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> (StatusCode, String) {
    let name = uri.authority().map(ToString::to_string).unwrap_or_default();
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let server = shared.targets.lock().unwrap().get(&name).copied();
    let Some(server) = server else {
        let Some(answer) = shared.otherwise.lock().unwrap().clone() else {
            return (StatusCode::BAD_GATEWAY, format!("nobody is called {name}"));
        };
        let shown = headers.get(header::AUTHORIZATION).and_then(|shown| shown.to_str().ok());
        if shared.key.lock().unwrap().as_deref().is_some_and(|key| shown != Some(key)) {
            return (StatusCode::UNAUTHORIZED, "no key of ours".to_owned());
        }
        let (status, text) = answer(&name, &method, &path, &body);
        return (StatusCode::from_u16(status).unwrap(), text);
    };
    let request = shared.client.request(method, format!("http://{server}{path}")).body(body);
    match request.send().await {
        Ok(answer) => (answer.status(), answer.text().await.unwrap_or_default()),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()),
    }
}
