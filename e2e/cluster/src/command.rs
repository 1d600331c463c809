//! Running other programs, and waiting for what they bring about.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(100);

/// Runs a command; what it says, or what went wrong.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{shown} cannot be started"))?;
    if !output.status.success() {
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        bail!("{shown} failed ({}):\n{}", output.status, format!("{said}{complained}").trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command whose words have no spaces.
pub(crate) fn words(command: &str) -> Result<String> {
    let mut words = command.split_whitespace();
    output(Command::new(words.next().context("no command")?).args(words))
}

/// Looks until there is something; what was missing last when it takes too long.
#[expect(clippy::disallowed_methods, reason = "there is nothing that could wake who waits here")]
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(error) if begun.elapsed() > within => {
                return Err(error.context(format!("not within {within:?}: {what}")));
            }
            Err(_) => std::thread::sleep(EVERY),
        }
    }
}
