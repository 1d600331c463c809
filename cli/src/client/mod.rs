//! The HTTP API as calls: one method per thing that can be asked, retried where that is safe.
//!
//! Knows the paths and the headers; decides nothing about orders.

mod cluster;
mod error;
mod events;
mod import;
mod items;
mod orders;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use ordermill_api::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_rustls::rustls::crypto::ring;

use error::causes;
pub use error::{Again, Error};
pub use orders::{Created, NewOrderOptions, OrderFilter};

/// How often a request is sent in all, where sending it again is safe.
const ATTEMPTS: u32 = 5;
/// The longest single wait that a server's Retry-After can ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// The first wait before a request is sent again; doubles each time.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How much of a foreign answer is shown.
const FOREIGN_BODY_CHARS: usize = 200;

/// A server, and how to talk to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<HeaderValue>,
    timeout: Duration,
}

/// Whether a request may be sent twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// Reads, puts, and whatever carries an idempotency key.
    Safe,
    /// Only when it is certain that the first was not carried out.
    Unsent,
}

/// A request before it is sent.
#[derive(Clone, Debug)]
struct Request {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Option<Bytes>,
    repeat: Repeat,
}

/// An answer that says yes.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    /// A client of the server at `base`, such as `https://orders.example.org`. A server with TLS has to show a certificate
    /// of `authority` (PEM) if one is named, else of one that the system trusts.
    pub fn new(base: &str, api_key: Option<&str>, authority: Option<&[u8]>, timeout: Duration) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        if !["http://", "https://"].iter().any(|scheme| base.starts_with(scheme)) {
            let reason = "is not a URL: it must begin with http:// or https://";
            return Err(Error::Unsendable(format!("{base:?} {reason}")));
        }
        // Another one of the process's may have been named before.
        let _ = ring::default_provider().install_default();
        let key = api_key
            .map(|key| {
                HeaderValue::from_str(&format!("Bearer {key}"))
                    .map_err(|_| Error::Unsendable("the API key holds characters that no header can carry".into()))
            })
            .transpose()?;
        let mut http = reqwest::Client::builder();
        // A system without authorities is no obstacle where none is needed.
        if base.starts_with("http://") {
            http = http.tls_certs_only([]);
        } else if let Some(authority) = authority {
            let unreadable =
                |error: reqwest::Error| Error::Unsendable(format!("the authority cannot be read: {error}"));
            let authorities = reqwest::Certificate::from_pem_bundle(authority).map_err(unreadable)?;
            if authorities.is_empty() {
                return Err(Error::Unsendable("the file of the authority holds no certificate (PEM)".into()));
            }
            http = http.tls_certs_only(authorities);
        }
        let http = http
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(15))
            .user_agent(concat!("orderctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Unsendable(error.to_string()))?;
        Ok(Self { http, base, key, timeout })
    }

    /// The server's URL.
    pub fn server(&self) -> &str {
        &self.base
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends `request`, again where that is safe and may help, and returns the answer's value.
    async fn call<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        self.parse(&self.send(request).await?)
    }

    /// Reads the value of an answer.
    fn parse<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Error> {
        serde_json::from_slice(&reply.body).map_err(|error| Error::Foreign {
            server: self.base.clone(),
            status: reply.status,
            body: format!("{error}: {}", excerpt(&reply.body)),
            retry_after: None,
        })
    }

    /// Sends `request`, again where that is safe and may help.
    async fn send(&self, request: Request) -> Result<Reply, Error> {
        let mut wait = RETRY_FIRST;
        for attempt in 1.. {
            let error = match self.once(&request).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let asked = match error.again() {
                Again::Never => return Err(error),
                Again::Doubtful if request.repeat == Repeat::Unsent => return Err(error),
                Again::Doubtful | Again::Unsent => None,
                Again::Refused(asked) => asked,
            };
            if attempt >= ATTEMPTS || asked.is_some_and(|asked| asked > RETRY_AFTER_MAX) {
                return Err(error);
            }
            tokio::time::sleep(asked.unwrap_or_default().max(wait)).await;
            wait *= 2;
        }
        unreachable!("the loop above ends by returning");
    }

    async fn once(&self, request: &Request) -> Result<Reply, Error> {
        let mut builder = self.builder(request.method.clone(), &request.path);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        builder = builder.headers(request.headers.clone()).timeout(self.timeout);
        if let Some(body) = &request.body {
            builder = builder.header(header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = builder.send().await.map_err(|error| self.failure(&error))?;
        let response = self.accept(response).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.map_err(|error| self.failure(&error))?;
        Ok(Reply { status, headers, body })
    }

    fn builder(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let mut builder = self.http.request(method, format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            builder = builder.header(header::AUTHORIZATION, key.clone());
        }
        builder
    }

    /// Lets a success through; turns anything else into what the server meant.
    async fn accept(&self, response: reqwest::Response) -> Result<reqwest::Response, Error> {
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = response.bytes().await.map_err(|error| self.failure(&error))?;
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Error::Problem { problem: Box::new(problem), retry_after },
            Err(_) => Error::Foreign { server: self.base.clone(), status, body: excerpt(&body), retry_after },
        })
    }

    fn failure(&self, error: &reqwest::Error) -> Error {
        let server = self.base.clone();
        let cause = causes(error);
        if error.is_connect() {
            Error::Unreachable { server, cause }
        } else if error.is_timeout() {
            Error::TimedOut { server, after: self.timeout }
        } else if error.is_builder() {
            Error::Unsendable(cause)
        } else {
            Error::Lost { server, cause }
        }
    }
}

