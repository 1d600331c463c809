//! The wire form brings back what went into it, and its bytes stay what they are.

mod generated;
mod samples;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ordermill_delivery::Mail;
use ordermill_journal::decode;
use ordermill_order::{Action, Command, IdempotencyKey, Outcome, Refusal};
use ordermill_shard::Scan;
use ordermill_store::ShardId;
use proptest::prelude::*;
use prost::Message as _;

use super::answer::AnswerWire;
use super::failure::FailureWire;
use super::mail::MailWire;
use super::request::RequestWire;
use super::*;
use crate::{Answer, Failure, Hello, Request};

fn through_request(request: Request) -> Request {
    let bytes = request_to(request).encode_to_vec();
    request_of(decode::<RequestWire>("a request", &bytes[..]).unwrap()).unwrap()
}

fn through_answer(answer: Answer) -> Answer {
    let bytes = answer_to(answer).encode_to_vec();
    answer_of(decode::<AnswerWire>("an answer", &bytes[..]).unwrap()).unwrap()
}

fn through_mail(mail: Vec<Mail>) -> Vec<Mail> {
    let bytes = mail_to(mail).encode_to_vec();
    let (mail, lost) = mail_of(decode::<MailWire>("mail", &bytes[..]).unwrap());
    assert_eq!(lost, 0);
    mail
}

fn command(action: Action) -> Command {
    Command { tenant: "t".into(), idempotency: Some(IdempotencyKey { key: 5, fingerprint: u128::MAX }), action }
}

fn apply(action: Action) -> Request {
    Request::Apply { slot: 65_535, hops: 255, wait: Duration::from_millis(1_500), command: command(action) }
}

/// Every kind has a sample.
fn check_kinds(kinds: impl Iterator<Item = (usize, usize)>) {
    let (numbers, totals): (BTreeSet<_>, BTreeSet<_>) = kinds.unzip();
    assert_eq!(totals.len(), 1);
    assert_eq!(numbers, (0..totals.into_iter().next().unwrap()).collect());
}

#[test]
fn every_action_comes_back() {
    check_kinds(samples::actions().iter().map(samples::action_kind));
    for action in samples::actions() {
        assert_eq!(through_request(apply(action.clone())), apply(action.clone()));
        let mail = Mail { tenant: "".into(), slot: 9, action, note_to: Some(0) };
        assert_eq!(through_mail(vec![mail.clone(), mail.clone()]), [mail.clone(), mail]);
    }
}

#[test]
fn every_outcome_and_failure_comes_back() {
    check_kinds(samples::outcomes().iter().map(samples::outcome_kind));
    check_kinds(samples::failures().iter().map(samples::failure_kind));
    let outcomes = samples::outcomes().into_iter().map(Ok);
    let results: Vec<Result<Outcome, Failure>> = outcomes.chain(samples::failures().into_iter().map(Err)).collect();
    for result in &results {
        let answer = Answer::Applied(result.clone());
        assert_eq!(through_answer(answer.clone()), answer);
    }
    let many = Answer::AppliedMany(Ok(results));
    assert_eq!(through_answer(many.clone()), many);
}

#[test]
fn every_request_and_answer_comes_back() {
    let (from, to) = (Bound::Excluded(Bytes::from("a")), Bound::Unbounded);
    let commands = samples::actions().into_iter().map(command).collect();
    let requests = [
        Request::ApplyMany { slot: 1, hops: 0, wait: Duration::ZERO, commands },
        Request::Get { slot: 0, hops: 1, key: "key".into() },
        Request::Scan { slot: 3, hops: 1, from, to, limit: 100 },
        Request::Scan { slot: 3, hops: 1, from: Bound::Included("".into()), to: Bound::Included("b".into()), limit: 0 },
        Request::Numbers,
        Request::Beat("beat".into()),
        Request::Admin("".into()),
    ];
    for request in requests {
        assert_eq!(through_request(request.clone()), request);
    }
    let failure = || Failure::NotOwner { map_version: 7 };
    let rows = vec![("a".into(), "1".into()), ("b".into(), "".into())];
    let answers = [
        Answer::AppliedMany(Ok(Vec::new())),
        Answer::AppliedMany(Err(failure())),
        Answer::Row(Ok(None)),
        Answer::Row(Ok(Some("".into()))),
        Answer::Row(Err(failure())),
        Answer::Page(Ok(Scan { rows, next: Some("b".into()) })),
        Answer::Page(Ok(Scan::default())),
        Answer::Page(Err(failure())),
        Answer::Numbers(vec![(ShardId(0), 0), (ShardId(63), u64::MAX)]),
        Answer::Beat("".into()),
        Answer::Admin("done".into()),
    ];
    for answer in answers {
        assert_eq!(through_answer(answer.clone()), answer);
    }
}

