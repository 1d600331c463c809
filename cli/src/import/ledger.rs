//! The books of an import: what was answered, what is kept of it, and what is shown.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ordermill_api::{ImportResult, ImportStatus, InvalidField};
use serde::Serialize;
use tokio::time::Instant;
use twox_hash::XxHash3_64;

use super::chunk::LocalRefusal;
use super::session::Interruption;
use super::state::{Counts, Identity, State};
use super::window::Window;
use super::{Config, Error, Layout};
use crate::output::{grouped, printable};
use crate::progress::{Meter, Rate};

/// How often the state is kept.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// The books of one import.
#[derive(Debug)]
pub struct Ledger {
    state: Option<(PathBuf, State)>,
    line: u64,
    counts: Counts,
    refused_here: u64,
    results: Option<Sidecar>,
    rejects: Option<Sidecar>,
    shown: usize,
    shown_max: usize,
    meter: Meter,
    rate: Rate,
    saved_at: Instant,
    waiting: Option<(Instant, String)>,
    local: Vec<LocalRefusal>,
}

/// A refused line, as it is kept.
#[derive(Debug, Default, Serialize)]
struct Reject<'a> {
    /// The line of what was sent; none when it was refused before.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// The row of a CSV file.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [InvalidField],
}

impl Ledger {
    /// Opens the books where the state says, or at the first line.
    pub fn open(server: &str, config: &Config, meter: Meter) -> Result<Self, Error> {
        let state = match &config.state {
            Some(path) => find_state(path, server, config, &meter)?,
            None => None,
        };
        let start = state.as_ref().map(|(_, state)| state.clone()).filter(|state| state.line > 0);
        let open = |path: &Option<PathBuf>, length: Option<u64>| {
            path.as_deref().map(|path| Sidecar::open(path, length)).transpose()
        };
        let results = open(&config.results, start.as_ref().map(|state| state.results_bytes))?;
        let rejects = open(&config.rejects, start.as_ref().map(|state| state.rejects_bytes))?;
        let (line, counts) = start.map_or_else(Default::default, |state| (state.line, state.counts));
        if line > 0 {
            meter.note(&format!("going on after line {}; --restart begins at the first", grouped(line)));
        }
        Ok(Self {
            state,
            line,
            counts,
            refused_here: 0,
            results,
            rejects,
            shown: 0,
            shown_max: config.shown_rejects,
            meter,
            rate: Rate::from(counts.lines()),
            saved_at: Instant::now(),
            waiting: None,
            local: Vec::new(),
        })
    }

    /// Every line up to this one has been answered.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// What the answers were.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Enters the answer `text` to `line`; the request began after line `base`.
    pub(super) fn answer(
        &mut self,
        line: u64,
        base: u64,
        result: ImportStatus,
        unmatched: Option<u64>,
        text: &[u8],
        window: &mut Window,
    ) -> Result<(), Error> {
        self.waiting = None;
        window.take_refusals(line, &mut self.local);
        self.enter_local()?;
        self.counts.unmatched += unmatched.unwrap_or(0);
        match result {
            ImportStatus::Created => self.counts.created += 1,
            ImportStatus::Duplicate => self.counts.duplicate += 1,
            ImportStatus::Refused => {
                self.counts.refused += 1;
                self.refused(line, text, window)?;
            }
        }
        let Some(results) = &mut self.results else { return Ok(()) };
        if base == 0 {
            return results.line(text);
        }
        let mut result = parsed(text)?;
        result.line = line;
        results.line(&serde_json::to_vec(&result).expect("a wire type is always JSON"))
    }

    /// `line` has been answered: lets go of what is done in the window.
    pub(super) fn settle(&mut self, line: u64, window: &mut Window) -> Result<(), Error> {
        window.settle(line, &mut self.local);
        self.line = window.settled();
        self.enter_local()
    }

    /// Lets go of what is done in the window after something was sent.
    pub(super) fn release(&mut self, window: &mut Window) -> Result<(), Error> {
        window.release(&mut self.local);
        self.line = window.settled();
        self.enter_local()
    }

    /// Lets go of what in the window gets no answer.
    pub(super) fn silent(&mut self, window: &mut Window) -> Result<(), Error> {
        window.skip_silent(&mut self.local);
        self.line = window.settled();
        self.enter_local()
    }