impl Request {
    fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Repeat::Safe)
    }

    fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path, Repeat::Safe)
    }

    /// A post that is sent again only while it is certain that it was not carried out.
    fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path, Repeat::Unsent)
    }

    /// A post that asks for what may be so already.
    fn repeatable(mut self) -> Self {
        self.repeat = Repeat::Safe;
        self
    }

    fn new(method: Method, path: impl Into<String>, repeat: Repeat) -> Self {
        Self { method, path: path.into(), query: Vec::new(), headers: HeaderMap::new(), body: None, repeat }
    }

    fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.query.push((name, value.to_string()));
        }
        self
    }

    fn header(mut self, name: &'static str, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value)
            .map_err(|_| Error::Unsendable(format!("the header {name} cannot carry {value:?}")))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    /// Carries an idempotency key, which makes the request safe to repeat.
    fn keyed(mut self, key: &str) -> Result<Self, Error> {
        self.repeat = Repeat::Safe;
        self.header("idempotency-key", key)
    }

    fn json(mut self, value: &impl Serialize) -> Self {
        // The wire types have string keys and no failing serializers.
        self.body = Some(serde_json::to_vec(value).expect("a wire type is always JSON").into());
        self
    }
}

/// A fresh idempotency key.
pub fn random_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// `text` as one segment of a path; an error when none can be. Dots alone are a step on the path,
/// however they are written, and nothing at all is another path.
fn segment(text: &str) -> Result<String, Error> {
    use std::fmt::Write as _;
    if matches!(text, "" | "." | "..") {
        return Err(Error::Unnameable(text.to_owned()));
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => out.push(byte as char),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    Ok(out)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let mut line: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(FOREIGN_BODY_CHARS).collect();
    if line.trim().is_empty() {
        "an empty body".clone_into(&mut line);
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skus_become_one_path_segment() {
        for (sku, path) in [
            ("85123A", "85123A"),
            ("BANK CHARGES", "BANK%20CHARGES"),
            ("a/b?c#d%", "a%2Fb%3Fc%23d%25"),
            ("ü.1", "%C3%BC.1"),
            ("...", "..."),
        ] {
            let segment = segment(sku).unwrap();
            assert_eq!(segment, path);
            let url = reqwest::Url::parse(&format!("http://x/v1/items/{segment}")).unwrap();
            assert_eq!(url.path_segments().unwrap().collect::<Vec<_>>(), ["v1", "items", path]);
        }
        for sku in ["", ".", ".."] {
            assert!(matches!(segment(sku), Err(Error::Unnameable(_))), "{sku:?}");
        }
    }

    #[test]
    fn only_urls_of_http_and_readable_authorities_are_taken() {
        let timeout = Duration::from_secs(1);
        assert!(
            Client::new("http://localhost:1/", None, None, timeout).is_ok_and(|c| c.server() == "http://localhost:1")
        );
        assert!(matches!(Client::new("localhost:1", None, None, timeout), Err(Error::Unsendable(_))));
        assert!(Client::new("https://x", None, None, timeout).is_ok());
        assert!(matches!(Client::new("https://x", None, Some(b"no PEM"), timeout), Err(Error::Unsendable(_))));
        assert!(matches!(Client::new("http://x", Some("a\nb"), None, timeout), Err(Error::Unsendable(_))));
    }

    #[test]
    fn keys_differ() {
        assert_ne!(random_key(), random_key());
        assert_eq!(random_key().len(), 32);
    }
}
