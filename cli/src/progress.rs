//! What is told on standard error while something takes long: a bar on a terminal, and a line every
//! few seconds elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often a bar is drawn, per second.
const DRAWS_PER_SECOND: u8 = 10;

/// Where progress is shown.
#[derive(Debug)]
pub struct Meter {
    bar: ProgressBar,
    lines: Option<Instant>,
    quiet: bool,
}

impl Meter {
    /// Progress through `total` of something; without a total only what has been done is shown.
    pub fn new(total: Option<u64>, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if quiet || !terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND)
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{bar:24} {percent:>3}% {msg} {eta}",
            None => "{spinner} {msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, lines: (!quiet && !terminal).then(Instant::now), quiet }
    }

    /// Shows nothing at all, not even notes.
    pub fn hidden() -> Self {
        Self::new(None, true)
    }

    /// How far it has come, and how that is told.
    pub fn set(&mut self, position: u64, message: impl FnOnce() -> String) {
        self.bar.set_position(position);
        let due = self.lines.is_some_and(|last| last.elapsed() >= LINE_EVERY);
        if self.bar.is_hidden() && !due {
            return;
        }
        let message = message();
        if due {
            self.lines = Some(Instant::now());
            let percent = self.bar.length().filter(|total| *total > 0).map(|total| position * 100 / total);
            let percent = percent.map(|percent| format!("{percent}% ")).unwrap_or_default();
            stderr(&format!("{percent}{message}"));
        }
        self.bar.set_message(message);
    }

    /// What is happening, where it has not come further.
    pub fn message(&mut self, message: impl FnOnce() -> String) {
        let position = self.bar.position();
        self.set(position, message);
        self.bar.tick();
    }

    /// A line that stays, above the bar.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.bar.suspend(|| stderr(text));
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a line to standard error; when nobody reads it, nothing is lost.
pub fn stderr(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A rate over the last seconds: exponentially weighted, so that it neither jumps nor lags.
#[derive(Debug)]
pub struct Rate {
    at: Instant,
    count: u64,
    per_second: Option<f64>,
}

impl Rate {
    /// How quickly the past is forgotten.
    const MEMORY: Duration = Duration::from_secs(3);
    /// How often it is looked at.
    const SAMPLE: Duration = Duration::from_millis(250);

    /// A rate that begins at `count`.
    pub fn from(count: u64) -> Self {
        Self { at: Instant::now(), count, per_second: None }
    }

    /// The rate, now that `count` is reached.
    pub fn at(&mut self, count: u64) -> f64 {
        let passed = self.at.elapsed();
        if passed >= Self::SAMPLE {
            let seen = count.saturating_sub(self.count) as f64 / passed.as_secs_f64();
            let keep = (-passed.as_secs_f64() / Self::MEMORY.as_secs_f64()).exp();
            self.per_second = Some(self.per_second.map_or(seen, |old| old * keep + seen * (1.0 - keep)));
            (self.at, self.count) = (Instant::now(), count);
        }
        self.per_second.unwrap_or(0.0)
    }
}
