//! What was measured, as a table in the end.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One thing that was done.
#[derive(Debug)]
struct Row {
    what: String,
    took: Duration,
    most: Duration,
    failed: Option<u64>,
}

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Measured(Mutex<Vec<Row>>);

impl Measured {
    /// Notes how long something took, and how many requests had no answer, or were put off, where there was a load.
    ///
    /// # Panics
    ///
    /// When it took longer than `most`.
    pub(crate) fn within(&self, what: &str, took: Duration, most: Duration, failed: Option<u64>) {
        let row = Row { what: what.to_owned(), took, most, failed };
        println!("{}", line(&row));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        assert!(took <= most, "{what} took {took:.1?}, {most:?} are the most");
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!("{:>9} {:>9} {:>7}  what", "ms", "at most", "failed");
        for row in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            println!("{}", line(row));
        }
    }
}

fn line(row: &Row) -> String {
    let failed = row.failed.map_or_else(|| "-".to_owned(), |failed| failed.to_string());
    format!("{:>9} {:>9} {failed:>7}  {}", row.took.as_millis(), row.most.as_millis(), row.what)
}
