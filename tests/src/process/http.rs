//! A small HTTP client: what was answered, as it was answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ordermill_api::{Order, OrderPage, Problem, ProblemKind};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, ClientBuilder, Error, Method, RequestBuilder, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;

use super::ANSWER;

/// A client of one server, or of several in turn.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    bases: Vec<String>,
    next: Arc<AtomicUsize>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header's text; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("headers are text"))
    }

    /// The body as JSON of a wire type.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The same, which must have this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }
}

/// The problem that an answer tells of, which must be complete and of a known kind.
#[track_caller]
pub fn problem(answer: &Answer) -> ProblemKind {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    let problem: Problem = answer.json();
    let kind = problem.kind().unwrap_or_else(|| panic!("an unknown kind of problem: {problem:?}"));
    assert_eq!((problem.status, problem.status), (answer.status, kind.status()));
    assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?}");
    kind
}

/// A client in the making, which believes nobody's certificate and knows no proxy.
pub fn client_builder() -> ClientBuilder {
    // A second time it has been named already.
    let _ = ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([])
}

impl Http {
    /// A client of the server at `base`.
    pub fn new(base: &str) -> Self {
        Self::among(&[base.to_owned()])
    }

    /// A client that asks the servers at `bases` in turn.
    pub fn among(bases: &[String]) -> Self {
        Self::made(bases, client_builder())
    }

    /// A client of the server at `base`, whose name leads to `at` if that is given: it has to show a certificate of this
    /// authority, in PEM form, and gets this API key with every request.
    pub fn secured(base: &str, at: Option<SocketAddr>, authority: &str, key: &str) -> Self {
        let authority = Certificate::from_pem(authority.as_bytes()).expect("a certificate");
        let shown = HeaderValue::from_str(&format!("Bearer {key}")).expect("a key fits a header");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, shown)]);
        let mut client = client_builder().tls_certs_only([authority]).default_headers(headers);
        if let (Some(at), Some(host)) = (at, Url::parse(base).expect("a URL").host_str()) {
            client = client.resolve(host, at);
        }
        Self::made(&[base.to_owned()], client)
    }

    fn made(bases: &[String], client: ClientBuilder) -> Self {
        let client = client.tcp_nodelay(true).build().expect("a client can be made");
        Self { client, bases: bases.to_vec(), next: Arc::default() }
    }

    /// A client of one of these servers; `number` may be any.
    #[must_use]
    pub fn one(&self, number: usize) -> Self {
        let base = self.bases[number % self.bases.len()].clone();
        Self { client: self.client.clone(), bases: vec![base], next: Arc::default() }
    }

    /// A request.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let base = &self.bases[self.next.fetch_add(1, Ordering::Relaxed) % self.bases.len()];
        self.client.request(method, format!("{base}{path}"))
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        let response = request.timeout(ANSWER).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.text().await? })
    }

    /// Reads something; the server must answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await.expect("the server answers")
    }

    /// Posts JSON with headers.
    pub async fn try_post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Result<Answer, Error> {
        let mut request = self.request(Method::POST, path).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// Posts JSON with headers; the server must answer.
    pub async fn post(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        self.try_post(path, body, headers).await.expect("the server answers")
    }

    /// Puts JSON; the server must answer.
    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(body)).await.expect("the server answers")
    }

    /// All orders, page by page.
    pub async fn orders(&self) -> Vec<Order> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page: OrderPage =
                self.get(&format!("/v1/orders?page_size=1000&page_token={token}")).await.expect(200).json();
            all.extend(page.orders);
            match page.next_page_token {
                Some(next) => token = next,
                None => return all,
            }
        }
    }

    /// All items as they are, page by page.
    pub async fn items(&self) -> Vec<ordermill_api::Item> {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page: ordermill_api::ItemPage =
                self.get(&format!("/v1/items?page_size=1000&page_token={token}")).await.expect(200).json();
            all.extend(page.items);
            match page.next_page_token {
                Some(next) => token = next,
                None => return all,
            }
        }
    }

    /// The sum of a measurement over all its labels; 0 when it is not there.
    pub async fn measured(&self, name: &str) -> Option<f64> {
        let answer = self.send(self.request(Method::GET, "/metrics")).await.ok()?;
        let value = |line: &str| {
            let (key, value) = line.rsplit_once(' ')?;
            (key.split('{').next() == Some(name)).then(|| value.parse::<f64>().ok()).flatten()
        };
        Some(answer.body.lines().filter_map(value).sum())
    }
}
