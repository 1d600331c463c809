//! The promises in docs/guarantees.md name their tests: here it is seen that each of those is there.
//!
//! Of a row the second column counts. A path of the checkout is where to look from then on, a name of a function is
//! looked for there.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::run;

/// Where the promises stand.
const PROMISES: &str = "docs/guarantees.md";

/// Tells which tests, and which files, are named and not there.
pub(crate) fn check(wrong: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(run::root().join(PROMISES)).with_context(|| format!("{PROMISES} is missing"))?;
    for row in text.lines().filter_map(shown_by) {
        let mut place = None;
        for word in row.split('`').skip(1).step_by(2) {
            if word.contains('/') {
                place = Some(run::root().join(word)).filter(|path| path.exists());
                if place.is_none() {
                    wrong.push(format!("{PROMISES} names {word}, which is not there"));
                }
            } else if is_name(word)
                && let Some(place) = &place
                && !holds(place, word)?
            {
                wrong.push(format!("{PROMISES} names the test {word}, which is not in {}", place.display()));
            }
        }
        if place.is_none() && !row.contains('`') {
            wrong.push(format!("{PROMISES} has a promise without a test: {row}"));
        }
    }
    Ok(())
}

/// The second column of a row of the table, if the line is one.
fn shown_by(line: &str) -> Option<&str> {
    let row = line.strip_prefix("| ")?;
    let (_, shown) = row.trim_end().trim_end_matches('|').split_once(" | ")?;
    (shown.trim() != "shown by").then_some(shown)
}

/// Whether a word can be the name of a test.
fn is_name(word: &str) -> bool {
    word.contains('_')
        && word.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// Whether a file, or one below a directory, has the function `name`.
fn holds(place: &Path, name: &str) -> Result<bool> {
    let wanted = format!("fn {name}(");
    let mut open: Vec<PathBuf> = vec![place.to_owned()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && std::fs::read_to_string(&path)?.contains(&wanted)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_names_are_told_from_other_text() {
        assert_eq!(shown_by("| it is so | `a/b.rs` (`c_d`) |"), Some("`a/b.rs` (`c_d`) "));
        assert_eq!(shown_by("| promise | shown by |"), None);
        assert_eq!(shown_by("Some text | more"), None);
        assert!(is_name("a_stale_read") && !is_name("held <= on_hand") && !is_name("planted.rs"));
    }

    #[test]
    fn a_test_that_is_not_there_is_told() {
        let here = run::root().join("xtask/src");
        assert!(holds(&here, "a_test_that_is_not_there_is_told").expect("the files can be read"));
        let gone = ["a_test_that_nobody", "has_written"].join("_");
        assert!(!holds(&here, &gone).expect("the files can be read"));
    }
}
