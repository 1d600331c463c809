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

/// All that was measured, and what of it was not as it should be: one run shows all of that, not the first alone.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    rows: Mutex<Vec<Row>>,
    faults: Mutex<Vec<String>>,
}

impl Measured {
    /// Notes how long something took, and how many requests had no answer, or were put off, where there was a load. That it
    /// took longer than `most` is a fault.
    pub(crate) fn within(&self, what: &str, took: Duration, most: Duration, failed: Option<u64>) {
        let row = Row { what: what.to_owned(), took, most, failed };
        println!("{}", line(&row));
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        if took > most {
            self.fault(format!("{what} took {took:.1?}, {most:?} are the most"));
        }
    }

    /// Notes what was not as it should be.
    pub(crate) fn fault(&self, fault: String) {
        println!("not as it should be: {fault}");
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    /// Prints it.
    ///
    /// # Panics
    ///
    /// When something was not as it should be.
    pub(crate) fn end(&self) {
        println!("{:>9} {:>9} {:>7}  what", "ms", "at most", "failed");
        for row in self.rows.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            println!("{}", line(row));
        }
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(faults.is_empty(), "not as it should be:\n  {}", faults.join("\n  "));
    }
}

fn line(row: &Row) -> String {
    let failed = row.failed.map_or_else(|| "-".to_owned(), |failed| failed.to_string());
    format!("{:>9} {:>9} {failed:>7}  {}", row.took.as_millis(), row.most.as_millis(), row.what)
}
