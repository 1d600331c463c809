//! Bulk import: NDJSON in, NDJSON out as it goes, one result per line, in the order of the lines.
//!
//! ```text
//! body -> Splitter -> chunk -> parse (own task) -> Router::import -> results -> answer
//! ```
//!
//! Several chunks are under way at once: while the shards work on one, the next is parsed and the
//! one after it is read. They are submitted in their order and answered in their order. Whatever
//! is slow holds the rest back, so an import takes the same memory however long it is. There is
//! no timer: a chunk is cut as soon as there is room for it and nothing more to read at once.

mod parse;
mod results;
mod split;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Frame;
use ordermill_api as api;
use ordermill_routing::Router;
use ordermill_station::limits;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;

use self::parse::{Parsed, Run};
use self::split::{Bounds, Splitter};
use crate::app::stopped;
use crate::body::{broken, check_type};
use crate::call::Call;
use crate::openapi::refusals;
use crate::problem::Failure;
use crate::query::Query;

/// Pieces of the answer that wait for the client.
const PIECES_WAITING: usize = 2;

/// Why an answer ends before its end; the client sees that it is not whole.
type Cut = std::io::Error;

/// Import many orders
///
/// One order or credit per line (NDJSON), without a limit on their number; one result per line, in the
/// order of the lines, as it goes. Every line has a reference, so the same stream can be sent again at any
/// later time: what was there already is a `duplicate` and changes nothing. A line that does not fit is
/// `refused`, and the stream goes on. Read the results while you send: a client that does not is held back.
#[utoipa::path(
        post,
        path = "/v1/orders/import",
        operation_id = "importOrders",
        tag = "Orders",
        request_body(content = api::ImportLine, content_type = "application/x-ndjson", description = "One line each"),
        responses(
            (status = 200, description = "One result per line", body = api::ImportResult, content_type = "application/x-ndjson"),
            refusals::Imports,
        ),
)]
pub(crate) async fn import(call: Call, request: Request<Body>) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    Query::of(&head.uri).check()?;
    check_content(&head.headers)?;
    let (out, pieces) = mpsc::channel(PIECES_WAITING);
    tokio::spawn(Import::new(call, body, out).run());
    let mut response = Body::from_stream(ReceiverStream::new(pieces)).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn check_content(headers: &HeaderMap) -> Result<(), Failure> {
    const ACCEPTED: [&str; 6] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/octet-stream",
        "text/plain",
    ];
    check_type(headers, |kind| kind == "application/json" || ACCEPTED.contains(&kind))
}

/// An import under way.
struct Import {
    call: Call,
    body: Body,
    out: mpsc::Sender<Result<Bytes, Cut>>,
    splitter: Splitter,
    /// No more will be read.
    ended: bool,
    /// Why the stream ended before its end.
    cut: Option<Cut>,
    /// When the body counts as stuck.
    idle_at: Instant,
    parsing: VecDeque<JoinHandle<Parsed>>,
    /// The next chunk to be submitted.
    next: Option<Parsed>,
    submitted: FuturesOrdered<BoxFuture<'static, Bytes>>,
    /// What is submitted has credits: whatever follows waits for it.
    barrier: bool,
}

impl Import {
    fn new(call: Call, body: Body, out: mpsc::Sender<Result<Bytes, Cut>>) -> Self {
        let bounds = Bounds {
            chunk_lines: limits::IMPORT_CHUNK_LINES,
            chunk_bytes: limits::IMPORT_CHUNK_BYTES,
            line_bytes: limits::IMPORT_LINE_BYTES,
        };
        let idle_at = Instant::now() + call.app.config.body_idle;
        Self {
            call,
            body,
            out,
            splitter: Splitter::new(bounds),
            ended: false,
            cut: None,
            idle_at,
            parsing: VecDeque::new(),
            next: None,
            submitted: FuturesOrdered::new(),
            barrier: false,
        }
    }

    fn under_way(&self) -> usize {
        self.parsing.len() + usize::from(self.next.is_some()) + self.submitted.len()
    }

