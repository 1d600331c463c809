//! A stand-in before a server that hands on its pages with something changed in them, to see
//! whether anybody notices.

use std::sync::Arc;

use reqwest::Method;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Http;

/// What is changed in an answer: the path and query that was asked for, and the body.
type Forgery = dyn Fn(&str, &mut Value) + Send + Sync;

/// A forger at work, for as long as it is kept. It knows GET only.
#[derive(Debug)]
pub struct Forger {
    url: String,
    accepting: JoinHandle<()>,
}

impl Forger {
    /// Stands before the server of `http` and does `forge` to every answer.
    pub async fn before(http: &Http, forge: impl Fn(&str, &mut Value) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let (http, forge): (Http, Arc<Forgery>) = (http.clone(), Arc::new(forge));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(answer(client, http.clone(), Arc::clone(&forge)));
            }
        });
        Self { url, accepting }
    }

    /// Where clients find it.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Forger {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers one request, which has no body; nothing when the client has gone away.
async fn answer(mut client: TcpStream, http: Http, forge: Arc<Forgery>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        client.read_buf(&mut head).await.ok().filter(|count| *count > 0)?;
    }
    let head = String::from_utf8(head).expect("a head is text");
    let path = head.strip_prefix("GET ").and_then(|rest| rest.split(' ').next());
    let path = path.unwrap_or_else(|| panic!("only reads come this way: {head}"));
    let answer = http.send(http.request(Method::GET, path)).await.expect("the server answers");
    let mut body: Value = answer.json();
    forge(path, &mut body);
    let (status, body) = (answer.status, body.to_string());
    let head = format!(
        "HTTP/1.1 {status} Forged\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await.ok()
}
