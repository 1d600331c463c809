//! The bulk import: a file of orders streamed to the server while its answers stream back.
//!
//! The way of a line: [`input`] reads it, [`ndjson`] or [`csv`] makes it part of a chunk, the
//! [`window`] keeps the chunk until it is answered, [`session`] sends it and takes the answers, and
//! the [`ledger`] counts them. Memory does not grow with the file. Whatever was not answered when a
//! connection or this program ended is sent again; the lines' references make that harmless.

pub mod chunk;
pub mod csv;
pub mod input;
pub mod ledger;
pub mod ndjson;
mod session;
pub mod state;
pub mod window;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Client};
use crate::progress::Meter;
use chunk::Chunk;
use input::Input;
use ledger::Ledger;
use state::Counts;
use window::Window;

/// How many chunks are made ahead of the window.
const CHUNKS_AHEAD: usize = 4;
/// The first wait before the server is tried again; doubles each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest wait before the server is tried again, unless it asks for more.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// How long nothing may move in a request before it is ended; well below the time after which a
/// server leaves a request that sends nothing.
pub const STALL: Duration = Duration::from_secs(5);

/// What is imported, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// What is imported.
    pub input: Input,
    /// How it is written.
    pub layout: Layout,
    /// Keeps the answers, NDJSON.
    pub results: Option<PathBuf>,
    /// Keeps refused lines with the reasons, NDJSON.
    pub rejects: Option<PathBuf>,
    /// Remembers how far it has come; none: begins at the first line, always.
    pub state: Option<PathBuf>,
    /// Begins at the first line even if a state says otherwise.
    pub restart: bool,
    /// How long the server may be away before the import gives up.
    pub retry_for: Duration,
    /// A request in which nothing moves for so long is ended: the input may be slow, or something
    /// in between may hold the lines back until it has them all. [`STALL`] unless a test says otherwise.
    pub stall: Duration,
    /// How many refused lines are shown.
    pub shown_rejects: usize,
}

/// How an input is written.
#[derive(Clone, Debug)]
pub enum Layout {
    /// A line of JSON per order.
    Ndjson,
    /// Rows of a table.
    Csv(Box<csv::Options>),
}

/// How an import ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What the answers were, those before a restart included.
    pub counts: Counts,
    /// What became of the rows of a CSV file. None when it was not read to its end.
    pub report: Option<csv::Report>,
    /// The line that an earlier run had come to.
    pub resumed_from: u64,
    /// Answers that earlier runs had.
    pub lines_before: u64,
    /// It was told to stop before the end.
    pub stopped: bool,
    /// How long this run took.
    pub took: Duration,
}

impl Outcome {
    /// Lines that were refused, here or by the server.
    pub fn refused(&self) -> u64 {
        self.counts.refused + self.report.as_ref().map_or(0, |report| report.refused)
    }
}

/// Why an import ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A file beside the input cannot be written.
    #[error("cannot write {}: {cause}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The server refused the import as a whole.
    #[error(transparent)]
    Server(#[from] client::Error),
    /// The server did not come back in time.
    #[error("gave up after {} s without an answer; the last cause: {cause}", after.as_secs())]
    GaveUp {
        /// How long it was waited for.
        after: Duration,
        /// What happened last.
        cause: String,
    },
    /// The answers do not fit the lines.
    #[error("the server's answers do not fit the lines: {0}")]
    Protocol(String),
}

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The file system said no.
    #[error("cannot read the input: {0}")]
    Io(#[from] io::Error),
    /// A file cannot be read.
    #[error("cannot read {name}: {cause}")]
    File {
        /// The file, or standard input.
        name: String,
        /// Why.
        cause: io::Error,
    },
    /// It is no CSV.
    #[error("cannot read the CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// A line is longer than any server takes.
    #[error("line {line} is longer than 1 MiB: is this NDJSON, one order per line?")]
    LineTooLong {
        /// Its number.
        line: u64,
    },
    /// A field is needed and not mapped.
    #[error("no column is mapped to {field}: add {field}=COLUMN to --map; the file has {head}")]
    Unmapped {
        /// The field.
        field: &'static str,
        /// The file's columns.
        head: String,
    },
    /// A mapped column is not there.
    #[error("there is no column {column:?}; the file has {head}")]
    NoColumn {
        /// The column.
        column: String,
        /// The file's columns.
        head: String,
    },
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Nobody listens any more.
    Stop,
}

/// Takes chunks as they are made.
pub type Emit<'e> = dyn FnMut(Chunk) -> Flow + 'e;

/// Reads `input` from its beginning to its end and hands on the lines after `skip`. The report is
/// that of a CSV file.
pub fn produce(
    input: &Input,
    layout: &Layout,
    skip: u64,
    emit: &mut Emit<'_>,
) -> Result<Option<csv::Report>, InputError> {
    let report = input.open().map_err(InputError::Io).and_then(|source| match layout {
        Layout::Ndjson => ndjson::produce(source, skip, emit).map(|()| None),
        Layout::Csv(options) => csv::produce(source, options, skip, emit).map(Some),
    });
    report.map_err(|error| error.of(input))
}

