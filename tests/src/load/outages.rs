//! How long each shard was away after a fault, as a table, and whether that is within the limits.
//!
//! A limit holds for a machine that has a processor and a disk to give. Other work on it is counted, not excused: for
//! as long as something waited for either, the limit is prolonged. Without the kernel's pressure stall information
//! only the limit of a machine that is busy with everything holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use tokio::time::Instant;

use super::recorded::Recorded;

/// What no shard may be away for, however busy the machine is.
const BUSY_MAX: Duration = Duration::from_secs(30);

/// What happened, and how long each shard was away.
#[derive(Debug)]
struct Row {
    what: String,
    away: BTreeMap<u32, Duration>,
    /// Shards that the fault has hit.
    hit: BTreeSet<u32>,
    /// For how long something waited for a processor or the disk meanwhile.
    waited: Option<Duration>,
}

/// All faults of a test.
#[derive(Debug, Default)]
pub struct Outages(Vec<Row>);

/// The moment before a fault.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    begun: Instant,
    waited: Option<Duration>,
}

impl Before {
    /// This moment.
    pub fn now() -> Self {
        Self { begun: Instant::now(), waited: waited() }
    }
}

impl Outages {
    /// Waits until every shard takes orders again that were sent from now on, and notes how long after `before` that
    /// was. `hit` are the shards that the fault has hit; of the others nothing is expected but that they are there.
    ///
    /// # Panics
    ///
    /// When a shard that was hit is away for longer than `limit`, or any for longer than on the busiest machine.
    pub async fn note(&mut self, what: &str, load: &Recorded, before: Before, hit: BTreeSet<u32>, limit: Duration) {
        let over = Instant::now();
        let mut away = load.away(over).await;
        away.values_mut().for_each(|time| *time += over - before.begun);
        let waited = before.waited.and_then(|earlier| Some(waited()?.saturating_sub(earlier)));
        let row = Row { what: what.to_owned(), away, hit, waited };
        println!("{row}");
        for (shard, time) in &row.away {
            let limit = limit + row.waited.unwrap_or(BUSY_MAX);
            let ok = *time <= BUSY_MAX && (*time <= limit || !row.hit.contains(shard));
            assert!(ok, "{what}: shard {shard} was away for {time:.1?}: {row:?}");
        }
        self.0.push(row);
    }

    /// The table, for people.
    pub fn table(&self) -> String {
        let mut text = String::from("| fault | shards hit | longest away, ms | shortest, ms | others, longest, ms |\n");
        text.push_str("|---|---|---|---|---|\n");
        for row in &self.0 {
            let of = |hit: bool| row.away.iter().filter(move |(shard, _)| row.hit.contains(shard) == hit);
            let ms = |time: Option<&Duration>| time.map_or("-".to_owned(), |time| time.as_millis().to_string());
            let (longest, shortest) = (of(true).map(|(_, time)| time).max(), of(true).map(|(_, time)| time).min());
            let other = of(false).map(|(_, time)| time).max();
            let count = row.hit.len();
            let _ = writeln!(text, "| {} | {count} | {} | {} | {} |", row.what, ms(longest), ms(shortest), ms(other));
        }
        text
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: away, ms, by shard (* hit):", self.what)?;
        for (shard, time) in &self.away {
            let hit = if self.hit.contains(shard) { "*" } else { "" };
            write!(f, " {shard}{hit}={}", time.as_millis())?;
        }
        match self.waited {
            Some(waited) => write!(f, "; something waited for a processor or the disk for {} ms", waited.as_millis()),
            None => Ok(()),
        }
    }
}

/// For how long something has waited for a processor, and for the disk, since the machine was started; none where
/// nobody counts.
fn waited() -> Option<Duration> {
    let waited = |resource: &str| {
        let text = std::fs::read_to_string(format!("/proc/pressure/{resource}")).ok()?;
        let some = text.lines().find(|line| line.starts_with("some"))?;
        Some(Duration::from_micros(some.rsplit_once("total=")?.1.trim().parse().ok()?))
    };
    Some(waited("cpu")? + waited("io")?)
}