proptest! {
    #[test]
    fn generated_commands_come_back(command in generated::command(), slot: u16, hops: u8, wait: u32) {
        let request = Request::Apply { slot, hops, wait: Duration::from_millis(wait.into()), command };
        prop_assert_eq!(through_request(request.clone()), request);
    }

    #[test]
    fn generated_orders_come_back(order in generated::order(), replayed: bool) {
        let answer = Answer::Applied(Ok(Outcome::Order { order: Arc::new(order), replayed }));
        prop_assert_eq!(through_answer(answer.clone()), answer);
    }

    #[test]
    fn garbage_is_an_error_or_something(bytes: Vec<u8>) {
        let _ = decode::<Frame>("a frame", &bytes[..]);
        let _ = decode::<RequestWire>("a request", &bytes[..]).and_then(request_of);
        let _ = decode::<MailWire>("mail", &bytes[..]).map(mail_of);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes() {
    // Two versions talk to each other during an upgrade: these must never change.
    let hello = hello_to(&Hello { cluster: 7, incarnation: 0x0102_0304_0506_0708, name: "m-0".into() });
    let request = request_to(apply(Action::AdjustItem { sku: "85123A".into(), delta: -4 })).encode_to_vec();
    let item = Outcome::Item { item: samples::item(), replayed: false, created: true };
    let answer = answer_to(Answer::Applied(Ok(item))).encode_to_vec();
    let mail = Mail { tenant: "".into(), slot: 9, action: Action::Claim(samples::claim()), note_to: Some(8) };
    let frames = [
        Frame::bare(Body::Hello(hello)),
        Frame { id: 300, remaining_ms: 5_000, urgent: false, body: Some(Body::Request(request.into())) },
        Frame { id: 300, body: Some(Body::Answer(answer.into())), ..Frame::default() },
        Frame { id: 5, urgent: true, body: Some(Body::Failed(failure_to(Failure::Busy))), ..Frame::default() },
        Frame::bare(Body::Mail(mail_to(vec![mail]).encode_to_vec().into())),
        Frame::bare(Body::Rejected("no".into())),
        Frame::bare(Body::Ping(())),
        Frame::bare(Body::Pong(())),
        Frame::bare(Body::Goodbye(())),
    ];
    let golden = [
        "22140801100118072108070605040302012a036d2d30",
        concat!(
            "08ac0210882732450a4308ffff0310ff0118dc0b22370a017412240a100000000000000000000000",
            "00000000051210ffffffffffffffffffffffffffffffff1a0c2a0a0a063835313233411007",
        ),
        "08ac023a120a100a0e1a0c0a08080a1002281450031801",
        "0805180142021a00",
        concat!(
            "4a380a3610091a30322e0a10019123456789abcd010203040506070810031a180a160a0638353132",
            "334110021801220208052a04080210032008",
        ),
        "2a026e6f",
        "5200",
        "5a00",
        "6200",
    ];
    let bytes: Vec<String> = frames.iter().map(|frame| hex(&frame.encode_to_vec())).collect();
    assert_eq!(bytes, golden);
}

#[test]
fn what_a_newer_version_sends_is_skipped_or_told() {
    // Field 1000, a varint, behind what is known.
    let mut bytes = request_to(Request::Numbers).encode_to_vec();
    bytes.extend([0xC0, 0x3E, 0x05]);
    assert_eq!(request_of(decode::<RequestWire>("a request", &bytes[..]).unwrap()), Ok(Request::Numbers));
    // Field 1000 alone: a kind of request, answer, failure, refusal or mail that is not known.
    let unknown: &[u8] = &[0xC0, 0x3E, 0x05];
    assert!(request_of(decode::<RequestWire>("a request", unknown).unwrap()).is_err());
    assert!(answer_of(decode::<AnswerWire>("an answer", unknown).unwrap()).is_err());
    let failure = failure_of(decode::<FailureWire>("a failure", unknown).unwrap());
    assert!(matches!(failure, Ok(Failure::Unknown(_))));
    // A refusal (field 2) with a text (field 1) and nothing else that is known.
    let refused = decode::<FailureWire>("a failure", &[0x12, 6, 0x0A, 1, b'x', 0xC0, 0x3E, 0x05][..]).unwrap();
    assert_eq!(failure_of(refused), Ok(Failure::Refused(Refusal::Conflict("x".into()))));
    // Mail (field 1) of which the second piece has no action that is known.
    let known = Mail { tenant: "".into(), slot: 1, action: Action::Report(samples::report()), note_to: None };
    let mut bytes = mail_to(vec![known.clone()]).encode_to_vec();
    bytes.extend([0x0A, 2, 0x10, 5]);
    assert_eq!(mail_of(decode::<MailWire>("mail", &bytes[..]).unwrap()), (vec![known], 1));
}
