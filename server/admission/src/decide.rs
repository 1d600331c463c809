//! The decision itself: a pure function of the load.

use std::time::Duration;

use crate::Config;

/// What a request wants, in the order in which it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A stream of new orders.
    Import,
    /// A new order.
    Create,
    /// A step of an order that was accepted already, or a change of an item.
    Step,
    /// A question.
    Read,
}

/// How busy the process is.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// How long commands have waited lately before a shard took them.
    pub queue_delay: Duration,
    /// Requests that run, without this one.
    pub running: usize,
}

/// Come back later: nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Seconds to wait.
    pub retry_after_seconds: u64,
    /// Why: a fixed word, for metrics.
    pub kind: &'static str,
}

/// Whether a request of `class` may go on under `load`.
///
/// A part of the running requests is kept for those that are refused last: the last eighth for
/// reads, the eighth before it for steps and reads. So creates that wait for their settlement
/// never keep others out.
pub fn decide(config: &Config, class: Class, load: Load) -> Result<(), Refused> {
    let eighth = config.requests_max / 8;
    let (delay_max, running_max) = match class {
        Class::Import | Class::Create => (config.shed_creates, config.requests_max - 2 * eighth),
        Class::Step => (config.shed_steps, config.requests_max - eighth),
        Class::Read => (Duration::MAX, config.requests_max),
    };
    let refuse = |kind| Err(Refused { retry_after_seconds: config.retry_after_seconds, kind });
    if load.running >= running_max {
        return refuse("too_many_requests");
    }
    if load.queue_delay > delay_max {
        return refuse("queue_delay");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [Class; 4] = [Class::Import, Class::Create, Class::Step, Class::Read];

    fn passing(queue_delay_ms: u64, running: usize) -> Vec<Class> {
        let load = Load { queue_delay: Duration::from_millis(queue_delay_ms), running };
        let config = Config { requests_max: 80, ..Config::default() };
        CLASSES.into_iter().filter(|class| decide(&config, *class, load).is_ok()).collect()
    }

    #[test]
    fn queue_delay_refuses_creates_then_steps_and_never_reads() {
        assert_eq!(passing(0, 0), CLASSES);
        assert_eq!(passing(1_000, 0), CLASSES);
        assert_eq!(passing(1_001, 0), [Class::Step, Class::Read]);
        assert_eq!(passing(5_001, 0), [Class::Read]);
        assert_eq!(passing(3_600_000, 0), [Class::Read]);
    }

    #[test]
    fn running_requests_refuse_creates_then_steps_then_reads() {
        assert_eq!(passing(0, 59), CLASSES);
        assert_eq!(passing(0, 60), [Class::Step, Class::Read]);
        assert_eq!(passing(0, 70), [Class::Read]);
        assert_eq!(passing(0, 80), []);
    }

    #[test]
    fn a_tiny_bound_still_lets_something_pass() {
        let config = Config { requests_max: 1, ..Config::default() };
        let load = Load { queue_delay: Duration::ZERO, running: 0 };
        assert!(CLASSES.into_iter().all(|class| decide(&config, class, load).is_ok()));
    }

    #[test]
    fn the_refused_are_told_when_to_come_back() {
        let load = Load { queue_delay: Duration::from_secs(2), running: 0 };
        let refused = decide(&Config::default(), Class::Create, load).unwrap_err();
        assert_eq!((refused.retry_after_seconds, refused.kind), (1, "queue_delay"));
    }
}
