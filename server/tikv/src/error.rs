//! What the library's errors mean to a caller. The one place that reads them; never decides what to do.

use ordermill_transactional::Failure;
use tikv_client::{Error, ProtoKeyError, ProtoRegionError};
use tonic::Code;

/// An error of the library as a failure.
pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::KeyError(error) => of_key(&error),
        Error::RegionError(error) => of_region(&error),
        Error::GrpcAPI(status) => of_status(&status),
        Error::ExtractedErrors(errors) | Error::MultipleKeyErrors(errors) => of_several(errors),
        Error::UndeterminedError(error) => Failure::Unavailable(format!("outcome unknown: {error}")),
        Error::PessimisticLockError { inner, .. } => failure(*inner),
        Error::ResolveLockError(locks) => {
            let starts: Vec<_> = locks.iter().map(|lock| lock.lock_version).collect();
            Failure::Locked(format!("by transactions that began at {starts:?}"))
        }
        Error::TxnNotFound(missing) => of_missing(missing.start_ts),
        Error::DuplicateKeyInsertion
        | Error::InvalidTransactionType
        | Error::KeyspaceNotFound(_)
        | Error::MaxScanLimitExceeded { .. }
        | Error::NoPrimaryKey
        | Error::OperationAfterCommitError
        | Error::Unimplemented
        | Error::UnsupportedMode
        | Error::Url(_) => Failure::Refused(error.to_string()),
        // A server that declined to commit in one phase among them: it has left a lock instead.
        error => Failure::Unavailable(error.to_string()),
    }
}

/// Of several errors the one that says most: a conflict is certain whatever else failed.
fn of_several(errors: Vec<Error>) -> Failure {
    let rank = |failure: &Failure| match failure {
        Failure::Conflict(_) => 0,
        Failure::Refused(_) => 1,
        Failure::Locked(_) => 2,
        Failure::Unavailable(_) => 3,
    };
    // The library leaves the list empty in some places.
    let unnamed = || Failure::Unavailable("an error that is not named".to_owned());
    errors.into_iter().map(failure).min_by_key(rank).unwrap_or_else(unnamed)
}

/// Of a lock whose transaction has not written its first key, and perhaps never will: the library asks what
/// became of it, hears that nobody knows, and gives up without a second look at how old the lock is. Only
/// cleaning up ends it.
fn of_missing(start: u64) -> Failure {
    Failure::Locked(format!("by a transaction that began at {start} and that the first key does not know"))
}

fn of_key(error: &ProtoKeyError) -> Failure {
    if error.already_exist.is_some() {
        return Failure::Conflict("the key exists already".to_owned());
    }
    if let Some(conflict) = &error.conflict {
        let (start, changed) = (conflict.start_ts, conflict.conflict_commit_ts.max(conflict.conflict_ts));
        return Failure::Conflict(format!("changed at {changed}, by a transaction that began at {start}"));
    }
    if let Some(lock) = &error.locked {
        return Failure::Locked(format!("by a transaction that began at {}", lock.lock_version));
    }
    if let Some(missing) = &error.txn_not_found {
        return of_missing(missing.start_ts);
    }
    if error.assertion_failed.is_some() {
        return Failure::Refused("an assertion about the key failed".to_owned());
    }
    let what = match () {
        () if !error.retryable.is_empty() => &*error.retryable,
        () if !error.abort.is_empty() => &*error.abort,
        () if error.commit_ts_expired.is_some() => "the commit came too late",
        () if error.commit_ts_too_large.is_some() => "the commit came too early",
        () if error.primary_mismatch.is_some() => "the transaction's first key is another one",
        () if error.deadlock.is_some() => "a deadlock",
        () => "an error that is not named",
    };
    Failure::Unavailable(what.to_owned())
}

fn of_region(error: &ProtoRegionError) -> Failure {
    if error.raft_entry_too_large.is_some() {
        return Failure::Refused(error.message.clone());
    }
    // Busy, moved, split, without a leader: it passes.
    Failure::Unavailable(format!("{error:?}"))
}

fn of_status(status: &tonic::Status) -> Failure {
    let what = format!("{}: {}", status.code(), status.message());
    match status.code() {
        // An answer or a request that is too large is out of range or exhausts something, depending on
        // which side looks at it; so does a server that has no room for the moment.
        Code::InvalidArgument
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => Failure::Refused(what),
        Code::ResourceExhausted if status.message().contains("message") => Failure::Refused(what),
        _ => Failure::Unavailable(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(error: ProtoKeyError) -> Error {
        Error::KeyError(Box::new(error))
    }

    fn region(error: ProtoRegionError) -> Error {
        Error::RegionError(Box::new(error))
    }

    fn exists() -> Error {
        key(ProtoKeyError { already_exist: Some(<_>::default()), ..<_>::default() })
    }

    fn locked() -> Error {
        key(ProtoKeyError { locked: Some(<_>::default()), ..<_>::default() })
    }

    #[test]
    fn a_key_that_is_there_or_was_changed_is_a_conflict() {
        let changed = key(ProtoKeyError { conflict: Some(<_>::default()), ..<_>::default() });
        for error in [exists(), changed, Error::MultipleKeyErrors(vec![exists()])] {
            assert!(matches!(failure(error), Failure::Conflict(_)));
        }
    }

    #[test]
    fn a_lock_is_a_lock() {
        let missing = key(ProtoKeyError { txn_not_found: Some(<_>::default()), ..<_>::default() });
        let locks = Error::ResolveLockError(vec![]);
        for error in [locked(), locks, missing, Error::ExtractedErrors(vec![locked()])] {
            assert!(matches!(failure(error), Failure::Locked(_)));
        }
    }

    #[test]
    fn of_several_errors_the_certain_one_counts() {
        let errors = vec![Error::OnePcFailure, locked(), exists()];
        assert!(matches!(failure(Error::MultipleKeyErrors(errors)), Failure::Conflict(_)));
        let errors = vec![Error::ExtractedErrors(vec![]), locked()];
        assert!(matches!(failure(Error::ExtractedErrors(errors)), Failure::Locked(_)));
    }

    #[test]
    fn what_may_pass_is_unavailable() {
        let errors = [
            Error::OnePcFailure,
            Error::UndeterminedError(Box::new(exists())),
            Error::ExtractedErrors(vec![]),
            Error::StringError(String::new()),
            key(ProtoKeyError { retryable: "lock not found".to_owned(), ..<_>::default() }),
            key(ProtoKeyError { abort: "rolled back".to_owned(), ..<_>::default() }),
            region(ProtoRegionError { server_is_busy: Some(<_>::default()), ..<_>::default() }),
            Error::GrpcAPI(tonic::Status::unavailable("")),
            Error::GrpcAPI(tonic::Status::deadline_exceeded("")),
            Error::GrpcAPI(tonic::Status::cancelled("")),
            Error::GrpcAPI(tonic::Status::resource_exhausted("no memory")),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(matches!(failure(error), Failure::Unavailable(_)), "{text}");
        }
    }

    #[test]
    fn what_cannot_succeed_is_refused() {
        let errors = [
            Error::Unimplemented,
            region(ProtoRegionError { raft_entry_too_large: Some(<_>::default()), ..<_>::default() }),
            Error::GrpcAPI(tonic::Status::out_of_range("decoded message length too large")),
            Error::GrpcAPI(tonic::Status::resource_exhausted("Received message larger than max")),
            Error::GrpcAPI(tonic::Status::unauthenticated("")),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(matches!(failure(error), Failure::Refused(_)), "{text}");
        }
    }
}
