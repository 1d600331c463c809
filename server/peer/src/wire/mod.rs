//! The wire form of what goes between members: protobuf messages, one file per noun.
//!
//! The rules of `server/journal` hold here too: numbers are never reused, unknown fields are
//! skipped, 0 is the commonest code. Two versions talk to each other during an upgrade, so that a
//! kind that is not known makes an error, never a guess. Orders, items and messages between shards
//! travel in their stored form. Decides nothing.

mod action;
mod answer;
mod credit;
mod failure;
mod frame;
mod hello;
mod identity;
mod mail;
mod new_order;
mod outcome;
mod refusal;
mod request;
mod step;
#[cfg(test)]
mod tests;

use ordermill_journal::Unreadable;

pub(crate) use self::answer::{AnswerWire, answer_of, answer_to};
pub(crate) use self::failure::{failure_of, failure_to};
pub(crate) use self::frame::{Body, Frame};
pub(crate) use self::hello::{HelloWire, PROTOCOL, PROTOCOL_OLDEST, hello_of, hello_to};
pub(crate) use self::mail::{MailWire, mail_of, mail_to};
pub(crate) use self::request::{RequestWire, request_of, request_to};

fn unreadable(what: &'static str, why: &str) -> Unreadable {
    Unreadable { what, why: why.to_owned() }
}

/// What must be there.
fn present<T>(what: &'static str, field: Option<T>) -> Result<T, Unreadable> {
    field.ok_or_else(|| unreadable(what, "this version does not know its kind, or a part is missing"))
}

/// A number of 16 bits: a slot, or the index of a line.
fn short_of(what: &'static str, number: u32) -> Result<u16, Unreadable> {
    number.try_into().map_err(|_| unreadable(what, "a slot or line has 16 bits"))
}