    /// Shows and keeps how far it has come.
    pub(super) fn tick(&mut self, window: &Window) -> Result<(), Error> {
        let (counts, refused) = (self.counts, self.counts.refused + self.refused_here);
        let rate = self.rate.at(counts.lines());
        let waiting = &self.waiting;
        self.meter.set(window.position(), || progress(counts, refused, rate, waiting.as_ref()));
        if self.saved_at.elapsed() >= SAVE_EVERY { self.save() } else { self.flush() }
    }

    /// The server is away.
    pub(super) fn waiting(&mut self, interruption: &Interruption) {
        if self.waiting.is_none() {
            self.meter.note(&format!("waiting for the server: {}", interruption.cause));
            if let Some(advice) = &interruption.advice {
                self.meter.note(&format!("  {advice}"));
            }
        }
        let since = self.waiting.take().map_or_else(Instant::now, |(since, _)| since);
        self.waiting = Some((since, interruption.cause.clone()));
        let (counts, refused) = (self.counts, self.counts.refused + self.refused_here);
        let waiting = &self.waiting;
        self.meter.message(|| progress(counts, refused, 0.0, waiting.as_ref()));
    }

    /// The import has ended before its end: keeps how far it has come.
    pub fn leave(&mut self) -> Result<(), Error> {
        self.meter.finish();
        self.save()
    }

    /// Everything is answered: nothing need be remembered.
    pub fn complete(&mut self) -> Result<(), Error> {
        self.meter.finish();
        self.flush()?;
        if let Some((path, _)) = self.state.take()
            && let Err(cause) = std::fs::remove_file(&path)
            && cause.kind() != io::ErrorKind::NotFound
        {
            return Err(Error::Output { path, cause });
        }
        Ok(())
    }

    fn save(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.saved_at = Instant::now();
        let Some((path, state)) = &mut self.state else { return Ok(()) };
        state.line = self.line;
        state.counts = self.counts;
        state.results_bytes = self.results.as_ref().map_or(0, |file| file.length);
        state.rejects_bytes = self.rejects.as_ref().map_or(0, |file| file.length);
        if let Err(cause) = state.save(path) {
            let path = path.display();
            self.meter.note(&format!("cannot keep progress in {path}: {cause}; name another place with --state"));
            self.state = None;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.results.iter_mut().chain(&mut self.rejects).try_for_each(Sidecar::flush)
    }

    fn refused(&mut self, line: u64, text: &[u8], window: &mut Window) -> Result<(), Error> {
        let result = parsed(text)?;
        let (input, row) = window.line(line).map_or((&b""[..], None), |(input, row)| (input, row));
        let reject = Reject {
            line: Some(line),
            row,
            reference: result.reference.as_deref(),
            problem: result.problem.as_deref(),
            detail: result.detail.as_deref().unwrap_or("refused"),
            errors: &result.errors,
        };
        if let Some(rejects) = &mut self.rejects {
            rejects.line(&reject.with_input(input))?;
        }
        self.show(&reject);
        Ok(())
    }

    fn enter_local(&mut self) -> Result<(), Error> {
        if self.local.is_empty() {
            return Ok(());
        }
        for refusal in std::mem::take(&mut self.local) {
            self.refused_here += 1;
            let (row, reference) = (Some(refusal.row), refusal.reference.as_deref());
            let reject = Reject { row, reference, detail: &refusal.reason, ..Reject::default() };
            if let Some(rejects) = &mut self.rejects {
                rejects.line(&reject.with_input(b""))?;
            }
            self.show(&reject);
        }
        Ok(())
    }

    fn show(&mut self, reject: &Reject<'_>) {
        if self.shown < self.shown_max {
            self.meter.note(&reject.text());
        } else if self.shown == self.shown_max {
            let hint = if self.rejects.is_some() { "--rejects has them all" } else { "--rejects FILE keeps them all" };
            self.meter.note(&format!("further refused lines are not shown; {hint}"));
        }
        self.shown += 1;
    }
}

impl Reject<'_> {
    /// As a line of JSON that ends with what was sent, as JSON where it is that, else as text.
    fn with_input(&self, input: &[u8]) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("text and numbers are always JSON");
        if !input.is_empty() {
            line.pop();
            line.extend_from_slice(b",\"input\":");
            if serde_json::from_slice::<serde::de::IgnoredAny>(input).is_ok() {
                line.extend_from_slice(input.trim_ascii());
            } else {
                let text = serde_json::to_vec(&String::from_utf8_lossy(input)).expect("text is always JSON");
                line.extend_from_slice(&text);
            }
            line.push(b'}');
        }
        line
    }

    /// As people read it.
    fn text(&self) -> String {
        let mut text = String::from("refused");
        for (name, number) in [("line", self.line), ("row", self.row)] {
            if let Some(number) = number {
                let _ = write!(text, " {name} {number}");
            }
        }
        if let Some(reference) = self.reference {
            let _ = write!(text, " ({})", printable(reference));
        }
        let _ = write!(text, ": {}", self.detail);
        for field in self.errors {
            let said = format!("{}: {}", field.field, field.reason);
            if said != self.detail {
                let _ = write!(text, "; {said}");
            }
        }
        text
    }
}

