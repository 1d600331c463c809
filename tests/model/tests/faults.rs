//! Each rule of the protocol is needed: without it the checker finds a way to a broken promise.
//!
//! A model that cannot fail would prove nothing.

use std::collections::BTreeSet;

use ordermill_model::Protocol;
use ordermill_model::bounds::Bounds;
use ordermill_model::fault::Fault;
use ordermill_model::properties as promise;
use stateright::{Checker, HasDiscoveries, Model};

/// Finds the shortest way on which `fault` breaks `promise`, and prints it.
fn breaks(fault: Fault, bounds: Bounds, promise: &'static str) {
    let found = HasDiscoveries::AllOf(BTreeSet::from([promise]));
    let checker = Protocol::without(fault, bounds).checker().finish_when(found).spawn_bfs().join();
    let way = checker.discovery(promise).unwrap_or_else(|| panic!("{fault:?} does not break: {promise}"));
    println!("{fault:?}, after {} states: not so that {promise}", checker.unique_state_count());
    for action in way.into_actions() {
        println!("    {action:?}");
    }
}

/// One test per fault: where it is looked for, and what it breaks.
macro_rules! faults {
    ($($name:ident: $fault:ident, $bounds:ident => $promise:ident;)*) => {$(
        #[test]
        fn $name() {
            breaks(Fault::$fault, Bounds::$bounds, promise::$promise);
        }
    )*};
}

faults! {
    acknowledging_before_landing: AcknowledgeBeforeLanding, JOURNAL => ACKNOWLEDGED_IS_WRITTEN;
    believing_an_ok: BelieveOk, JOURNAL => ONE_CONTENT;
    an_unknown_outcome_taken_for_a_failure: UnknownIsFailed, JOURNAL => DENIED_IS_ABSENT;
    comparing_the_owner_only: CompareOwnerOnly, JOURNAL => ONE_CONTENT;
    a_key_error_taken_for_a_fence: KeyErrorIsFenced, JOURNAL => DENIED_IS_ABSENT;
    no_fence_and_a_read: SkipFence, JOURNAL => READ_IS_FRESH;
    no_fence_and_a_flush: SkipFence, FLUSH => ROWS_HOLD_THE_MARK;
    replaying_at_an_early_timestamp: ReplayEarly, JOURNAL => NOTHING_MISSED;
    a_fence_behind_the_mark: FenceBehindMark, TRIM => CLEAN_IS_FLUSHED;
    calling_a_gap_above_the_fence_corrupt: GapAboveIsCorrupt, JOURNAL => NO_FALSE_ALARM;
    calling_a_trimmed_journal_corrupt: GapBelowIsCorrupt, TRIM => NO_FALSE_ALARM;
    skipping_a_gap: SkipGap, FEED => FEED_HAS_NO_GAP;
    ignoring_the_trim_mark: IgnoreTrimMark, TRIM => ONE_CONTENT;
    counting_the_age_from_the_timestamp: AgeFromTimestamp, TRIM => ONE_CONTENT;
    counting_the_age_from_the_last_success: AgeFromLastSuccess, TRIM_READ => ONE_CONTENT;
    an_old_append_reported_as_not_written: OldIsNotWritten, TRIM => DENIED_IS_ABSENT;
    deleting_before_the_trim_mark: DeleteBeforeTrimMark, TRIM => ONE_CONTENT;
    a_trim_mark_that_falls: TrimMarkFalls, TRIM => ONE_CONTENT;
    following_past_the_trim_mark: FollowPastTrimMark, TRIM_FEED => FEED_IS_JOURNAL;
    trimming_past_the_checkpoint: TrimPastCheckpoint, TRIM => TRIMMED_IS_CONTAINED;
    flushing_what_is_not_committed: FlushUncommitted, FLUSH => ROWS_ARE_COMMITTED;
    flushing_without_the_guard: FlushWithoutGuard, FLUSH => ROWS_HOLD_THE_MARK;
    reading_the_guard_before_the_timestamp: GuardBeforeTimestamp, FLUSH => ROWS_HOLD_THE_MARK;
    taking_replayed_rows_for_flushed: ReplayedIsClean, FLUSH => ROWS_HOLD_THE_MARK;
    believing_a_put: BelievePut, FLUSH => ROWS_HOLD_THE_MARK;
    rows_that_carry_no_number: RowsWithoutNumber, FLUSH => ROWS_HOLD_THE_MARK;
    moving_the_mark_without_the_guard: MarkWithoutGuard, TRIM => NO_FALSE_ALARM;
    ending_a_journal_before_all_is_flushed: SealUnflushed, SEAL => NOTHING_MISSED;
    ending_a_journal_that_another_has_taken_over: SealWithoutLook, SEAL => NOTHING_MISSED;
    writing_on_after_the_end: SealerGoesOn, SEAL => NOTHING_AFTER_THE_END;
    reading_on_after_the_end: SealerGoesOn, SEAL => READ_IS_FRESH;
    beginning_before_the_end: BeginUnsealed, SEAL => NOTHING_AFTER_THE_END;
    taking_over_what_has_ended: RaiseSealed, SEAL => NOTHING_AFTER_THE_END;
    reading_without_a_proof: ReadWithoutProof, JOURNAL => READ_IS_FRESH;
    reading_by_an_old_look: ReadJoinsOldLook, JOURNAL => READ_IS_FRESH;
    reading_by_an_old_append: ReadJoinsOldAppend, JOURNAL => READ_IS_FRESH;
    looking_past_the_trim_mark: LookWithoutTrimMark, TRIM_READ => READ_IS_FRESH;
    reading_what_is_not_committed: ReadUncommitted, JOURNAL => READ_IS_COMMITTED;
}
