//! Whether the operator gets on: what `/healthz` answers by.
//!
//! Every so often the resources are listed, and compared with what the watch has told and with when each was looked at
//! last. An API server that does not answer is no fault of ours, and an operator that waits for the Lease has nothing to
//! get on with. Counts time that the machine slept as well: then the next look begins anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ordermill_station::clock;

use crate::limits;

/// Namespace and name.
pub type Key = (String, String);

/// How the operator gets on; cheap to clone.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: clock::Shared,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each resource was looked at last, or first seen.
    looked: HashMap<Key, Duration>,
    /// Those of which the watch has told something old, and since when: what it has told, and what there is.
    behind: HashMap<Key, (Option<String>, Duration)>,
    /// When all this was compared last.
    compared: Option<Duration>,
}

/// A resource, as it was listed and as the watch has told it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Which.
    pub key: Key,
    /// Its version, as listed.
    pub version: Option<String>,
    /// Its version, as the watch has told it; None of one that it has not told of.
    pub told: Option<String>,
}

impl Pulse {
    /// Begins now.
    pub fn new(clock: clock::Shared) -> Self {
        Self(Arc::new(Inner { clock, state: Mutex::default() }))
    }

    /// A resource was looked at, with whatever outcome.
    pub fn looked(&self, key: Key) {
        let now = self.0.clock.elapsed();
        self.state().looked.insert(key, now);
    }

    /// Compares what there is with what the watch has told.
    pub fn compare(&self, listed: &[Listed]) {
        let now = self.0.clock.elapsed();
        let mut state = self.state();
        // Nobody has compared for long: this process, or its machine, stood still, and has to be given time.
        if state.compared.is_some_and(|before| now.saturating_sub(before) > limits::PULSE * 3) {
            *state = State::default();
        }
        state.compared = Some(now);
        state.looked.retain(|key, _| listed.iter().any(|one| one.key == *key));
        state.behind.retain(|key, _| listed.iter().any(|one| one.key == *key));
        for one in listed {
            state.looked.entry(one.key.clone()).or_insert(now);
            let stands = state.behind.get(&one.key).is_some_and(|(told, _)| *told == one.told);
            if one.version == one.told {
                state.behind.remove(&one.key);
            } else if !stands {
                state.behind.insert(one.key.clone(), (one.told.clone(), now));
            }
        }
    }

    /// Why it does not get on; None while it does.
    pub fn stuck(&self) -> Option<String> {
        let now = self.0.clock.elapsed();
        let state = self.state();
        let since = |then: &Duration| now.saturating_sub(*then);
        let behind = state.behind.iter().find(|(_, (_, then))| since(then) > limits::WATCH_BEHIND);
        if let Some(((namespace, name), (_, then))) = behind {
            let seconds = since(then).as_secs();
            return Some(format!(
                "the watch has told nothing new of {namespace}/{name} for {seconds} s, and there is something"
            ));
        }
        let ((namespace, name), then) = state.looked.iter().find(|(_, then)| since(then) > limits::LOOK_LATE)?;
        Some(format!("{namespace}/{name} was not looked at for {} s", since(then).as_secs()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl clock::Clock for Hand {
        fn now_ms(&self) -> u64 {
            self.0.load(Relaxed) * 1_000
        }

        fn elapsed(&self) -> Duration {
            Duration::from_secs(self.0.load(Relaxed))
        }
    }

    fn listed(version: &str, told: Option<&str>) -> Vec<Listed> {
        let key = ("orders".to_owned(), "shop".to_owned());
        vec![Listed { key, version: Some(version.to_owned()), told: told.map(str::to_owned) }]
    }

    /// Compares every 30 s, for so long; what is said in the end.
    fn after(seconds: u64, hand: &Hand, pulse: &Pulse, listed: &[Listed], looks: bool) -> Option<String> {
        for _ in 0..seconds / 30 {
            hand.0.fetch_add(30, Relaxed);
            pulse.compare(listed);
            if looks {
                pulse.looked(listed[0].key.clone());
            }
        }
        pulse.stuck()
    }

    fn begin() -> (Arc<Hand>, Pulse) {
        let hand = Arc::new(Hand::default());
        (hand.clone(), Pulse::new(hand))
    }

    #[test]
    fn a_watch_that_tells_nothing_new_is_stuck_and_one_that_lags_is_not() {
        let (hand, pulse) = begin();
        assert_eq!(after(3_600, &hand, &pulse, &listed("7", Some("7")), true), None);
        assert_eq!(after(120, &hand, &pulse, &listed("8", Some("7")), true), None);
        assert_eq!(after(120, &hand, &pulse, &listed("9", Some("8")), true), None, "it has told something");
        let stuck = after(210, &hand, &pulse, &listed("9", Some("8")), true).unwrap();
        assert!(stuck.contains("the watch has told nothing new of orders/shop"), "{stuck}");
        assert_eq!(after(30, &hand, &pulse, &listed("9", Some("9")), true), None);
        assert!(after(240, &hand, &pulse, &listed("9", None), true).is_some(), "never told at all");
    }

    #[test]
    fn a_loop_that_looks_at_nothing_is_stuck_and_a_machine_that_slept_is_not() {
        let (hand, pulse) = begin();
        let same = listed("7", Some("7"));
        assert_eq!(after(600, &hand, &pulse, &same, false), None);
        assert!(after(600, &hand, &pulse, &same, false).unwrap().contains("was not looked at for"));
        assert_eq!(after(30, &hand, &pulse, &same, true), None);
        hand.0.fetch_add(36_000, Relaxed);
        pulse.compare(&same);
        assert_eq!(pulse.stuck(), None);
        assert_eq!(after(1_200, &hand, &pulse, &[], false), None, "nothing is there");
    }
}
