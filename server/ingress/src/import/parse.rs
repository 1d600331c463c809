//! Turns a chunk of lines into commands, and remembers what each line was.

use std::sync::Arc;

use bytes::Bytes;
use ordermill_api::ProblemKind;
use ordermill_order::{Action, Command};
use ordermill_station::limits;

use super::split::Chunk;
use crate::body::parse;
use crate::convert::import_action;
use crate::problem::Failure;
use crate::wire;

/// A line that has a result.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    pub(super) reference: Reference,
    /// Why it is refused without having been submitted.
    pub(super) refused: Option<Failure>,
}

/// A line's reference, without a copy where the chunk has it as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reference {
    Unknown,
    At { start: u32, length: u32 },
    Own(Box<str>),
}

/// Commands that may be submitted together.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) commands: Vec<Command>,
    pub(super) credits: bool,
}

/// A chunk that has been understood.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) bytes: Bytes,
    pub(super) lines: Vec<Line>,
    /// Orders and credits in turn, in the order of their lines.
    pub(super) runs: Vec<Run>,
}

impl Parsed {
    /// Whether lines depend on what came before them being settled.
    pub(super) fn has_credits(&self) -> bool {
        self.runs.iter().any(|run| run.credits)
    }

    /// A reference as it was sent.
    pub(super) fn reference<'a>(&'a self, reference: &'a Reference) -> Option<&'a str> {
        match reference {
            Reference::Unknown => None,
            Reference::At { start, length } => {
                let start = *start as usize;
                std::str::from_utf8(self.bytes.get(start..start + *length as usize)?).ok()
            }
            Reference::Own(text) => Some(text),
        }
    }
}

/// Understands the lines of a chunk.
pub(super) fn lines(tenant: &Arc<str>, chunk: Chunk) -> Parsed {
    let mut parsed =
        Parsed { lines: Vec::with_capacity(limits::IMPORT_CHUNK_LINES), runs: Vec::new(), bytes: chunk.bytes };
    let bytes = parsed.bytes.clone();
    let (mut number, mut start) = (chunk.first_line, 0);
    for end in memchr::memchr_iter(b'\n', &bytes).chain((bytes.last() != Some(&b'\n')).then_some(bytes.len())) {
        one(tenant, number, &bytes, start..end, &mut parsed);
        (number, start) = (number + 1, end + 1);
    }
    if chunk.then_too_long {
        let detail = format!("a line may have {} bytes", limits::IMPORT_LINE_BYTES);
        let refused = Some(Failure::new(ProblemKind::TooLarge, detail));
        parsed.lines.push(Line { number: chunk.first_line, reference: Reference::Unknown, refused });
    }
    parsed
}

fn one(tenant: &Arc<str>, number: u64, bytes: &Bytes, range: std::ops::Range<usize>, parsed: &mut Parsed) {
    let line = &bytes[range];
    if line.trim_ascii().is_empty() {
        return;
    }
    let wire = match parse::<wire::ImportLine<'_>>(line) {
        Ok(wire) => wire,
        Err(failure) => {
            let reference = reference_of(line);
            return parsed.lines.push(Line { number, reference, refused: Some(failure) });
        }
    };
    let reference = match &wire.reference.0 {
        std::borrow::Cow::Borrowed(text) => {
            let start = text.as_ptr().addr() - bytes.as_ptr().addr();
            Reference::At { start: start as u32, length: text.len() as u32 }
        }
        std::borrow::Cow::Owned(text) => Reference::Own(text.as_str().into()),
    };
    let action = match import_action(tenant, wire) {
        Ok(action) => action,
        Err(failure) => return parsed.lines.push(Line { number, reference, refused: Some(failure) }),
    };
    parsed.lines.push(Line { number, reference, refused: None });
    let credits = matches!(action, Action::Credit(_));
    let command = Command { tenant: Arc::clone(tenant), idempotency: None, action };
    match parsed.runs.last_mut() {
        Some(run) if run.credits == credits => run.commands.push(command),
        _ => {
            let mut commands = Vec::with_capacity(if credits { 16 } else { limits::IMPORT_CHUNK_LINES });
            commands.push(command);
            parsed.runs.push(Run { commands, credits });
        }
    }
}

/// The reference of a line that does not fit otherwise, where it can be read.
#[cold]
fn reference_of(line: &[u8]) -> Reference {
    let text = serde_json::from_slice::<serde_json::Value>(line).ok();
    let text = text.as_ref().and_then(|value| value.get("reference")?.as_str());
    text.filter(|text| text.len() <= limits::IDENTIFIER_BYTES)
        .map_or(Reference::Unknown, |text| Reference::Own(text.into()))
}
