//! The protocol as it is keeps every promise in every state within the bounds, and does all that it is there for.
//!
//! Nothing here cuts a walk short: no depth, no time, no number of states.

use ordermill_model::Protocol;
use ordermill_model::bounds::Bounds;
use stateright::{Checker, DiscoveryClassification, HasDiscoveries, Model};

/// Walks all states within `bounds`.
fn walk(name: &str, bounds: Bounds) {
    // No promise is ever found broken, and until all of them are the checker goes on.
    let checker =
        Protocol::new(bounds).checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    println!("{name}: {states} states, {steps} steps between them, the longest way {depth}");
    for (property, way) in checker.discoveries() {
        let kept = matches!(checker.discovery_classification(property), DiscoveryClassification::Example);
        assert!(kept, "{name}: not so that {property}: {:#?}", way.into_actions());
    }
    assert!(checker.is_done());
    checker.assert_properties();
}

#[test]
fn three_members_append_take_over_and_read() {
    walk("journal", Bounds::JOURNAL);
}

#[test]
fn a_reader_follows_the_journal() {
    walk("feed", Bounds::FEED);
}

#[test]
fn three_owners_flush_a_row() {
    walk("flush", Bounds::FLUSH);
}

#[test]
fn two_owners_flush_two_rows() {
    walk("rows", Bounds::ROWS);
}

#[test]
fn records_are_trimmed_under_two_late_members() {
    walk("trim", Bounds::TRIM);
}

#[test]
fn records_are_trimmed_while_a_late_member_reads() {
    walk("trim and read", Bounds::TRIM_READ);
}

#[test]
fn a_shard_is_split_under_a_late_member() {
    walk("seal", Bounds::SEAL);
}

#[test]
fn records_are_trimmed_before_the_reader_of_the_journal() {
    walk("trim and feed", Bounds::TRIM_FEED);
}
