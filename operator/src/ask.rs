//! Calls over HTTP to PD and to members: each with a deadline, a bound on the answer, and a measurement.
//!
//! Never tries again by itself: the next reconciliation does.

use std::time::Instant;

use reqwest::{Certificate, Client, Method, Proxy, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_rustls::rustls::crypto::ring;

use crate::limits;
use crate::tenure::Tenure;

/// Why there is no answer that can be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nobody has answered in time.
    #[error("{url} does not answer: {why}")]
    Silent {
        /// What was asked.
        url: String,
        /// What is known of it.
        why: String,
    },
    /// It was refused.
    #[error("{url} answers {status}: {body}")]
    Refused {
        /// What was asked.
        url: String,
        /// The status of HTTP.
        status: u16,
        /// The beginning of what was said.
        body: String,
    },
    /// The answer is none that is known.
    #[error("{url} answers what cannot be read: {why}")]
    Unreadable {
        /// What was asked.
        url: String,
        /// Where it cannot be read.
        why: String,
    },
}

/// Who asks; cheap to clone.
#[derive(Clone)]
pub struct Asker {
    client: Client,
    proxy: Option<Proxy>,
    tenure: Tenure,
    key: Option<String>,
}

fn client(proxy: Option<Proxy>, authority: Option<&[u8]>) -> Result<Client, reqwest::Error> {
    // Another one may have been named before in this process.
    let _ = ring::default_provider().install_default();
    let mut client = Client::builder()
        .connect_timeout(limits::ASK_CONNECT)
        .timeout(limits::ASK)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none());
    if let Some(proxy) = proxy {
        client = client.proxy(proxy);
    }
    // Nobody else is believed: an image without a system's authorities would not even have any.
    let believed = authority.map(Certificate::from_pem_bundle).transpose()?;
    client.tls_certs_only(believed.unwrap_or_default()).build()
}

impl Asker {
    /// Asks directly, or through an HTTP proxy: for an operator that runs where no pod can be reached. Changes nothing
    /// without the right to.
    pub fn new(proxy: Option<&str>, tenure: Tenure) -> Result<Self, reqwest::Error> {
        let proxy = proxy.map(Proxy::all).transpose()?;
        Ok(Self { client: client(proxy.clone(), None)?, proxy, tenure, key: None })
    }

    /// The same, who shows an API key, and believes whom a certificate of this authority (PEM) names.
    pub fn with(&self, key: Option<String>, authority: Option<&[u8]>) -> Result<Self, reqwest::Error> {
        let client = match authority {
            Some(authority) => client(self.proxy.clone(), Some(authority))?,
            None => self.client.clone(),
        };
        Ok(Self { client, key, ..self.clone() })
    }

    /// Reads JSON.
    pub async fn read<T: DeserializeOwned>(&self, to: &'static str, url: &str) -> Result<T, Error> {
        let text = self.text(to, url).await?;
        serde_json::from_str(&text).map_err(|error| unreadable(url, &error))
    }

    /// Reads a text.
    pub async fn text(&self, to: &'static str, url: &str) -> Result<String, Error> {
        self.ask(to, Method::GET, url, None).await
    }

    /// Changes something.
    pub async fn post(&self, to: &'static str, url: &str, body: Option<&Value>) -> Result<String, Error> {
        self.ask(to, Method::POST, url, body).await
    }

    /// Takes something away.
    pub async fn delete(&self, to: &'static str, url: &str) -> Result<String, Error> {
        self.ask(to, Method::DELETE, url, None).await
    }

    #[expect(clippy::disallowed_methods, reason = "the length of a call is measured")]
    async fn ask(&self, to: &'static str, method: Method, url: &str, body: Option<&Value>) -> Result<String, Error> {
        let begun = Instant::now();
        let answer = self.answer(method, url, body).await;
        let outcome = match &answer {
            Ok(_) => "ok",
            Err(Error::Silent { .. }) => "silent",
            Err(Error::Refused { .. }) => "refused",
            Err(Error::Unreadable { .. }) => "unreadable",
        };
        metrics::histogram!("ordermill_operator_call_seconds", "to" => to).record(begun.elapsed().as_secs_f64());
        metrics::counter!("ordermill_operator_calls_total", "to" => to, "outcome" => outcome).increment(1);
        answer
    }

    async fn answer(&self, method: Method, url: &str, body: Option<&Value>) -> Result<String, Error> {
        let silent = |error: reqwest::Error| {
            // What the library says of itself repeats the address; its source says what happened.
            let mut why: &dyn std::error::Error = &error;
            while let Some(source) = why.source() {
                why = source;
            }
            Error::Silent { url: url.to_owned(), why: why.to_string() }
        };
        if method != Method::GET {
            let lost = |lost: crate::tenure::Lost| Error::Silent { url: url.to_owned(), why: lost.to_string() };
            self.tenure.holds().await.map_err(lost)?;
        }
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        let mut response = request.send().await.map_err(silent)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > limits::ANSWER_BYTES {
                return Err(unreadable(url, &format!("longer than {} bytes", limits::ANSWER_BYTES)));
            }
        }
        let text = String::from_utf8(bytes).map_err(|error| unreadable(url, &error))?;
        if status.is_success() {
            return Ok(text);
        }
        Err(Error::Refused {
            url: url.to_owned(),
            status: status.as_u16(),
            body: text.trim().chars().take(500).collect(),
        })
    }
}

fn unreadable(url: &str, why: &impl ToString) -> Error {
    Error::Unreadable { url: url.to_owned(), why: why.to_string() }
}

impl Error {
    /// Whether what was asked for is not there.
    pub fn is_gone(&self) -> bool {
        let gone = [StatusCode::NOT_FOUND.as_u16(), StatusCode::GONE.as_u16()];
        matches!(self, Self::Refused { status, .. } if gone.contains(status))
    }
}
