//! Answers.

use bytes::Bytes;
use ordermill_journal::Unreadable;
use ordermill_order::Outcome;
use ordermill_shard::Scan;
use ordermill_store::ShardId;

use super::failure::{FailureWire, failure_of, failure_to};
use super::outcome::{OutcomeWire, outcome_of, outcome_to};
use super::present;
use crate::{Answer, Failure};

/// An answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnswerWire {
    /// Exactly one.
    #[prost(oneof = "AnswerKind", tags = "1, 2, 3, 4, 5, 6, 7")]
    kind: Option<AnswerKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
#[expect(clippy::large_enum_variant, reason = "taken apart as soon as it is made, and the largest is the commonest")]
enum AnswerKind {
    #[prost(message, tag = "1")]
    Applied(AppliedWire),
    #[prost(message, tag = "2")]
    AppliedMany(AppliedManyWire),
    #[prost(message, tag = "3")]
    Row(RowWire),
    #[prost(message, tag = "4")]
    Page(PageWire),
    #[prost(message, tag = "5")]
    Numbers(NumbersWire),
    #[prost(bytes = "bytes", tag = "6")]
    Beat(Bytes),
    #[prost(bytes = "bytes", tag = "7")]
    Admin(Bytes),
}

/// What became of a command: exactly one.
#[derive(Clone, PartialEq, prost::Message)]
struct AppliedWire {
    #[prost(message, optional, tag = "1")]
    outcome: Option<OutcomeWire>,
    #[prost(message, optional, tag = "2")]
    failure: Option<FailureWire>,
}

/// What became of many commands.
#[derive(Clone, PartialEq, prost::Message)]
struct AppliedManyWire {
    #[prost(message, repeated, tag = "1")]
    results: Vec<AppliedWire>,
    /// Why none was begun.
    #[prost(message, optional, tag = "2")]
    failure: Option<FailureWire>,
}

/// A row.
#[derive(Clone, PartialEq, prost::Message)]
struct RowWire {
    /// Absent: there is none.
    #[prost(bytes = "bytes", optional, tag = "1")]
    value: Option<Bytes>,
    /// Why that cannot be told.
    #[prost(message, optional, tag = "2")]
    failure: Option<FailureWire>,
}

/// Rows in key order.
#[derive(Clone, PartialEq, prost::Message)]
struct PageWire {
    #[prost(message, repeated, tag = "1")]
    rows: Vec<PairWire>,
    /// The key after which to go on.
    #[prost(bytes = "bytes", optional, tag = "2")]
    next: Option<Bytes>,
    /// Why that cannot be told.
    #[prost(message, optional, tag = "3")]
    failure: Option<FailureWire>,
}

/// A row with its key.
#[derive(Clone, PartialEq, prost::Message)]
struct PairWire {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// Last committed records.
#[derive(Clone, PartialEq, prost::Message)]
struct NumbersWire {
    #[prost(message, repeated, tag = "1")]
    shards: Vec<NumberWire>,
}

/// The last committed record of one shard.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct NumberWire {
    #[prost(uint32, tag = "1")]
    shard: u32,
    #[prost(uint64, tag = "2")]
    number: u64,
}

fn applied_of(wire: AppliedWire) -> Result<Result<Outcome, Failure>, Unreadable> {
    Ok(match wire.failure {
        Some(failure) => Err(failure_of(failure)?),
        None => Ok(outcome_of(present("what became of a command", wire.outcome)?)?),
    })
}

fn applied_to(result: Result<Outcome, Failure>) -> AppliedWire {
    match result {
        Ok(outcome) => AppliedWire { outcome: Some(outcome_to(outcome)), failure: None },
        Err(failure) => AppliedWire { outcome: None, failure: Some(failure_to(failure)) },
    }
}

fn applied_many_of(wire: AppliedManyWire) -> Result<Answer, Unreadable> {
    Ok(Answer::AppliedMany(match wire.failure {
        Some(failure) => Err(failure_of(failure)?),
        None => Ok(wire.results.into_iter().map(applied_of).collect::<Result<_, _>>()?),
    }))
}

fn page_of(wire: PageWire) -> Result<Answer, Unreadable> {
    Ok(Answer::Page(match wire.failure {
        Some(failure) => Err(failure_of(failure)?),
        None => Ok(Scan {
            rows: wire.rows.into_iter().map(|PairWire { key, value }| (key, value)).collect(),
            next: wire.next,
        }),
    }))
}

fn page_to(scan: Scan) -> PageWire {
    let Scan { rows, next } = scan;
    PageWire { rows: rows.into_iter().map(|(key, value)| PairWire { key, value }).collect(), next, failure: None }
}

pub(crate) fn answer_of(wire: AnswerWire) -> Result<Answer, Unreadable> {
    match present("an answer", wire.kind)? {
        AnswerKind::Applied(wire) => Ok(Answer::Applied(applied_of(wire)?)),
        AnswerKind::AppliedMany(wire) => applied_many_of(wire),
        AnswerKind::Row(RowWire { value, failure }) => Ok(Answer::Row(match failure {
            Some(failure) => Err(failure_of(failure)?),
            None => Ok(value),
        })),
        AnswerKind::Page(wire) => page_of(wire),
        AnswerKind::Numbers(NumbersWire { shards }) => {
            let number = |NumberWire { shard, number }| (ShardId(shard), number);
            Ok(Answer::Numbers(shards.into_iter().map(number).collect()))
        }
        AnswerKind::Beat(bytes) => Ok(Answer::Beat(bytes)),
        AnswerKind::Admin(bytes) => Ok(Answer::Admin(bytes)),
    }
}

pub(crate) fn answer_to(answer: Answer) -> AnswerWire {
    let failed = |failure| Some(failure_to(failure));
    let kind = match answer {
        Answer::Applied(result) => AnswerKind::Applied(applied_to(result)),
        Answer::AppliedMany(Ok(results)) => AnswerKind::AppliedMany(AppliedManyWire {
            results: results.into_iter().map(applied_to).collect(),
            failure: None,
        }),
        Answer::AppliedMany(Err(failure)) => {
            AnswerKind::AppliedMany(AppliedManyWire { results: Vec::new(), failure: failed(failure) })
        }
        Answer::Row(Ok(value)) => AnswerKind::Row(RowWire { value, failure: None }),
        Answer::Row(Err(failure)) => AnswerKind::Row(RowWire { value: None, failure: failed(failure) }),
        Answer::Page(Ok(scan)) => AnswerKind::Page(page_to(scan)),
        Answer::Page(Err(failure)) => {
            AnswerKind::Page(PageWire { rows: Vec::new(), next: None, failure: failed(failure) })
        }
        Answer::Numbers(numbers) => AnswerKind::Numbers(NumbersWire {
            shards: numbers.into_iter().map(|(ShardId(shard), number)| NumberWire { shard, number }).collect(),
        }),
        Answer::Beat(bytes) => AnswerKind::Beat(bytes),
        Answer::Admin(bytes) => AnswerKind::Admin(bytes),
    };
    AnswerWire { kind: Some(kind) }
}
