//! A protocol with one step left out: the checks have to notice, for some seed among a few.

use std::sync::Arc;

use bytes::Bytes;
use ordermill_simulation::{Client, Mvcc, Plan, Virtual};
use ordermill_store::Store;
use ordermill_transactional::keys::Keys;
use ordermill_transactional::stored::Guard;
use ordermill_transactional::{Config, Planted, Transactional};

use crate::owner::key;
use crate::world::{CLUSTER, SHARD, run};

/// Seeds within which a step that is left out has to be noticed.
const SEEDS: u64 = 50;

fn caught(configure: fn(&mut Config)) {
    for seed in 0..SEEDS {
        let outcome = run(seed, configure);
        if let Some(first) = outcome.wrong.first() {
            println!("caught by seed {seed}: {first}");
            return;
        }
    }
    panic!("not caught within {SEEDS} seeds");
}

#[test]
fn an_ok_that_is_believed_is_caught() {
    caught(|config| config.planted = Some(Planted::BelieveOk));
}

/// A row after two owners have begun at the same record, the first has appended a change of it, and both
/// flush at once; and whether the mark says that the change is contained.
async fn two_owners_without_fences(seed: u64) -> (Option<Bytes>, bool) {
    let service = Arc::new(Mvcc::new(3));
    let open = |incarnation, planted| {
        let plan = Plan { latency_ms: 8, ..Plan::calm() };
        let client = Client::new(Arc::clone(&service), plan, seed * 10 + incarnation);
        let config = Config { planted, ..Config::new(CLUSTER, incarnation) };
        Transactional::new(config, Arc::new(client), Virtual::shared())
    };
    let row = |value: &'static str| vec![(key(1), Some(Bytes::from_static(value.as_bytes())))];
    let fence = |_: Option<&[u8]>| Ok(Bytes::new());
    let before = open(1, None);
    let last = before.take_over(SHARD, &fence).await.unwrap().last;
    before.append(SHARD, last + 1, "the row is old".into()).await.unwrap();
    let (one, two) = (open(2, Some(Planted::NoFence)), open(3, Some(Planted::NoFence)));
    for owner in [&one, &two] {
        assert_eq!(owner.take_over(SHARD, &fence).await.unwrap().last, last + 1);
    }
    one.append(SHARD, last + 2, "the row is new".into()).await.unwrap();
    // What the second has replayed it flushes, as every owner does.
    let flushes = (one.flush(SHARD, row("new"), last + 2), two.flush(SHARD, row("old"), last + 1));
    let _ = futures::join!(flushes.0, flushes.1);
    let found = before.get(&[key(1)]).await.unwrap().remove(0);
    let guard = Guard::decode(service.latest(&Keys { cluster: CLUSTER }.guard(SHARD)).as_ref()).unwrap();
    (found, guard.checkpoint == last + 2)
}

/// The insert and the guard judge nearly everything else. What only the fence keeps apart are two owners
/// that begin at the same record: they would have the same epoch.
#[test]
fn an_owner_without_a_fence_is_caught() {
    for seed in 0..SEEDS {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        if runtime.block_on(two_owners_without_fences(seed)) == (Some("old".into()), true) {
            println!("caught by seed {seed}: the mark says that the row is new, and it is old");
            return;
        }
    }
    panic!("not caught within {SEEDS} seeds");
}

#[test]
fn an_unknown_outcome_that_counts_as_none_is_caught() {
    caught(|config| config.planted = Some(Planted::UnknownIsUnavailable));
}

#[test]
fn a_conflict_that_counts_as_another_owner_is_caught() {
    caught(|config| config.planted = Some(Planted::KeyErrorIsFenced));
}

#[test]
fn an_append_at_a_trimmed_number_is_caught() {
    caught(|config| config.planted = Some(Planted::NoTrimMark));
}

#[test]
fn a_flush_that_does_not_read_the_guard_is_caught() {
    caught(|config| config.planted = Some(Planted::NoGuard));
}

#[test]
fn a_proof_that_does_not_look_is_caught() {
    caught(|config| config.planted = Some(Planted::NoProof));
}

#[test]
fn a_proof_that_does_not_look_at_the_trim_mark_is_caught() {
    caught(|config| config.planted = Some(Planted::NoTrimMarkInProof));
}

#[test]
fn records_that_are_deleted_at_once_are_caught() {
    caught(|config| config.planted = Some(Planted::DeleteAtOnce));
}

#[test]
fn rows_that_are_not_read_back_are_caught() {
    caught(|config| config.planted = Some(Planted::NoReadBack));
}
