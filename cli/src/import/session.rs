//! One import request: lines go out and answers come in at the same time.

use std::borrow::Cow;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use memchr::memchr;
use ordermill_api::{ImportStatus, ProblemKind};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::window::Window;
use super::{Error, Feed};
use crate::client::{self, Again, Client};

/// How long answers are waited for after being told to stop.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How often progress is shown and kept.
const TICK: Duration = Duration::from_millis(250);
/// The longest answer to one line.
const ANSWER_BYTES: usize = 16 << 20;

/// How a request ended.
#[derive(Debug)]
pub(super) enum End {
    /// Everything that was sent is answered.
    Answered,
    /// The server went away, or is busy: try again.
    Interrupted(Interruption),
    /// It was told to stop.
    Stopped,
}

/// Why a request was not answered to its end.
#[derive(Debug)]
pub(super) struct Interruption {
    /// Why, in words.
    pub(super) cause: String,
    /// What the reader can do about it.
    pub(super) advice: Option<String>,
    /// When the server wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

/// What of an answer is looked at when all is well.
#[derive(Debug, Deserialize)]
struct Head<'a> {
    line: u64,
    result: ImportStatus,
    #[serde(default, borrow)]
    problem: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    detail: Option<Cow<'a, str>>,
    #[serde(default)]
    unmatched: Option<u64>,
}

/// Sends what is in the window and what the feed still brings, and takes the answers. When nothing
/// has moved for `stall`, the request is ended; what is left is for the next one.
pub(super) async fn run(
    client: &Client,
    window: &mut Window,
    feed: &mut Feed,
    ledger: &mut Ledger,
    stall: Duration,
    stop: &CancellationToken,
) -> Result<End, Error> {
    let (body, lines) = mpsc::channel(1);
    let mut body = Some(body);
    let mut replies = pin!(client.import(body_of(lines)));
    let mut answers = Answers { base: window.rewind(), partial: Vec::new() };
    let begun_at = window.settled();
    let mut ticks = tokio::time::interval(TICK);
    let mut moved = Instant::now();
    let mut stopped_at = None;
    loop {
        if !window.has_unsent() && (!feed.open || stopped_at.is_some()) {
            body = None;
        }
        let may_send = body.is_some() && window.has_unsent();
        let may_read = body.is_some() && feed.open && window.has_room() && stopped_at.is_none();
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                ledger.tick(window)?;
                if stopped_at.is_some_and(|at: Instant| at.elapsed() > STOP_GRACE) {
                    return Ok(End::Stopped);
                }
                if body.is_some() && moved.elapsed() > stall {
                    body = None;
                } else if moved.elapsed() > client.timeout() + stall {
                    return Ok(End::Interrupted(Interruption::new("the server does not answer")));
                }
            }
            () = stop.cancelled(), if stopped_at.is_none() => {
                stopped_at = Some(Instant::now());
                body = None;
            }
            reply = replies.next() => match reply {
                Some(Ok(bytes)) => {
                    moved = Instant::now();
                    if let Some(interruption) = answers.take(&bytes, window, ledger)? {
                        return Ok(End::Interrupted(interruption));
                    }
                }
                Some(Err(error)) => return interrupted(error).map(End::Interrupted),
                None => {
                    let end = answers.end(begun_at, window, ledger)?;
                    return Ok(if stopped_at.is_some() { End::Stopped } else { end });
                }
            },
            room = room_in(body.clone()), if may_send => match room {
                Some(room) => {
                    moved = Instant::now();
                    if let Some(bytes) = window.send().filter(|bytes| !bytes.is_empty()) {
                        room.send(bytes);
                    }
                    ledger.release(window)?;
                }
                // The request has ended; the replies say why.
                None => body = None,
            },
            chunk = feed.next(), if may_read => if let Some(chunk) = chunk {
                window.push(chunk);
            },
        }
    }
}

