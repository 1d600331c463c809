//! A stand-in for a server's import that goes away, is busy or answers late, as it is told.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// What the server does with the next import request. Without instructions it answers everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Answers so many lines, then cuts the connection.
    CutAfter(usize),
    /// Answers so many lines, then ends the answers as if all were done.
    EndAfter(usize),
    /// Answers nothing before it has the whole request.
    HoldBack,
    /// Answers so many lines, then reads and says nothing more.
    FallSilentAfter(usize),
    /// 503 with Retry-After: 0.
    Busy,
    /// Answers line so-and-so as refused for now.
    BusyAtLine(u64),
    /// 401.
    Unauthorized,
    /// Leaves out the answer to line so-and-so.
    Forget(u64),
}

/// What the server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What to do with the next requests.
    pub(crate) next: VecDeque<Next>,
    /// References of all lines ever taken.
    pub(crate) references: HashSet<String>,
    /// Lines received, sent again ones included.
    pub(crate) lines: usize,
    /// Import requests received.
    pub(crate) requests: usize,
}

/// A running stand-in.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

type Body = BoxBody<Bytes, std::io::Error>;
type Answers = mpsc::Sender<std::io::Result<Frame<Bytes>>>;

impl Fake {
    /// Starts it; `next` are its instructions.
    pub(crate) async fn start(next: impl IntoIterator<Item = Next>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen { next: next.into_iter().collect(), ..Seen::default() }));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                let service = hyper::service::service_fn(move |request| {
                    std::future::ready(Ok::<_, std::io::Error>(serve(request, &shared)))
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { url, seen }
    }
}

fn serve(request: Request<Incoming>, seen: &Arc<Mutex<Seen>>) -> Response<Body> {
    assert_eq!(request.uri().path(), "/v1/orders/import");
    let next = {
        let mut seen = seen.lock().unwrap();
        seen.requests += 1;
        seen.next.pop_front()
    };
    if let Some((status, slug)) = match next {
        Some(Next::Busy) => Some((503, "temporary-reduced-capacity")),
        Some(Next::Unauthorized) => Some((401, "unauthorized")),
        _ => None,
    } {
        let problem = format!(
            r#"{{"type":"https://ordermill.io/errors/{slug}","title":"T","status":{status},"detail":"told to"}}"#
        );
        let body = http_body_util::Full::new(Bytes::from(problem)).map_err(|never| match never {}).boxed();
        return Response::builder().status(status).header("retry-after", "0").body(body).unwrap();
    }
    let (answers, receiver) = mpsc::channel(16);
    tokio::spawn(import(request.into_body(), answers, Arc::clone(seen), next));
    Response::new(StreamBody::new(stream_of(receiver)).boxed())
}

fn stream_of<T: Send + 'static>(receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> + Send + Sync {
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

async fn import(mut body: Incoming, answers: Answers, seen: Arc<Mutex<Seen>>, next: Option<Next>) {
    let mut buffer = BytesMut::new();
    let mut held = BytesMut::new();
    let (mut number, mut answered) = (0, 0);
    while let Some(Ok(frame)) = body.frame().await {
        buffer.extend_from_slice(frame.data_ref().unwrap());
        let mut out = BytesMut::new();
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line = buffer.split_to(end + 1);
            number += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            match next {
                Some(Next::CutAfter(count)) if answered == count => {
                    let _ = answers.send(Ok(Frame::data(out.freeze()))).await;
                    // The client is to see what was answered before it sees the cut.
                    tokio::task::yield_now().await;
                    let _ = answers.send(Err(std::io::Error::other("cut"))).await;
                    return;
                }
                Some(Next::EndAfter(count)) if answered == count => {
                    let _ = answers.send(Ok(Frame::data(out.freeze()))).await;
                    return;
                }
                Some(Next::FallSilentAfter(count)) if answered == count => {
                    let _ = answers.send(Ok(Frame::data(out.split().freeze()))).await;
                    while body.frame().await.is_some() {}
                    std::future::pending::<()>().await;
                }
                Some(Next::Forget(forgotten)) if number == forgotten => continue,
                _ => {}
            }
            answered += 1;
            out.extend_from_slice(answer(number, &line, &seen, next).as_bytes());
        }
        if next == Some(Next::HoldBack) {
            held.extend_from_slice(&out);
        } else if !out.is_empty() && answers.send(Ok(Frame::data(out.freeze()))).await.is_err() {
            return;
        }
    }
    let _ = answers.send(Ok(Frame::data(held.freeze()))).await;
}

/// What becomes of a line: `bad` references are refused.
fn answer(number: u64, line: &[u8], seen: &Mutex<Seen>, next: Option<Next>) -> String {
    let refused = |slug: &str, detail: &str| {
        format!(
            "{{\"line\":{number},\"result\":\"refused\",\"problem\":\"https://ordermill.io/errors/{slug}\",\"detail\":\"{detail}\"}}\n"
        )
    };
    if next == Some(Next::BusyAtLine(number)) {
        return refused("unavailable", "told to be busy");
    }
    let mut seen = seen.lock().unwrap();
    seen.lines += 1;
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(line) else {
        return refused("invalid-request", "not JSON");
    };
    let reference = value["reference"].as_str().unwrap_or_default().to_owned();
    if reference.contains("bad") {
        return refused("unknown-sku", "told to");
    }
    let result = if seen.references.insert(reference) { "created" } else { "duplicate" };
    format!("{{\"line\":{number},\"result\":\"{result}\",\"id\":\"x\"}}\n")
}
