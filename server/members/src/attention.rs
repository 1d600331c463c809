//! Time in which a silence can be heard: only what lies between two calls that succeeded.
//!
//! A process that stood still, or was cut off, has heard nothing; the time that passed meanwhile says
//! nothing about others. Compares no clocks but this process's own with itself.

use std::time::Duration;

use ordermill_station::limits;

/// Counts the time between successful calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attention {
    counted: Duration,
    /// When the last call succeeded; none after one that failed.
    last: Option<Duration>,
}

impl Attention {
    /// Begins to count at `now`, with a call that has just succeeded.
    pub(crate) fn from(now: Duration) -> Self {
        Self { counted: Duration::ZERO, last: Some(now) }
    }

    /// A call that began at `began` has succeeded.
    pub(crate) fn succeeded(&mut self, began: Duration) {
        self.counted = self.at(began);
        self.last = Some(began);
    }

    /// A call has failed: the time since the last success does not count.
    pub(crate) fn failed(&mut self) {
        self.last = None;
    }

    /// What is certain: the time up to the last call that succeeded.
    pub(crate) fn counted(&self) -> Duration {
        self.counted
    }

    /// The time up to `now`, if the call that is under way succeeds.
    pub(crate) fn at(&self, now: Duration) -> Duration {
        self.counted + self.last.map_or(Duration::ZERO, |last| now.saturating_sub(last).min(limits::ATTENTION_GAP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn only_time_between_successes_counts() {
        let mut attention = Attention::from(ms(1_000));
        attention.succeeded(ms(1_250));
        assert_eq!(attention.counted(), ms(250));
        attention.failed();
        attention.succeeded(ms(1_750));
        assert_eq!(attention.counted(), ms(250), "a failure lies between");
        attention.succeeded(ms(60_000));
        assert_eq!(attention.counted(), ms(250) + limits::ATTENTION_GAP, "the process stood still");
        assert_eq!(attention.at(ms(60_100)), attention.counted() + ms(100));
    }
}