fn body_of(lines: mpsc::Receiver<Bytes>) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    tokio_stream::wrappers::ReceiverStream::new(lines).map(Ok)
}

async fn room_in(body: Option<mpsc::Sender<Bytes>>) -> Option<mpsc::OwnedPermit<Bytes>> {
    body?.reserve_owned().await.ok()
}

/// Whether it is worth trying again: yes for everything that may pass by itself.
fn interrupted(error: client::Error) -> Result<Interruption, Error> {
    let passing = match (&error, error.again()) {
        (client::Error::Problem { problem, .. }, _) => problem.status == 429 || problem.status >= 500,
        (client::Error::Foreign { status, .. }, _) => *status == 429 || *status >= 500,
        (_, again) => again != Again::Never,
    };
    if !passing {
        return Err(error.into());
    }
    let retry_after = if let Again::Refused(wait) = error.again() { wait } else { None };
    // That whether it was carried out is not known needs no care here: lines may be sent twice.
    let advice = matches!(error.again(), Again::Unsent).then(|| error.advice()).flatten();
    Ok(Interruption { cause: error.to_string(), advice, retry_after })
}

impl Interruption {
    fn new(cause: impl Into<String>) -> Self {
        Self { cause: cause.into(), advice: None, retry_after: None }
    }
}

/// The answers to the lines of one request.
struct Answers {
    /// The number of the line before the request's first.
    base: u64,
    partial: Vec<u8>,
}

impl Answers {
    /// Takes bytes as they come, and every whole answer in them.
    fn take(&mut self, bytes: &[u8], window: &mut Window, ledger: &mut Ledger) -> Result<Option<Interruption>, Error> {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, next) = (&rest[..end], &rest[end + 1..]);
            rest = next;
            let interruption = if self.partial.is_empty() {
                self.answer(line, window, ledger)?
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.answer(&whole, window, ledger)?
            };
            if interruption.is_some() {
                return Ok(interruption);
            }
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > ANSWER_BYTES {
            return Err(Error::Protocol("an answer has no end".to_owned()));
        }
        Ok(None)
    }

    /// The server has ended the answers.
    fn end(&mut self, begun_at: u64, window: &mut Window, ledger: &mut Ledger) -> Result<End, Error> {
        if !self.partial.is_empty()
            && let Some(interruption) = self.take(b"\n", window, ledger)?
        {
            return Ok(End::Interrupted(interruption));
        }
        if window.sent_is_settled() && window.settled() > begun_at {
            return Ok(End::Answered);
        }
        let line = window.settled();
        Ok(End::Interrupted(Interruption::new(format!("the server's answers ended after line {line}"))))
    }

    fn answer(&self, text: &[u8], window: &mut Window, ledger: &mut Ledger) -> Result<Option<Interruption>, Error> {
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        let head: Head<'_> = serde_json::from_slice(text).map_err(|error| {
            Error::Protocol(format!("{error}: {}", String::from_utf8_lossy(&text[..text.len().min(200)])))
        })?;
        if head.result == ImportStatus::Refused && may_pass(head.problem.as_deref()) {
            let detail = head.detail.as_deref().unwrap_or("the server is busy");
            return Ok(Some(Interruption::new(detail)));
        }
        let line = self.base + head.line;
        if !window.awaits(line) || window.passes_over(line) {
            let expected = window.settled() + 1;
            return Err(Error::Protocol(format!("line {line} was answered when {expected} was next")));
        }
        ledger.answer(line, self.base, head.result, head.unmatched, text, window)?;
        ledger.settle(line, window)?;
        Ok(None)
    }
}

/// Whether a line was refused only for now.
fn may_pass(problem: Option<&str>) -> bool {
    let kind = problem.and_then(ProblemKind::from_uri);
    matches!(kind, Some(ProblemKind::TemporaryReducedCapacity | ProblemKind::Unavailable | ProblemKind::StorageFull))
}
