//! How long it takes until everybody has a new map when a member, or the coordinator, is killed.
//!
//! The longest that each step takes while the store and the other members answer within [`CALL`]. Nothing
//! here compares clocks: each step waits on one machine's own monotonic clock. Checked when this is
//! compiled, and measured in `tests/`.
//!
//! **A member is killed** just after a beat of it was heard:
//!
//! | step | longest, ms | in all |
//! |---|---|---|
//! | its silence is long enough (`MEMBER_SILENCE`) | 1,200 | 1,200 |
//! | the coordinator's next renewal begins (`BEAT`) and has succeeded: it was not the coordinator that was cut off | 250 + 50 | 1,500 |
//! | the new map is written | 50 | 1,550 |
//! | every member's next beat begins (`BEAT`) and brings the map back | 250 + 50 | 1,850 |
//!
//! **The coordinator is killed** just after a renewal of it has landed:
//!
//! | step | longest, ms | in all |
//! |---|---|---|
//! | a member's next look begins (`LOOK`) and sees that renewal | 200 + 50 | 250 |
//! | the value has stood still for long enough (`COORDINATOR_SILENCE`) | 1,000 | 1,250 |
//! | the next look begins (`LOOK`) and sees that it still does | 200 + 50 | 1,500 |
//! | the place is taken | 50 | 1,550 |
//! | the map is read, and the new one, without the silent coordinator, is written | 50 + 50 | 1,650 |
//! | every other member's next look begins (`LOOK`) and shows who coordinates now | 200 + 50 | 1,900 |
//! | its beat, sent at once, brings the map back | 50 | 1,950 |
//!
//! A coordinator and a member that are killed together: the member has the full time from the election on,
//! 1,550 + 1,850 ms.

use std::time::Duration;

use ordermill_station::limits;

/// The longest that one call to the store, or one beat there and back, takes while all is well.
pub const CALL: Duration = Duration::from_millis(50);

/// From a member's death until every other member has a map without it.
pub const MEMBER_KILLED: Duration = sum(&[limits::MEMBER_SILENCE, limits::BEAT, CALL, CALL, limits::BEAT, CALL]);

/// From the coordinator's death until every other member has a map without it.
pub const COORDINATOR_KILLED: Duration = sum(&[
    limits::LOOK,
    CALL,
    limits::COORDINATOR_SILENCE,
    limits::LOOK,
    CALL,
    CALL,
    CALL,
    CALL,
    limits::LOOK,
    CALL,
    CALL,
]);

const fn sum(steps: &[Duration]) -> Duration {
    let mut all = Duration::ZERO;
    let mut at = 0;
    while at < steps.len() {
        all = all.saturating_add(steps[at]);
        at += 1;
    }
    all
}

/// What is promised; the rest of three seconds is for fencing, replaying and serving.
const PROMISE: Duration = Duration::from_millis(2_500);
const _: () = assert!(MEMBER_KILLED.as_millis() + 500 <= PROMISE.as_millis());
const _: () = assert!(COORDINATOR_KILLED.as_millis() + 500 <= PROMISE.as_millis());
// A coordinator whose call hangs while the store is away is back before others lose patience.
const _: () = assert!(
    limits::COORDINATION_DEADLINE.as_millis() + limits::COORDINATION_RETRY.as_millis() + 2 * CALL.as_millis()
        < limits::COORDINATOR_SILENCE.as_millis()
);
// A beat that is lost and found out late is followed by another before the silence is too long.
const _: () = assert!(
    2 * limits::COORDINATION_DEADLINE.as_millis() + limits::BEAT.as_millis() + CALL.as_millis()
        < limits::MEMBER_SILENCE.as_millis()
);
