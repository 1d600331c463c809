//! Work that must not take a processor from answers.

use std::{panic, thread};

/// How much such a thread gives way: at 5 it gets a quarter of a processor that an answer wants too, see sched(7).
/// Measured in docs/decisions/0017-flushes-give-way.md.
const NICENESS: i32 = 5;

/// Runs `work` on a thread that gives way to others, as do the threads that are begun in it, and blocks until it is done.
///
/// A thread cannot take back what it has given, so this one is not used again. A system that refuses has it run as any other.
pub fn give_way<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let aside = || {
        let _ = rustix::process::nice(NICENESS);
        work()
    };
    thread::scope(|scope| scope.spawn(aside).join()).unwrap_or_else(|panicked| panic::resume_unwind(panicked))
}

#[cfg(test)]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    fn niceness() -> i32 {
        getpriority_process(None).expect("every thread has one")
    }

    #[test]
    fn work_and_what_it_begins_give_way_and_nobody_else() {
        let before = niceness();
        let (work, begun) = give_way(|| (niceness(), thread::spawn(niceness).join().expect("it ends")));
        assert_eq!((work, begun), (before + NICENESS, before + NICENESS));
        assert_eq!(niceness(), before);
    }
}
