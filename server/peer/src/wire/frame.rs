//! The envelope: what every frame says before anybody reads what is in it. Requests, answers and
//! mail stand in it as bytes, so that who passes a frame on need not take it apart.

use bytes::Bytes;

use super::failure::FailureWire;
use super::hello::HelloWire;

/// A frame.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Frame {
    /// Tells the requests of a connection apart; 0 for what is neither a request nor its answer.
    #[prost(uint64, tag = "1")]
    pub(crate) id: u64,
    /// Of a request: milliseconds that its caller still waits.
    #[prost(uint64, tag = "2")]
    pub(crate) remaining_ms: u64,
    /// Of a request: it has room of its own and goes ahead of the others, and so does its answer.
    #[prost(bool, tag = "3")]
    pub(crate) urgent: bool,
    /// Exactly one.
    #[prost(oneof = "Body", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub(crate) body: Option<Body>,
}

/// What is in a frame.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Body {
    /// The first frame of each side.
    #[prost(message, tag = "4")]
    Hello(HelloWire),
    /// Instead of the receiver's hello: why the sender's is not accepted.
    #[prost(string, tag = "5")]
    Rejected(String),
    /// A request ([`super::request::RequestWire`]).
    #[prost(bytes = "bytes", tag = "6")]
    Request(Bytes),
    /// Its answer ([`super::answer::AnswerWire`]).
    #[prost(bytes = "bytes", tag = "7")]
    Answer(Bytes),
    /// Instead of an answer: the service was not asked, or its answer could not be sent.
    #[prost(message, tag = "8")]
    Failed(FailureWire),
    /// Mail ([`super::mail::MailWire`]).
    #[prost(bytes = "bytes", tag = "9")]
    Mail(Bytes),
    /// Are you there?
    #[prost(message, tag = "10")]
    Ping(()),
    /// I am.
    #[prost(message, tag = "11")]
    Pong(()),
    /// Send nothing more over this connection; what is under way will be answered.
    #[prost(message, tag = "12")]
    Goodbye(()),
}

impl Frame {
    /// A frame that is neither a request nor its answer.
    pub(crate) fn bare(body: Body) -> Self {
        Self { id: 0, remaining_ms: 0, urgent: false, body: Some(body) }
    }
}
