//! Every bound of the operator, in one place, with its unit and its reason.

use std::time::Duration;

/// Longest wait for a connection to the API server.
pub const CONNECT: Duration = Duration::from_secs(5);
/// Longest silence of the API server within a call that is not a watch.
pub const CALL: Duration = Duration::from_secs(10);
/// Longest silence within a watch: the API server ends each after 290 s at most.
pub const WATCH: Duration = Duration::from_mins(5);
/// Longest reconciliation: some ten calls, of which most take milliseconds.
pub const RECONCILE: Duration = Duration::from_mins(1);
/// Resources reconciled at once: a flood of them must not become a flood of calls.
pub const CONCURRENCY: u16 = 8;
/// First wait after a failure; doubled each time.
pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// Longest wait after a failure.
pub const BACKOFF_MAX: Duration = Duration::from_mins(2);
/// A resource of which nothing was heard is looked at again: watches miss nothing, but to be sure.
pub const RESYNC: Duration = Duration::from_mins(10);
/// How long a leader leads without renewing, seconds.
pub const LEASE_SECONDS: u64 = 15;
/// How long before that it renews, seconds: three tries.
pub const LEASE_GRACE_SECONDS: u64 = 5;
/// How often what there is is compared with what the watch has told.
pub const PULSE: Duration = Duration::from_secs(30);
/// How long a watch may tell nothing new while there is something: an API server that is slow takes seconds.
pub const WATCH_BEHIND: Duration = Duration::from_mins(3);
/// How long a resource may not be looked at: it is due after `RESYNC`, or after the longest wait that follows a failure.
pub const LOOK_LATE: Duration = Duration::from_mins(15);
/// How old what is known of the Lease may be when something is changed: it is renewed this long before it runs out, so
/// that nobody else can have it yet.
pub const TENURE: Duration = Duration::from_secs(LEASE_GRACE_SECONDS - 1);

/// Longest call to PD or a member, the connection included.
pub const ASK: Duration = Duration::from_secs(5);
/// Longest wait for a connection to PD or a member.
pub const ASK_CONNECT: Duration = Duration::from_secs(2);
/// Longest answer of PD or a member, bytes: 1,000 stores, or the measurements of one member.
pub const ANSWER_BYTES: usize = 8 << 20;
/// How often PD is looked at while the store is whole.
pub const STORE_RESYNC: Duration = Duration::from_secs(30);
/// How often members are looked at while an upgrade is under way.
pub const UPGRADE_WAIT: Duration = Duration::from_secs(2);
/// How often the load of members is looked at.
pub const SCALE_LOOK: Duration = Duration::from_secs(15);
/// How often while it is not.
pub const STORE_WAIT: Duration = Duration::from_secs(3);

/// Longest try to have regions divided: PD itself waits for a minute.
pub const DIVISION: Duration = Duration::from_secs(3);
/// How often that is tried; regions that PD moves just now are not divided.
pub const DIVISION_TRIES: u32 = 20;
/// Shortest time between two tries, seconds.
pub const DIVISION_PAUSE_SECONDS: i64 = 5;

/// How long a pod that is told to stop still serves, seconds: until every node has heard of it.
pub const PRE_STOP_SECONDS: i64 = 5;
/// Longest stop of a pod, seconds: the above, 20 s of requests that end, and shards handed over.
pub const TERMINATION_SECONDS: i64 = 60;
/// The user and group that the server runs as: nobody of the node's.
pub const USER: i64 = 65_532;