    /// Runs until everything that was read has its result, or the client is gone.
    async fn run(mut self) {
        let mut stopping = self.call.app.stopping.clone();
        loop {
            self.fill();
            self.start_parsing();
            self.submit();
            if self.ended && self.under_way() == 0 {
                break;
            }
            let may_read = !self.ended && self.splitter.wants_more();
            tokio::select! {
                biased;
                () = self.out.closed() => return,
                Some(piece) = self.submitted.next(), if !self.submitted.is_empty() => {
                    if !piece.is_empty() && self.out.send(Ok(piece)).await.is_err() {
                        return;
                    }
                    self.idle_at = Instant::now() + self.call.app.config.body_idle;
                }
                parsed = next_parsed(&mut self.parsing), if self.next.is_none() && !self.parsing.is_empty() => {
                    match parsed {
                        Some(parsed) => self.next = Some(parsed),
                        None => return self.fail("a chunk could not be parsed: this is a bug").await,
                    }
                }
                frame = self.body.frame(), if may_read => self.take(frame),
                () = sleep_until(self.idle_at), if may_read && self.under_way() == 0 => {
                    self.end("the body did not arrive in time");
                }
                () = stopped(&mut stopping), if !self.ended => {
                    self.end("the server is about to stop");
                }
            }
        }
        if let Some(cut) = self.cut.take() {
            let _ = self.out.send(Err(cut)).await;
        }
    }

    /// Reads what is there without waiting, so that chunks become as large as they may.
    fn fill(&mut self) {
        while !self.ended && self.splitter.wants_more() {
            match self.body.frame().now_or_never() {
                Some(frame) => self.take(frame),
                None => return,
            }
        }
    }

    fn take(&mut self, frame: Option<Result<Frame<Bytes>, axum::Error>>) {
        self.idle_at = Instant::now() + self.call.app.config.body_idle;
        match frame {
            None => self.ended = true,
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    self.splitter.push(data);
                }
            }
            Some(Err(error)) => self.end(&broken(&error).problem().detail),
        }
    }

    /// Reads no further. What came before is answered; a line that broke off is forgotten.
    fn end(&mut self, why: &str) {
        self.ended = true;
        self.cut = Some(Cut::other(why.to_owned()));
    }

    fn start_parsing(&mut self) {
        while self.under_way() < limits::IMPORT_CHUNKS_IN_FLIGHT {
            let Some(chunk) = self.splitter.cut(self.ended && self.cut.is_none()) else { return };
            let tenant = Arc::clone(&self.call.tenant);
            self.parsing.push_back(tokio::task::spawn_blocking(move || parse::lines(&tenant, chunk)));
        }
    }

    /// Submits the next chunk, if what it depends on is done.
    fn submit(&mut self) {
        let waits = |next: &Parsed| self.barrier || next.has_credits();
        if self.next.as_ref().is_none_or(|next| waits(next) && !self.submitted.is_empty()) {
            return;
        }
        if let Some(parsed) = self.next.take() {
            self.barrier = parsed.has_credits();
            self.submitted.push_back(settled(self.call.router().clone(), parsed).boxed());
        }
    }

    async fn fail(self, why: &'static str) {
        tracing::error!("{why}");
        let _ = self.out.send(Err(Cut::other(why))).await;
    }
}

/// The chunk that was first to be parsed; `None` if that has failed.
async fn next_parsed(parsing: &mut VecDeque<JoinHandle<Parsed>>) -> Option<Parsed> {
    let parsed = parsing.front_mut()?.await;
    parsing.pop_front();
    parsed.ok()
}

/// Submits a chunk and waits for its results. Credits depend on the orders before them, and what
/// follows depends on the credits: each run is settled before the next one begins.
async fn settled(router: Router, mut parsed: Parsed) -> Bytes {
    let mut outcomes = Vec::new();
    for Run { commands, .. } in std::mem::take(&mut parsed.runs) {
        let settled = router.import(commands).await;
        if outcomes.is_empty() {
            outcomes = settled;
        } else {
            outcomes.extend(settled);
        }
    }
    results::write(&parsed, outcomes)
}