fn parsed(text: &[u8]) -> Result<ImportResult, Error> {
    serde_json::from_slice(text).map_err(|error| Error::Protocol(error.to_string()))
}

/// The state at `path` if it is of this import, or a new one; none when the input cannot be told
/// from another.
fn find_state(path: &Path, server: &str, config: &Config, meter: &Meter) -> Result<Option<(PathBuf, State)>, Error> {
    let Some(input) = config.input.fingerprint().map_err(|error| super::InputError::Io(error).of(&config.input))?
    else {
        return Ok(None);
    };
    let mapping = match &config.layout {
        Layout::Ndjson => None,
        Layout::Csv(options) => {
            let text = serde_json::to_vec(options).expect("options are always JSON");
            Some(format!("{:016x}", XxHash3_64::oneshot(&text)))
        }
    };
    let identity = Identity::new(server, input, mapping);
    let kept = State::load(path).map_err(|cause| Error::Output { path: path.to_owned(), cause })?;
    let state = match kept {
        Some(state) if config.restart || state.identity != identity => {
            if !config.restart && state.line > 0 {
                meter.note("the file, the mapping or the server has changed since: beginning at the first line");
            }
            State::new(identity)
        }
        Some(state) => state,
        None => State::new(identity),
    };
    Ok(Some((path.to_owned(), state)))
}

fn progress(counts: Counts, refused: u64, rate: f64, waiting: Option<&(Instant, String)>) -> String {
    let mut text = format!("{} created", grouped(counts.created));
    for (count, what) in [(counts.duplicate, "duplicate"), (refused, "refused")] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", grouped(count));
        }
    }
    match waiting {
        Some((since, cause)) => {
            let cause = cause.lines().next().unwrap_or_default();
            let _ = write!(text, ", waiting for the server for {} s ({cause})", since.elapsed().as_secs());
        }
        None => _ = write!(text, ", {}/s", grouped(rate as u64)),
    }
    text
}

/// A file of lines beside the input.
struct Sidecar {
    path: PathBuf,
    out: Box<dyn Write + Send>,
    length: u64,
}

impl std::fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sidecar").field("path", &self.path).field("length", &self.length).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// Opens `path` and goes on at `length`, or begins it anew. `-` is standard output.
    fn open(path: &Path, length: Option<u64>) -> Result<Self, Error> {
        let failed = |cause| Error::Output { path: path.to_owned(), cause };
        if path.as_os_str() == "-" {
            return Ok(Self { path: path.to_owned(), out: Box::new(BufWriter::new(io::stdout())), length: 0 });
        }
        let length = length.unwrap_or(0);
        let file = continued(path, length).map_err(failed)?;
        Ok(Self { path: path.to_owned(), out: Box::new(BufWriter::with_capacity(64 << 10, file)), length })
    }

    fn line(&mut self, text: &[u8]) -> Result<(), Error> {
        self.length += text.len() as u64 + 1;
        let written = self.out.write_all(text).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|cause| Error::Output { path: self.path.clone(), cause })
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(|cause| Error::Output { path: self.path.clone(), cause })
    }
}

/// `path` cut off at `length`, to be written on from there.
fn continued(path: &Path, length: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    file.set_len(length)?;
    file.seek(io::SeekFrom::Start(length))?;
    Ok(file)
}
