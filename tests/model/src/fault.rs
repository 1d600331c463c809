//! Planted faults: each takes one rule away, so that the checker can show what the rule is there for.
//!
//! None of them is meant to work; the steps name them where they differ from the rule.

/// A rule that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Rule 1: an append is acknowledged when it is sent.
    AcknowledgeBeforeLanding,
    /// Rule 3: an Ok of the store is believed without reading back.
    BelieveOk,
    /// Rule 3: an unknown outcome counts as a failure; the number is used again for the next command.
    UnknownIsFailed,
    /// Rule 3: as before, and what is read back is compared by its owner only.
    CompareOwnerOnly,
    /// Rule 3: the error that the key exists counts as another's record, though the client's own retry met its own
    /// write. The member stops (that alone costs availability only) and reports its record as not written.
    KeyErrorIsFenced,
    /// Rule 2: a takeover inserts no fence; the next free number is its epoch all the same.
    SkipFence,
    /// Rule 2: the journal is replayed at a timestamp taken before the fence was committed.
    ReplayEarly,
    /// Rule 2: a guard that already carries the own epoch is taken for an own earlier try, whatever its mark says.
    FenceBehindMark,
    /// Rule 2: a new owner that meets a gap above its own fence calls it corrupt.
    GapAboveIsCorrupt,
    /// Rule 2: a new owner that meets a gap below its own fence calls it corrupt without a look whether the guard is
    /// still its own.
    GapBelowIsCorrupt,
    /// Rule 2: a reader of the journal that meets a gap passes over it.
    SkipGap,
    /// Rule 4: the trim mark is never looked at before an append is acknowledged.
    IgnoreTrimMark,
    /// Rule 4: the age of an append is counted from its own timestamp alone.
    AgeFromTimestamp,
    /// Rule 4: the age of an append is counted from the moment at which the last one was known to be written.
    AgeFromLastSuccess,
    /// Rule 4: an old append whose number is trimmed, or shows another's record, is reported as not written.
    OldIsNotWritten,
    /// Rule 4: a record is deleted before the trim mark is committed.
    DeleteBeforeTrimMark,
    /// Rule 4: a late put of the trim mark lowers it again.
    TrimMarkFalls,
    /// Rule 4: a reader of the journal does not read the trim mark together with the records.
    FollowPastTrimMark,
    /// Rule 4: records are trimmed past the checkpoint.
    TrimPastCheckpoint,
    /// Rule 5: a row is flushed with the image of a record that is not committed yet.
    FlushUncommitted,
    /// Rule 5: the guard is not read before a put.
    FlushWithoutGuard,
    /// Rule 5: the guard is read, and then the timestamp of the put is taken.
    GuardBeforeTimestamp,
    /// Rule 5: replayed rows count as flushed.
    ReplayedIsClean,
    /// Rules 3 and 5: the Ok of a put is believed without reading the row back.
    BelievePut,
    /// Rules 3 and 5: rows do not carry the number of their record. What is read back equal may be an older image with
    /// the same bytes, or, for a deleted row, the same absence.
    RowsWithoutNumber,
    /// Rule 5: the mark moves without a look at the guard's epoch.
    MarkWithoutGuard,
    /// Splits: the journal ends although not all of its rows are flushed.
    SealUnflushed,
    /// Splits: the guard is raised for the last time whatever it names by then.
    SealWithoutLook,
    /// Splits: whoever ends the journal goes on as its owner until it hears that this is done.
    SealerGoesOn,
    /// Splits: the children begin once the journal shall end, and not when its guard says that it has.
    BeginUnsealed,
    /// Splits: a new owner raises the guard of a journal that has ended.
    RaiseSealed,
    /// Rule 6: a read is answered without a proof of the tail.
    ReadWithoutProof,
    /// Rule 6: a read is answered by a look at the tail that began before the read arrived.
    ReadJoinsOldLook,
    /// Rule 6: a read is answered by an append that began before the read arrived.
    ReadJoinsOldAppend,
    /// Rules 4 and 6: a look that finds the next number absent does not read the trim mark, however old its member is.
    LookWithoutTrimMark,
    /// Rule 6: a read is answered with what an append under way will change.
    ReadUncommitted,
}