impl InputError {
    /// The same, naming the input that it is of.
    pub fn of(self, input: &Input) -> Self {
        let cause = match self {
            Self::Io(cause) => cause,
            Self::Csv(error) if error.is_io_error() => match error.into_kind() {
                ::csv::ErrorKind::Io(cause) => cause,
                kind => io::Error::other(format!("{kind:?}")),
            },
            other => return other,
        };
        Self::File { name: input.name(), cause }
    }
}

/// Imports what `config` says through `client`, until the end, an error, or `stop`.
pub async fn run(client: &Client, config: Config, meter: Meter, stop: &CancellationToken) -> Result<Outcome, Error> {
    let started = Instant::now();
    let mut ledger = Ledger::open(client.server(), &config, meter)?;
    let (resumed_from, lines_before) = (ledger.line(), ledger.counts().lines());
    let mut feed = Feed::start(config.input.clone(), config.layout.clone(), resumed_from);
    let end = carry(client, &config, &mut ledger, &mut feed, stop).await;
    let stopped = match end {
        Ok(stopped) => stopped,
        Err(error) => {
            ledger.leave()?;
            return Err(error);
        }
    };
    let report = if stopped { None } else { feed.outcome().await.inspect_err(|_| _ = ledger.leave())? };
    if stopped {
        ledger.leave()?;
    } else {
        ledger.complete()?;
    }
    Ok(Outcome { counts: ledger.counts(), report, resumed_from, lines_before, stopped, took: started.elapsed() })
}

/// Sends request after request until everything is answered; says whether it was told to stop.
async fn carry(
    client: &Client,
    config: &Config,
    ledger: &mut Ledger,
    feed: &mut Feed,
    stop: &CancellationToken,
) -> Result<bool, Error> {
    let mut window = Window::after(ledger.line());
    let mut patience = Patience::new(config.retry_for);
    loop {
        ledger.silent(&mut window)?;
        if window.is_empty() {
            let chunk = tokio::select! {
                chunk = feed.next() => chunk,
                () = stop.cancelled() => return Ok(true),
            };
            match chunk {
                Some(chunk) => window.push(chunk),
                None => return Ok(false),
            }
            continue;
        }
        let before = window.settled();
        let end = session::run(client, &mut window, feed, ledger, config.stall, stop).await?;
        if window.settled() > before {
            patience.renew();
        }
        match end {
            session::End::Answered => {}
            session::End::Stopped => return Ok(true),
            session::End::Interrupted(interruption) => {
                let wait = patience.next(&interruption)?;
                ledger.waiting(&interruption);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => return Ok(true),
                }
            }
        }
    }
}

/// How long the server is waited for.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    since: Option<Instant>,
    wait: Duration,
}

impl Patience {
    fn new(limit: Duration) -> Self {
        Self { limit, since: None, wait: BACKOFF_FIRST }
    }

    fn renew(&mut self) {
        (self.since, self.wait) = (None, BACKOFF_FIRST);
    }

    /// How long to wait now; an error when it has been too long.
    fn next(&mut self, interruption: &session::Interruption) -> Result<Duration, Error> {
        let since = *self.since.get_or_insert_with(Instant::now);
        let left = self.limit.saturating_sub(since.elapsed());
        if left.is_zero() {
            return Err(Error::GaveUp { after: self.limit, cause: interruption.cause.clone() });
        }
        let wait = self.wait.max(interruption.retry_after.unwrap_or_default()).min(left);
        self.wait = (self.wait * 2).min(BACKOFF_MAX);
        Ok(wait)
    }
}

/// The chunks of an input, made by a thread of its own.
#[derive(Debug)]
struct Feed {
    chunks: mpsc::Receiver<Chunk>,
    end: Option<oneshot::Receiver<Result<Option<csv::Report>, InputError>>>,
    open: bool,
}

impl Feed {
    /// Begins to read. The thread ends with the input, or when nobody takes its chunks any more; one
    /// that waits for standard input ends with the process.
    fn start(input: Input, layout: Layout, skip: u64) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let (done, end) = oneshot::channel();
        std::thread::spawn(move || {
            let mut emit = |chunk| match sender.blocking_send(chunk) {
                Ok(()) => Flow::Continue,
                Err(_) => Flow::Stop,
            };
            let outcome = produce(&input, &layout, skip, &mut emit);
            let _ = done.send(outcome);
        });
        Self { chunks, end: Some(end), open: true }
    }

    /// The next chunk; none at the end.
    async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.chunks.recv().await;
        self.open = chunk.is_some();
        chunk
    }

    /// How reading ended; call it after the last chunk.
    async fn outcome(&mut self) -> Result<Option<csv::Report>, InputError> {
        match self.end.take() {
            Some(end) => end.await.unwrap_or_else(|_| Err(io::Error::other("the reading thread stopped").into())),
            None => Ok(None),
        }
    }
}
