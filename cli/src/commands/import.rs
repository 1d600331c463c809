//! The import, and what it would send.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Context, Done, Failure};
use crate::args::{CsvArgs, ImportArgs};
use crate::import::chunk::{Chunk, LocalRefusal};
use crate::import::input::Input;
use crate::import::state::{Counts, default_path};
use crate::import::{Config, Flow, Outcome, STALL, csv, produce, run as import};
use crate::output::{Format, columns, grouped, printable};
use crate::progress::{Meter, stderr};

pub(super) async fn run(context: &mut Context, args: ImportArgs) -> Result<Done, Failure> {
    if args.dry_run_map {
        return convert(context, &args.file, &args.csv, args.show_rejects);
    }
    let layout = args.csv.layout(&args.file).map_err(Failure::Usage)?;
    let input = args.input();
    let state = match &input {
        Input::File(path) => Some(args.state.unwrap_or_else(|| default_path(path))),
        Input::Stdin => None,
    };
    let results_on_stdout = args.results.as_deref().is_some_and(|path| path.as_os_str() == "-");
    let meter = Meter::new(input.size(), context.quiet);
    let config = Config {
        input,
        layout,
        results: args.results,
        rejects: args.rejects,
        state: state.clone(),
        restart: args.restart,
        retry_for: args.retry_for,
        stall: STALL,
        shown_rejects: args.show_rejects,
    };
    let outcome = import(&context.client, config, meter, &stop_on_signal()).await?;
    summary(context, &outcome, results_on_stdout)?;
    if outcome.stopped {
        say_how_to_go_on(state.is_some());
        return Ok(Done::Interrupted);
    }
    Ok(if outcome.refused() > 0 { Done::SomeRefused } else { Done::Well })
}

/// Prints what an import would send, and what became of the rows.
pub(super) fn convert(context: &mut Context, file: &Path, args: &CsvArgs, shown: usize) -> Result<Done, Failure> {
    let layout = args.layout(file).map_err(Failure::Usage)?;
    let mut written: io::Result<()> = Ok(());
    let mut refused = 0;
    let out = &mut context.out;
    let mut emit = |chunk: Chunk| {
        for refusal in &chunk.refusals {
            if refused < shown {
                stderr(&refusal_text(refusal));
            }
            refused += 1;
        }
        written = out.bytes(&chunk.bytes);
        if written.is_ok() { Flow::Continue } else { Flow::Stop }
    };
    let report = produce(&Input::from_arg(file), &layout, 0, &mut emit)?;
    written?;
    context.out.flush()?;
    if let Some(report) = report {
        context.note(&report.table());
    }
    Ok(if refused > 0 { Done::SomeRefused } else { Done::Well })
}

fn refusal_text(refusal: &LocalRefusal) -> String {
    let reference = refusal.reference.as_deref().map(|text| format!(" ({})", printable(text))).unwrap_or_default();
    format!("refused row {}{reference}: {}", refusal.row, refusal.reason)
}

/// A token that an interrupt or a termination cancels; a second one ends the program at once.
fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancel = stop.clone();
    tokio::spawn(async move {
        interrupted().await;
        cancel.cancel();
        interrupted().await;
        std::process::exit(i32::from(Done::Interrupted.code()));
    });
    stop
}

async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(flatten)]
    counts: Counts,
    /// Refused before they were sent.
    refused_here: u64,
    complete: bool,
    resumed_from: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    csv: Option<&'a csv::Report>,
}

fn summary(context: &mut Context, outcome: &Outcome, to_stderr: bool) -> Result<(), Failure> {
    let report = outcome.report.as_ref();
    if context.out.format == Format::Json && !to_stderr {
        let summary = Summary {
            counts: outcome.counts,
            refused_here: report.map_or(0, |report| report.refused),
            complete: !outcome.stopped,
            resumed_from: outcome.resumed_from,
            seconds: outcome.took.as_secs_f64(),
            csv: report,
        };
        context.out.text(&json!(summary).to_string())?;
        return Ok(());
    }
    let text = summary_text(outcome);
    if to_stderr {
        context.note(&text);
    } else {
        context.out.text(&text)?;
    }
    Ok(())
}

fn summary_text(outcome: &Outcome) -> String {
    let counts = outcome.counts;
    let seconds = outcome.took.as_secs_f64();
    let mut rows = vec![("created", counts.created), ("duplicate", counts.duplicate), ("refused", outcome.refused())];
    if counts.unmatched > 0 {
        rows.push(("units of credits without an order", counts.unmatched));
    }
    let row = |(name, count): &(&str, u64)| vec![(*name).to_owned(), grouped(*count)];
    let mut text = match &outcome.report {
        Some(report) => format!("{}\n\n", report.table()),
        None => String::new(),
    };
    text.push_str(&columns(&["answer", "count"], rows.iter().map(row)));
    let lines = counts.lines().saturating_sub(outcome.lines_before);
    let rate = if seconds > 0.0 { lines as f64 / seconds } else { 0.0 };
    let _ = write!(text, "\n\n{} lines in {seconds:.1} s, {} lines/s", grouped(lines), grouped(rate as u64));
    text
}

fn say_how_to_go_on(kept: bool) {
    if !kept {
        stderr("interrupted; send it all again: lines that are done are told apart by their references");
        return;
    }
    stderr(&format!("interrupted; to go on:\n  {}", command_again(std::env::args())));
}

/// The command that goes on after the one of these `words`: it does not begin again, and leaves the
/// key out, as what is said here may end up in a log.
fn command_again(words: impl Iterator<Item = String>) -> String {
    let (mut again, mut is_key) = (Vec::new(), false);
    for word in words {
        if !std::mem::replace(&mut is_key, word == "--api-key") {
            let left_out = is_key || word == "--restart" || word.starts_with("--api-key=");
            again.extend((!left_out).then(|| quoted(&word)));
        }
    }
    again.join(" ")
}

/// `word` as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_go_on_can_be_pasted() {
        assert_eq!(quoted("a/b-c.csv"), "a/b-c.csv");
        assert_eq!(quoted("BANK CHARGES,gift_*"), "'BANK CHARGES,gift_*'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn the_command_to_go_on_tells_no_key() {
        let again = |line: &str| command_again(line.split(' ').map(str::to_owned));
        assert_eq!(again("orderctl --api-key secret import f --restart"), "orderctl import f");
        assert_eq!(again("orderctl import f --api-key=secret --rejects r"), "orderctl import f --rejects r");
    }
}
