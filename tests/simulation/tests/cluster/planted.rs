//! A server that leaves one step out, or does it wrong: clusters of it have to be noticed, for some seed
//! among a few. Steps of the store are left out one by one in the test of its owners, which notices sooner.
//! `docs/guarantees.md` lists them all.

use ordermill_shard::Planted as Shard;
use ordermill_simulation::cluster::{Planted, Settings, run};

/// Seeds within which a planted fault has to be noticed.
const SEEDS: u64 = 20;

fn caught(planted: Planted) {
    caught_in(&Settings { planted: Some(planted), ..Settings::default() });
}

/// The same where shards are split.
fn caught_in_splits(planted: Planted) {
    caught_in(&Settings { planted: Some(planted), splits: true, ..Settings::default() });
}

fn caught_in(settings: &Settings) {
    for seed in 0..SEEDS {
        let report = run(seed, settings);
        if let Some(first) = report.wrong.first() {
            println!("caught by seed {seed}: {first}");
            return;
        }
    }
    panic!("not caught within {SEEDS} seeds");
}

#[test]
fn an_answer_before_its_record_is_caught() {
    caught(Planted::Shard(Shard::AcknowledgeEarly));
}

#[test]
fn a_flush_before_its_record_is_caught() {
    caught(Planted::Shard(Shard::FlushEarly));
}

#[test]
fn a_read_without_a_proof_is_caught() {
    caught(Planted::Shard(Shard::ReadWithoutProof));
}

#[test]
fn an_item_that_releases_by_itself_is_caught() {
    caught(Planted::Shard(Shard::ReleaseByItself));
}

#[test]
fn a_record_in_a_format_that_an_older_member_does_not_know_is_caught() {
    caught(Planted::Shard(Shard::NewestFormat));
}

#[test]
fn a_journal_that_ends_before_all_is_flushed_is_caught() {
    caught_in_splits(Planted::Shard(Shard::SealUnflushed));
}

#[test]
fn a_feed_that_passes_over_the_end_of_a_split_shard_is_caught() {
    caught_in_splits(Planted::Shard(Shard::PassOverParent));
}
